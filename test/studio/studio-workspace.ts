/** @file A folder as `cuttle demo` leaves it, made in seconds: untrained exits, a memo that looks trained, designs, a split profile. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { attachExits } from '../../src/exits/attach.js';
import { findCandidates } from '../../src/exits/candidates.js';
import {
  calibrateExits,
  designFile,
  encodeMemo,
  readProgressive,
  scoreTables,
  searchDesign,
  withTemperatures,
  type ExitCosts,
  type Memo,
} from '../../src/exits/index.js';
import { describeSearchCosts } from '../../src/exits/search-costs.js';
import { encodeModel } from '../../src/onnx/index.js';
import { createRandom } from '../../src/platform/index.js';
import { encodePng } from '../../src/report/index.js';
import { measureSplit, openSplitNetwork } from '../../src/split/index.js';
import { appRecord, writeRun } from '../audit/store-records.js';
import { digitsModel } from '../cli/cli.js';
import { noise } from '../exits/networks.js';

const CLASSES = 10;

/** Logits whose right class stands out the more, the later the exit. */
function memoThatLooksTrained(exits: number, samples: number): Memo {
  const random = createRandom(7);
  const labels = Int32Array.from({ length: samples }, () => Math.floor(random.next() * CLASSES));
  const hardness = Float64Array.from(labels, () => random.next());
  const logits = Array.from({ length: exits }, (_, exit) =>
    Float32Array.from({ length: samples * CLASSES }, (_entry, i) => {
      const sample = Math.floor(i / CLASSES);
      const signal = i % CLASSES === labels[sample] ? 1.5 + (6 * (exit + 1)) / exits - 4 * hardness[sample]! : 0;
      return signal + 2 * random.next();
    }),
  );
  return { labels, classes: CLASSES, logits };
}

/** Makes the folder; it goes away with the test file. */
export async function demoLikeWorkspace(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-studio-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'work'));
  const backbone = digitsModel('resnet-8');
  const candidates = findCandidates(backbone);
  const chosen = [1, 3, 5, 7].map((i) => candidates.all[i]!);
  const exits = chosen.length + 1;
  const memo = memoThatLooksTrained(exits, 400);
  const temperatures = calibrateExits(memo).map(({ temperature }) => temperature);
  const attached = attachExits(candidates, chosen, { kind: 'pool' }, 1);
  const progressive = withTemperatures(readProgressive(attached.model), temperatures);
  const costs: ExitCosts = {
    segments: Float64Array.from({ length: exits }, (_, i) => 0.05 + 0.01 * i),
    heads: Float64Array.from({ length: exits }, (_, i) => (i === exits - 1 ? 0 : 0.01)),
    unit: 'ms',
  };
  const total = costs.segments.reduce((a, b) => a + b, 0);
  const constraint = { kind: 'average', budget: total / 2 } as const;
  const found = searchDesign(
    { scores: scoreTables(memo, temperatures), costs, policy: 'confidence', fallback: 'most-confident', constraint },
    { evaluations: 2000, restarts: 1 },
  );
  const write = (name: string, bytes: Uint8Array | string): void => writeFileSync(join(folder, name), bytes);
  write('backbone.onnx', encodeModel(backbone));
  write('progressive.onnx', encodeModel(progressive.model));
  write('work/calibration.memo', encodeMemo(memo));
  write('work/costs.json', JSON.stringify(describeSearchCosts(costs)));
  const file = designFile(found.choice, {
    predicted: found.predicted,
    unit: 'ms',
    model: { candidates: chosen.length },
    budget: { constraint: 'average', limit: constraint.budget, asked: '50%' },
  });
  write('design-50pc.json', JSON.stringify(file));
  const pixels = Uint8Array.from({ length: 28 * 28 }, (_, i) => (Math.abs((i % 28) - 14) < 3 ? 255 : 0));
  write('digit.png', encodePng({ channels: 1, height: 28, width: 28, pixels }));
  const input = openSplitNetwork(progressive.model).inputs[0]!;
  const batch = { feeds: { [input]: noise(createRandom(1), [8, 1, 28, 28]) }, labels: [0, 1, 2, 3, 4, 5, 6, 7] };
  const options = { threads: 1, bits: [8, 32], thresholds: [0.1, 0.9], runs: 3 };
  write('split-profile.json', JSON.stringify(await measureSplit(progressive.model, [batch], options)));
  return folder;
}

/** What every view needs: the demo's files, an audit, a lab that nobody runs. */
export async function fullWorkspace(): Promise<string> {
  const folder = await demoLikeWorkspace();
  auditIn(join(folder, 'audit'));
  return folder;
}

/** Records of three apps. */
export function auditIn(folder: string): void {
  writeRun(folder, [
    appRecord('org.camera', {
      category: 'photography',
      models: [
        { name: 'detector', task: { modality: 'vision', task: 'object-detection' }, architecture: 'SSD' },
        { name: 'closed', unread: 'its bytes look random: it may be encrypted' },
      ],
      evidence: [
        { subject: 'tflite', use: 'called' },
        { subject: 'tflite', use: 'present' },
        { subject: 'mlkit', use: 'called' },
      ],
    }),
    appRecord('org.keyboard', {
      models: [{ name: 'words', format: 'onnx', task: { modality: 'text', task: 'next-word' }, architecture: 'LSTM' }],
    }),
    appRecord('org.plain'),
  ]);
  writeFileSync(join(folder, 'records', 'broken.json'), '{"schema":1}');
}

/** Images by class, as `--data ./FOLDER` takes them: the bright half says which class. */
export function imageFolder(folder: string, perClass: number, classes: readonly string[] = ['left', 'right']): void {
  const random = createRandom(3);
  for (const [at, name] of classes.entries()) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let i = 0; i < perClass; i++) {
      const pixels = Uint8Array.from({ length: 28 * 28 }, (_, pixel) =>
        Math.floor(60 * random.next() + (Math.floor((pixel % 28) / 14) === at % 2 ? 150 : 0)),
      );
      writeFileSync(join(folder, name, `${i}.png`), encodePng({ channels: 1, height: 28, width: 28, pixels }));
    }
  }
}
