/** @file README: its example runs as printed, its figures are those of the committed benches. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { readBaked } from '../../src/exits/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { codeBlocks, pageNamed, root, script } from './docs.js';

type Read = (name: string) => unknown;
interface Results {
  fillResults(text: string, read: Read): string;
  resultsIn(folder: URL): Read;
}

const readme = pageNamed('README.md');
const results = (await script('readme-results.mjs')) as Results;

describe('the example', () => {
  const built = existsSync(join(root, 'dist/index.js'));
  if (!built) console.warn('skipped: dist/ is not built (npm run build)');
  const folder = mkdtempSync(join(tmpdir(), 'cuttle-readme-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.skipIf(!built)('runs, and leaves a baked model', { timeout: 120_000 }, () => {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/cuttle'), 'junction');
    const [example] = codeBlocks(readme, 'js');
    writeFileSync(join(folder, 'example.mjs'), example!);
    execFileSync(process.execPath, ['example.mjs'], { cwd: folder, stdio: 'pipe' });
    const baked = readBaked(decodeModel(readFileSync(join(folder, 'early-exit.onnx'))));
    expect(baked).toMatchObject({ classes: 10, policy: { kind: 'confidence', thresholds: 0.8 } });
    expect(baked!.exits).toHaveLength(3);
  });

  test('is twelve lines of code', () => {
    const [example] = codeBlocks(readme, 'js');
    expect(example!.split('\n').filter(Boolean)).toHaveLength(12);
  });
});

describe('measured figures', () => {
  test('are those of bench/results (node scripts/readme-results.mjs)', () => {
    const read = results.resultsIn(pathToFileURL(join(root, 'bench/results/')));
    expect(readme.text).toBe(results.fillResults(readme.text, read));
  });

  /** The smallest results that every renderer reads, as the benches write them. */
  const stand: Readonly<Record<string, unknown>> = {
    'hapi-resnet20': {
      backbone: { testAccuracy: 0.9, p50Ms: 2 },
      budgets: {
        average: [{ budget: '50%', cuttle: { testAccuracy: 0.89 }, sdn6: { testAccuracy: 0.88 }, branchyNet2: null }],
      },
      speedUp: { measuredBaked: 1.9, lossPoints: 0.5 },
      latency: { medianRelativeError: 0.05, spearman: 0.99, designs: [1, 2, 3] },
      baked: [1.5, 3.25].map((percent) => ({
        inALoop: { toTheEnd: { percent }, leavingAtTheFirst: { percent: 2 * percent } },
      })),
      searchSeconds: 1.25,
    },
    'baked-overhead': {
      results: [
        {
          network: 'resnet20',
          exits: [3, 9],
          blockEnds: true,
          inALoop: {
            toTheEnd: { percent: 2.5, microseconds: 30 },
            leavingAtTheFirst: { percent: 1, microseconds: 2.25 },
          },
          alternating: { toTheEnd: { percent: 4, microseconds: 48 } },
        },
      ],
    },
    'train-step': {
      networks: {
        'resnet-20': {
          results: { native: { batch: 128, imagesPerSecond: 200 }, pytorch: { batch: 128, imagesPerSecond: 250 } },
          ratios: [
            { name: 'native / PyTorch', ratio: 0.8, bar: 0.75, met: true },
            { name: 'native / onnxsim', ratio: 5.25, bar: 1, met: true },
          ],
          peakMemoryNativeOverPytorch: 1.125,
        },
        lstm: {
          results: {
            native: { batch: 2048, imagesPerSecond: 64_000 },
            pytorch: { batch: 2048, imagesPerSecond: 16_000 },
            'pytorch-1': { batch: 2048, imagesPerSecond: 32_000 },
          },
          ratios: [{ name: 'native / PyTorch', ratio: 2, bar: 0.6, met: true }],
        },
      },
    },
    'train-accuracy': { recipe: { epochs: 10 }, cuttle: { accuracy: 0.85 }, pytorch: { accuracy: 0.851 } },
    'split-throughput': {
      networks: {
        a: {
          leastAgainstBestBaseline: 1.02,
          againstNeurosurgeonWithExits: { ratio: 12.5 },
          againstNeurosurgeonWithoutExits: { ratio: 11 },
          againstNeurosurgeonAt1ms: { withExits: { ratio: 3 }, withoutExits: { ratio: 2.5 } },
        },
        b: {
          leastAgainstBestBaseline: 1,
          againstNeurosurgeonWithoutExits: { ratio: 14 },
          againstNeurosurgeonAt1ms: { withoutExits: { ratio: 2 } },
        },
      },
    },
    'split-slo': { networks: { a: { objectives: { feasible: 3, metAtP95: 2 } }, b: {} } },
    'split-compression': { networks: { a: { ratioAt1pp: { median: 20 } }, b: { ratioAt1pp: { median: 24.25 } } } },
    search: {
      exhaustive: [{ constraint: 'average', budget: 0.5, seedsAt995: 10 }],
      full: { rows: [{ seconds: [1, 2.5] }] },
    },
  };
  const filled = results.fillResults(readme.text, (name) => stand[name]);

  test.each([
    'ResNet-20: 1.90× measured at 0.50 pp loss',
    '| ResNet-20 | 90.00 % | 50% | 89.00 % | 88.00 % | – |',
    '| predicted against measured latency, median relative error | 5.0 % | – |',
    '| designs run | 3 | – |',
    'over the plain network with their heads | 1.5–3.3 % | – |',
    '| ResNet-20 | 2 | block ends | 2.5 % (30.0 µs) | 1.0 % (2.3 µs) | 4.0 % (48.0 µs) |',
    '| resnet-20 | 128 | 200.0 | – | 250.0 | 0.80 (bar 0.75: met) | 1.13 |',
    '| character LSTM (characters) | 2048 | 64000.0 | – | 32000.0 | 2.00 (bar 0.6: met) | – |',
    '- ResNet-20, native / onnxsim: 5.3',
    '| PyTorch | 10 | 85.10 % |',
    '| average | 50 % | 10 of 10 | 2.5 s |',
    "throughput up to 12.5× Neurosurgeon's (3.0× where the link's latency is 1 ms), at least 1.02× the best",
    '2 of 3 feasible latency objectives met',
    "up to 14.0× Neurosurgeon's throughput (2.5× at 1 ms); measured: feature maps 20.0–24.3× smaller",
  ])('%s', (line) => expect(filled).toContain(line));

  test('filling twice changes nothing, and no result gives dashes only', () => {
    expect(results.fillResults(filled, (name) => stand[name])).toBe(filled);
    const empty = results.fillResults(filled, () => undefined);
    for (const [, , cells] of empty.matchAll(/<!-- results:([\w-]+) -->([\s\S]*?)<!-- \/results -->/g))
      expect(cells!.replace(/ResNet-\d+|BranchyNet-2|SDN-6|\d pp|99\.5 %/g, '')).not.toMatch(/\d/);
  });

  test('an unknown cell is an error', () => {
    expect(() => results.fillResults('<!-- results:nothing --><!-- /results -->', () => undefined)).toThrow(/nothing/);
  });
});
