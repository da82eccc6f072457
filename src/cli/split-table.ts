/** @file `cuttle split table`: measures a network at every cut, writes the split profile, shows it. */
import { batches, resolvePreprocessing } from '../data/index.js';
import { openModel } from './open-model.js';
import { basename, exists, FileExistsError, readJson } from '../platform/node/files.js';
import { sha256OfFile } from '../platform/node/hash.js';
import { milliseconds, percent, textTable, type TextColumn } from '../report/index.js';
import { parseProfile } from '../runtime/index.js';
import { requiredInputs } from '../ir/index.js';
import {
  bitsOf,
  cutsMeasured,
  FULL_PRECISION,
  measureSplit,
  openCodecs,
  packedAt,
  type LabelledInputs,
  type MeasureSplitOptions,
  type SplitProfile,
} from '../split/index.js';
import { writeSplitProfile } from '../split/split-profile-file.js';
import { openImages, preprocessingGiven, reportAssumed } from './data-options.js';
import { sessionGiven } from './session-options.js';
import type { SplitOptions } from './split-options.js';
import { UsageError, type VerbContext, type VerbResult } from './verb.js';

/** Accuracy that a lowest bit-width may cost, DynO's table. */
export const TOLERANCES = [0.01, 0.02, 0.05] as const;

/** Runs `cuttle split table MODEL`. */
export async function splitTable(context: VerbContext<SplitOptions>, path: string): Promise<VerbResult> {
  const { options, console, signal } = context;
  const { data: source, out = 'split-profile.json', cuts } = options;
  if (source === undefined) throw new UsageError('split table needs --data', 'Say where the images are: --data mnist');
  // Before minutes of measuring, not after.
  if (!options.force && (await exists(out))) throw new FileExistsError(out);
  const model = await openModel(path, console);
  const { preprocessing, assumed } = resolvePreprocessing(model, preprocessingGiven(options));
  reportAssumed(context, assumed);
  const opening = { data: source, limit: options.limit, onBad: options.onBad };
  const data = await openImages(
    context,
    opening,
    { seed: options.seed, calibrateOn: options.calibrateOn },
    preprocessing,
  );
  const [input] = requiredInputs(model.graph);
  const batch = input?.type?.kind === 'tensor' ? input.type.shape?.[0] : undefined;
  const batchSize = typeof batch === 'number' ? batch : 50;
  const samples: LabelledInputs[] = [];
  for await (const { images, labels } of batches(data.calibration, { batchSize, preprocessing, signal }))
    samples.push({ feeds: { [input!.name]: images }, labels: labels.numbers() });
  const read = async (file: string | undefined) =>
    file === undefined ? undefined : parseProfile(await readJson(file));
  const progress = console.progress('measuring cuts', 1);
  const profile = await measureSplit(model, samples, {
    ...sessionGiven(options),
    ...defined({ exits: options.exits, bits: options.bits, thresholds: options.thresholds }),
    ...defined({ device: await read(options.deviceProfile), server: await read(options.serverProfile) }),
    ...{ cuts, policy: options.policy, fallback: options.fallback },
    ...{ staticScale: options.staticScale, packedFor: options.link * 125, codecs: await openCodecs() },
    model: { name: basename(path), sha256: await sha256OfFile(path) },
    data: `${data.calibration.size} images of ${basename(source)}`,
    signal,
    progress: (done, total) => progress.update(done / total),
  });
  progress.end();
  await writeSplitProfile(out, profile, { force: options.force });
  return { json: profile, text: tableText(profile, out) };
}

function defined<T extends Partial<MeasureSplitOptions>>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** For each measured cut the fewest bits (and what they pack to) that cost at most this much accuracy; undefined where none do. */
export function lowestBits(profile: SplitProfile, cut: number, drop: number): number | undefined {
  return bitsOf(profile).find((bits) => packedAt(profile, cut, bits)!.accuracy >= profile.final.accuracy - drop - 1e-9);
}

function tableText(profile: SplitProfile, out: string): string {
  const { device, server, cuts, exits, final } = profile;
  const bits = bitsOf(profile);
  const before = (times: readonly number[], cut: number): number => times.slice(0, cut + 1).reduce((a, b) => a + b, 0);
  const total = before(server.cutMs, cuts.length - 1);
  const share = (cut: number, width: number): string => {
    const row = packedAt(profile, cut, width)!;
    return `${(row.bytes / 1000).toFixed(2)} ${percent(row.accuracy)}`;
  };
  const columns: readonly TextColumn<number>[] = [
    { name: 'cut', align: 'right', value: String },
    { name: 'crosses', value: (cut) => nameOf(cuts[cut]!.frontier) },
    { name: 'device', align: 'right', value: (cut) => milliseconds(before(device.cutMs, cut)) },
    { name: 'server', align: 'right', value: (cut) => milliseconds(total - before(server.cutMs, cut)) },
    { name: 'whole kB', align: 'right', value: (cut) => (cuts[cut]!.bytes / 1000).toFixed(1) },
    ...bits
      .filter((width) => width !== FULL_PRECISION)
      .map((width): TextColumn<number> => ({
        name: `${width} bit`,
        align: 'right',
        value: (cut) => share(cut, width),
      })),
    ...TOLERANCES.map((drop): TextColumn<number> => ({
      name: `≤${drop * 100} pp`,
      align: 'right',
      value: (cut) => String(lowestBits(profile, cut, drop) ?? '–'),
    })),
  ];
  const lines = [
    `${profile.samples} samples, ${percent(final.accuracy)} right at full precision; kB and accuracy per bit-width, no exits; the fewest bits for a loss of 1, 2, 5 points`,
    `device: ${device.machine.cpu}, ${device.machine.threads} threads (${device.source}); server: ${server.machine.cpu}, ${server.machine.threads} threads (${SOURCES[server.source]})`,
    '',
    textTable(columns, cutsMeasured(profile)),
  ];
  if (exits.length > 0)
    lines.push(
      '',
      `exits (${profile.policy.kind}, everything on the device)`,
      textTable(
        [
          { name: 'threshold', align: 'right', value: (row) => String(row.threshold) },
          { name: 'accuracy', align: 'right', value: (row) => percent(row.accuracy) },
          ...[...exits.map(({ exit, position }) => `exit ${exit} (cut ${position})`), 'final'].map(
            (name, i): TextColumn<{ threshold: number; accuracy: number; stops: readonly number[] }> => ({
              name,
              align: 'right',
              value: (row) => percent(row.stops[i]!),
            }),
          ),
        ],
        profile.local.map((row, i) => ({ threshold: profile.thresholds[i]!, ...row })),
      ),
    );
  return [...lines, '', `written to ${out}`].join('\n');
}

const SOURCES = {
  measured: 'measured here',
  profile: 'from its profile',
  assumed: 'not measured: taken as fast as the device',
};

function nameOf(frontier: readonly string[]): string {
  const first = frontier[0]!.length > 24 ? `…${frontier[0]!.slice(-23)}` : frontier[0]!;
  return frontier.length === 1 ? first : `${first} +${frontier.length - 1}`;
}
