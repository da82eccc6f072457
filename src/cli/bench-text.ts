/** @file Benchmark results and comparisons as text for the terminal. */
import {
  median,
  type BenchComparison,
  type BenchEntry,
  type BenchResult,
  type NoiseKind,
  type Verdict,
} from '../measure/index.js';
import {
  binaryBytes,
  magnitude,
  milliseconds,
  percent,
  significant,
  textTable,
  type TextColumn,
} from '../report/index.js';

/** What each kind of noise means. */
export const noiseSentences: Readonly<Record<NoiseKind, string>> = {
  unsteady: 'runs inside one session vary by 5 % or more',
  'openings-differ': 'sessions differ by 10 % or more from one opening to the next',
  'busy-machine': 'other processes took 5 % or more of the processor',
  'few-runs': 'fewer than 10 runs per opening',
};

const verdictSentences: Readonly<Record<Verdict, string>> = {
  faster: 'faster',
  slower: 'slower',
  same: 'the same',
  noise: 'cannot be told from noise',
  'too-few': 'too few openings to tell (take --openings 5 or more in both)',
};

/** A benchmark as a table with the noise explained below. */
export function benchText(result: BenchResult): string {
  const { device, entries, skipped, settings } = result;
  const shown = (of: (entry: BenchEntry) => unknown): boolean => new Set(entries.map(of)).size > 1;
  const several = (of: (entry: BenchEntry) => unknown, column: TextColumn<BenchEntry>): TextColumn<BenchEntry>[] =>
    shown(of) ? [column] : [];
  const right = (name: string, value: (entry: BenchEntry) => string): TextColumn<BenchEntry> => ({
    name,
    align: 'right',
    value,
  });
  const kinds = [...new Set(entries.flatMap(({ noise }) => noise))];
  const sustained = entries.filter((entry) => entry.sustained !== undefined);
  const first = entries[0]?.configuration;
  return [
    `${device.cpu}, ${device.physicalCores} cores, ${device.os}; ${Object.values(result.runtimes).join(', ')}`,
    `${settings.openings} openings of each configuration, at least ${settings.runs} runs and ${settings.minSeconds} s each${first && !shown(({ configuration }) => configuration.threads) ? `; ${first.threads} thread${first.threads === 1 ? '' : 's'}` : ''}`,
    '',
    textTable(
      [
        { name: 'model', value: ({ model }) => model.name },
        { name: 'provider', value: ({ configuration }) => configuration.provider },
        ...several(
          ({ configuration }) => configuration.threads,
          right('threads', ({ configuration }) => String(configuration.threads)),
        ),
        ...several(
          ({ configuration }) => configuration.batch,
          right('batch', ({ configuration }) => String(configuration.batch)),
        ),
        { name: 'precision', value: ({ configuration }) => configuration.precision },
        ...several(
          ({ configuration }) => configuration.resolution?.join(),
          right('size', ({ configuration }) => configuration.resolution?.join('×') ?? 'own'),
        ),
        right('typical', ({ typicalMs }) => milliseconds(typicalMs.value)),
        right('95 % interval', ({ typicalMs }) => `${significant(typicalMs.low)} – ${significant(typicalMs.high)}`),
        right('p90', ({ latencyMs }) => milliseconds(latencyMs.p90)),
        right('p99', ({ latencyMs }) => milliseconds(latencyMs.p99)),
        right('CV', ({ cv }) => percent(cv)),
        right('per second', ({ throughput }) => significant(throughput)),
        right('cold start', ({ coldStartMs }) => milliseconds(coldStartMs ?? NaN)),
        right('load', ({ loadMs }) => milliseconds(loadMs)),
        right('first run', ({ firstMs }) => milliseconds(firstMs)),
        right('memory', ({ memory }) => (memory ? `+${binaryBytes(memory.addedBytes)}` : '–')),
        ...(entries.some(({ accuracy }) => accuracy !== undefined)
          ? [right('accuracy', ({ accuracy }) => percent(accuracy ?? NaN))]
          : []),
        { name: 'noisy', value: ({ noise }) => noise.join(' ') },
      ],
      entries,
    ),
    ...(sustained.length > 0 ? ['', sustainedTable(sustained)] : []),
    ...(kinds.length > 0 ? ['', ...kinds.map((kind) => `${kind}: ${noiseSentences[kind]}`)] : []),
    ...(skipped.length > 0
      ? [
          '',
          ...skipped.map(
            ({ model, configuration, reason }) =>
              `skipped ${model}, ${configuration.provider} ${configuration.precision} batch ${configuration.batch}: ${reason}`,
          ),
        ]
      : []),
  ].join('\n');
}

