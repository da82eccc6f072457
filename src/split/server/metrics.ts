/** @file Counters, gauges and histograms in Prometheus' text format (version 0.0.4). */

type Labels = Readonly<Record<string, string>>;

interface Series {
  value: number;
  /** Cumulative counts per bound, for histograms. */
  readonly counts: number[];
  sum: number;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly bounds: readonly number[];
  readonly series: Map<string, Series>;
  /** Read when metrics are asked for. */
  readonly read: (() => number) | undefined;
}

/** Distinct label values per metric, so that clients cannot fill the memory with names. */
const MOST_SERIES = 1000;

/** Bounds for times in seconds, 0.5 ms to 10 s. */
export const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** A set of metrics. */
export class Metrics {
  readonly #metrics: Metric[] = [];

  counter(name: string, help: string): (labels?: Labels, by?: number) => void {
    const metric = this.#add({ name, help, type: 'counter', bounds: [] });
    return (labels = {}, by = 1) => void (seriesOf(metric, labels).value += by);
  }

  gauge(name: string, help: string, read: () => number): void {
    this.#add({ name, help, type: 'gauge', bounds: [] }, read);
  }

  histogram(name: string, help: string, bounds: readonly number[]): (value: number, labels?: Labels) => void {
    const metric = this.#add({ name, help, type: 'histogram', bounds });
    return (value, labels = {}) => {
      const series = seriesOf(metric, labels);
      series.value++;
      series.sum += value;
      bounds.forEach((bound, i) => {
        if (value <= bound) series.counts[i]!++;
      });
    };
  }

  /** Everything as text. */
  text(): string {
    return this.#metrics.map(textOf).join('');
  }

  #add(metric: Omit<Metric, 'series' | 'read'>, read?: () => number): Metric {
    const added: Metric = { ...metric, series: new Map(), read };
    this.#metrics.push(added);
    return added;
  }
}

function seriesOf({ series, bounds }: Metric, labels: Labels): Series {
  const key = Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`)
    .join(',');
  const kept = series.has(key) || series.size < MOST_SERIES ? key : 'other="true"';
  let found = series.get(kept);
  if (found === undefined) series.set(kept, (found = { value: 0, sum: 0, counts: bounds.map(() => 0) }));
  return found;
}

function textOf({ name, help, type, bounds, series, read }: Metric): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
  const line = (suffix: string, labels: string, value: number): void =>
    void lines.push(`${name}${suffix}${labels === '' ? '' : `{${labels}}`} ${String(value)}`);
  if (read !== undefined) line('', '', read());
  for (const [labels, { value, sum, counts }] of series) {
    if (type !== 'histogram') {
      line('', labels, value);
      continue;
    }
    const with_ = (bound: string): string => `${labels === '' ? '' : `${labels},`}le="${bound}"`;
    bounds.forEach((bound, i) => line('_bucket', with_(String(bound)), counts[i]!));
    line('_bucket', with_('+Inf'), value);
    line('_sum', labels, sum);
    line('_count', labels, value);
  }
  return `${lines.join('\n')}\n`;
}
