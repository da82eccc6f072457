/** @file A benchmark as one HTML file: what is fastest, how sure that is, accuracy against time, and curves of sustained runs. */
import { configurationName, paretoFront, type BenchEntry, type BenchResult } from '../measure/index.js';
import { binaryBytes, count, magnitude, milliseconds, percent, significant } from './format.js';
import { facts, html, page, responsive, section, table, type Html } from './html.js';
import type { SeriesStyle, XYPlot } from './xy-plot.js';
import { xyPlot } from './xy-plot.js';

const STYLES: readonly SeriesStyle[] = [0, 1, 2, 3, 4, 5];

const seconds = (value: number): string => (value < 120 ? `${significant(value)} s` : `${significant(value / 60)} min`);

/** The whole page. */
export function benchReport(result: BenchResult): string {
  const { device, entries, skipped, settings } = result;
  const noisy = entries.filter(({ noise }) => noise.length > 0).length;
  return page(
    'Benchmark',
    html`<h1>Benchmark of ${[...new Set(entries.map(({ model }) => model.name))].join(', ')}</h1>
      <p class="lead">${result.startedAt.slice(0, 16).replace('T', ' ')} UTC, ${seconds(result.seconds)}</p>`,
    section(
      'Times',
      `Every configuration was opened ${settings.openings} times in processes of their own. “Typical” is the geometric mean of the openings’ medians; the interval is meant to hold 95 % of repetitions of this benchmark.${noisy > 0 ? ` ${noisy} of ${entries.length} rows are noisy.` : ''}`,
      timesTable(entries),
    ),
    ...macsSection(entries),
    ...frontSection(entries),
    ...scalingSection(entries),
    ...sustainedSection(entries),
    section(
      'Machine',
      undefined,
      facts([
        ['processor', `${device.cpu} (${device.physicalCores} cores, ${device.logicalCores} threads)`],
        ['system', `${device.os}, ${device.platform}`],
        ['memory', device.memoryBytes === undefined ? 'unknown' : binaryBytes(device.memoryBytes)],
        ['runtimes', Object.values(result.runtimes).join(', ')],
        ['fingerprint', device.fingerprint.slice(0, 16)],
        ['load average before', significant(result.loadAverage ?? NaN)],
        ['the benchmark’s own part of every time', milliseconds(result.harnessMs)],
        [
          'counted runs per opening',
          `at least ${settings.runs} and ${significant(settings.minSeconds)} s, after ${settings.warmup} that do not count`,
        ],
        ...(settings.calibration === undefined ? [] : ([['int8-static calibrated on', settings.calibration]] as const)),
      ]),
    ),
    ...(skipped.length === 0
      ? []
      : [
          section(
            'Not measured',
            undefined,
            table(
              'Configurations that were skipped',
              [
                { name: 'model', value: ({ model }) => model },
                { name: 'configuration', value: ({ configuration }) => configurationName(configuration) },
                { name: 'why', value: ({ reason }) => reason },
              ],
              skipped,
            ),
          ),
        ]),
  );
}

function timesTable(entries: readonly BenchEntry[]): Html {
  return table(
    'Times by model and configuration',
    [
      { name: 'model', value: ({ model }) => model.name },
      { name: 'configuration', value: ({ configuration }) => configurationName(configuration) },
      { name: 'typical', numeric: true, value: ({ typicalMs }) => milliseconds(typicalMs.value) },
      {
        name: '95 % interval',
        numeric: true,
        value: ({ typicalMs }) => `${significant(typicalMs.low)} – ${significant(typicalMs.high)}`,
      },
      { name: 'p90', numeric: true, value: ({ latencyMs }) => milliseconds(latencyMs.p90) },
      { name: 'p99', numeric: true, value: ({ latencyMs }) => milliseconds(latencyMs.p99) },
      { name: 'CV', numeric: true, value: ({ cv }) => percent(cv) },
      { name: 'per second', numeric: true, value: ({ throughput }) => significant(throughput) },
      { name: 'cold start', numeric: true, value: ({ coldStartMs }) => milliseconds(coldStartMs ?? NaN) },
      {
        name: 'memory',
        numeric: true,
        value: ({ memory }) => (memory === undefined ? '–' : `+${binaryBytes(memory.addedBytes)}`),
      },
      { name: 'MACs', numeric: true, value: ({ model }) => magnitude(model.macs) },
      { name: 'accuracy', numeric: true, value: ({ accuracy }) => percent(accuracy ?? NaN) },
      { name: 'noisy', value: ({ noise }) => noise.join(', ') },
    ],
    entries,
  );
}

function plotted(title: string, what: string, plot: XYPlot): Html {
  return section(
    title,
    what,
    responsive((width) => xyPlot(plot, width)),
  );
}

/** Entries by a name, each list in the given order. */
function grouped(
  entries: readonly BenchEntry[],
  nameOf: (entry: BenchEntry) => string,
): ReadonlyMap<string, readonly BenchEntry[]> {
  const groups = new Map<string, BenchEntry[]>();
  for (const entry of entries) groups.set(nameOf(entry), [...(groups.get(nameOf(entry)) ?? []), entry]);
  return groups;
}