function sustainedTable(entries: readonly BenchEntry[]): string {
  const right = (
    name: string,
    value: (sustained: NonNullable<BenchEntry['sustained']>) => string,
  ): TextColumn<BenchEntry> => ({
    name,
    align: 'right',
    value: ({ sustained }) => value(sustained!),
  });
  return textTable(
    [
      {
        name: 'sustained',
        value: ({ model, configuration }) => `${model.name}, ${configuration.provider}, ${configuration.precision}`,
      },
      right('seconds', ({ seconds }) => significant(seconds)),
      right('at first', ({ firstMs }) => milliseconds(firstMs)),
      right('at the end', ({ lastMs }) => milliseconds(lastMs)),
      right('change', ({ change }) => percent(change)),
      right('per minute', ({ slopePerMinute }) => percent(slopePerMinute, 2)),
      right('p', ({ p }) => significant(p, 2)),
      right('others took', ({ curve }) => shareOfOthers(curve)),
      { name: 'verdict', value: ({ sustained }) => sustained!.verdict },
    ],
    entries,
  );
}

/** The middle of what other processes took of the cores, second by second. */
function shareOfOthers(curve: NonNullable<BenchEntry['sustained']>['curve']): string {
  const known = curve.flatMap(({ background }) => (background === undefined ? [] : [background]));
  return known.length === 0 ? '–' : percent(median(known), 0);
}

/** A comparison as a table. */
export function comparisonText(
  { comparisons, unmatched, sameDevice }: BenchComparison,
  names: readonly [string, string],
): string {
  return [
    ...(sameDevice ? [] : ['the results come from different machines or systems: differences are theirs as well', '']),
    textTable(
      [
        { name: 'model', value: ({ model }) => model },
        { name: 'configuration', value: ({ configuration }) => configuration },
        { name: names[0], align: 'right', value: ({ before }) => milliseconds(before) },
        { name: names[1], align: 'right', value: ({ after }) => milliseconds(after) },
        { name: 'ratio', align: 'right', value: ({ ratio }) => significant(ratio.value) },
        {
          name: '95 % interval',
          align: 'right',
          value: ({ ratio }) => `${significant(ratio.low)} – ${significant(ratio.high)}`,
        },
        { name: 'p', align: 'right', value: ({ p }) => significant(p, 2) },
        { name: 'verdict', value: ({ verdict }) => verdictSentences[verdict] },
        { name: 'noisy', value: ({ noise }) => noise.join(' ') },
      ],
      comparisons,
    ),
    ...unmatched.map(
      ({ model, configuration, only }) =>
        `only in ${only === 'before' ? names[0] : names[1]}: ${model}, ${configuration}`,
    ),
  ].join('\n');
}

/** Prediction against the MACs proxy, for the terminal. */
export function predictionText(
  rows: readonly {
    readonly name: string;
    readonly op: string;
    readonly family: string;
    readonly macs: number;
    readonly ms: number;
  }[],
): string {
  return textTable(
    [
      { name: 'layer', value: ({ name }) => name },
      { name: 'operator', value: ({ op }) => op },
      { name: 'family', value: ({ family }) => family },
      { name: 'MACs', align: 'right', value: ({ macs }) => magnitude(macs) },
      { name: 'predicted', align: 'right', value: ({ ms }) => milliseconds(ms) },
    ],
    rows,
  );
}