const styleOf = (index: number): SeriesStyle => STYLES[index % STYLES.length]!;

function macsSection(entries: readonly BenchEntry[]): readonly Html[] {
  const computed = entries.filter(({ model }) => model.macs > 0);
  if (new Set(computed.map(({ model }) => model.macs)).size < 3) return [];
  return [
    plotted('Time and work', 'If multiply–accumulates predicted time, every series would be a straight line.', {
      title: 'Typical time over multiply–accumulates',
      xLabel: 'MACs',
      yLabel: 'ms',
      xScale: 'log',
      yFromZero: true,
      series: [...grouped(computed, ({ configuration }) => configurationName({ ...configuration, batch: 1 }))].map(
        ([name, members], i) => ({
          name,
          style: styleOf(i),
          points: members.map(({ model, typicalMs }) => ({
            x: model.macs,
            y: typicalMs.value,
            title: `${model.name}: ${milliseconds(typicalMs.value)}`,
          })),
        }),
      ),
    }),
  ];
}

function frontSection(entries: readonly BenchEntry[]): readonly Html[] {
  const known = entries.filter(({ accuracy }) => accuracy !== undefined);
  if (known.length < 2) return [];
  const perItem = ({ typicalMs, configuration }: BenchEntry): number => typicalMs.value / configuration.batch;
  const front = paretoFront(known, { cost: perItem, value: ({ accuracy }) => accuracy! });
  const point = (entry: BenchEntry) => ({
    x: perItem(entry),
    y: entry.accuracy!,
    title: `${entry.model.name}, ${configurationName(entry.configuration)}: ${percent(entry.accuracy!)} in ${milliseconds(perItem(entry))}`,
  });
  return [
    plotted('Accuracy and time', 'The line joins what nothing else beats in both respects.', {
      title: 'Accuracy over time per image',
      xLabel: 'ms per image',
      yLabel: 'accuracy',
      xFromZero: true,
      yUnit: 'percent',
      series: [
        { name: 'worth having', style: 0, line: true, points: front.map(point) },
        {
          name: 'beaten',
          style: 5,
          markers: 'faint',
          points: known.filter((entry) => !front.includes(entry)).map(point),
        },
      ],
    }),
  ];
}

function scalingSection(entries: readonly BenchEntry[]): readonly Html[] {
  const curves = (of: 'batch' | 'threads', title: string, what: string): readonly Html[] => {
    const groups = [
      ...grouped(
        entries,
        ({ model, configuration }) => `${model.name}, ${configurationName({ ...configuration, [of]: 1 })}`,
      ),
    ]
      .filter(([, members]) => new Set(members.map(({ configuration }) => configuration[of])).size > 1)
      .slice(0, STYLES.length);
    if (groups.length === 0) return [];
    return [
      plotted(title, what, {
        title,
        xLabel: of,
        yLabel: 'items per second',
        yFromZero: true,
        series: groups.map(([name, members], i) => ({
          name: name.replace(of === 'batch' ? ', batch 1' : ', 1 thread', ''),
          style: styleOf(i),
          line: true,
          points: [...members]
            .sort((a, b) => a.configuration[of] - b.configuration[of])
            .map(({ configuration, throughput }) => ({
              x: configuration[of],
              y: throughput,
              title: `${of} ${count(configuration[of])}: ${significant(throughput)} a second`,
            })),
        })),
      }),
    ];
  };
  return [
    ...curves('batch', 'Throughput over batch size', 'Larger batches read the weights once for more images.'),
    ...curves(
      'threads',
      'Throughput over threads',
      'Twice the threads would be twice the throughput if all of the work could be shared out.',
    ),
  ];
}

function sustainedSection(entries: readonly BenchEntry[]): readonly Html[] {
  const sustained = entries.filter((entry) => entry.sustained !== undefined);
  if (sustained.length === 0) return [];
  return [
    plotted(
      'Sustained runs',
      sustained
        .map(
          ({ model, configuration, sustained: run }) =>
            `${model.name} (${configurationName(configuration)}): ${milliseconds(run!.firstMs)} in the first ${seconds(run!.stretchSeconds)}, ${milliseconds(run!.lastMs)} in the last (${percent(run!.change)}; ${run!.verdict}, p = ${significant(run!.p, 2)}).`,
        )
        .join(' '),
      {
        title: 'Median time over the run',
        xLabel: 's',
        yLabel: 'ms',
        yFromZero: true,
        series: sustained.slice(0, STYLES.length).map(({ model, configuration, sustained: run }, i) => ({
          name: `${model.name}, ${configuration.provider}, ${configuration.precision}`,
          style: styleOf(i),
          line: true,
          markers: 'none' as const,
          points: run!.curve.map(({ at, p50 }) => ({ x: at, y: p50 })),
        })),
      },
    ),
  ];
}
