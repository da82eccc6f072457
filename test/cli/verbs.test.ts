/** @file The verbs inspect, profile, train, eval and run do what they say, and print the documented fields. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { verbs } from '../../src/cli/verbs/index.js';
import { PREPROCESSING_KEY } from '../../src/data/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import type { AnalysedProfile } from '../../src/measure/index.js';
import { parseProfile } from '../../src/runtime/index.js';
import { imageFile } from '../data/files.js';
import { cuttle, digitsModel, jsonOf, scratchFolder, writeModel } from './cli.js';

const folder = scratchFolder();
const data = ['--data', 'mnist', '--limit', '200'];
let model = '';
let image = '';
beforeAll(async () => {
  model = writeModel(folder, 'lenet.onnx', digitsModel());
  image = join(folder, 'digit.png');
  writeFileSync(image, await imageFile('png', [200], { width: 28, height: 28 }));
});

describe('help', () => {
  test('without words, usage and exit code 2; asked for, exit code 0', async () => {
    const none = await cuttle([]);
    expect(none.code).toBe(2);
    const asked = await cuttle(['--help']);
    expect(asked.code).toBe(0);
    for (const { name, summary } of verbs) {
      expect(none.out).toContain(name);
      expect(asked.out.replace(/\s+/g, ' ')).toContain(summary);
    }
  });

  test.each(verbs.map((verb) => [verb.name, verb] as const))(
    '%s lists its options and examples',
    async (name, verb) => {
      const { code, out } = await cuttle([name, '--help']);
      expect(code).toBe(0);
      for (const [flag] of verb.flags) expect(out).toContain(flag);
      expect(verb.examples.length).toBeGreaterThan(0);
      for (const example of verb.examples) {
        expect(out).toContain(`  ${example}`);
        expect(example).toMatch(new RegExp(`^cuttle ${name}\\b`));
      }
    },
  );

  test('every example is understood', async () => {
    // Options are checked before files are opened: a missing input is 3, words that cannot be understood are 2.
    // These need no input, and would begin their work.
    const begin = /^cuttle (demo|train|lab serve)\b/;
    for (const verb of verbs)
      for (const example of verb.examples.filter((line) => !begin.test(line))) {
        const words = example.replace(/ > .*/, '').replaceAll('cuttle-demo/', join(folder, 'none/')).split(' ');
        const { code, err } = await cuttle(words.slice(1));
        expect({ example, code, err: err.filter((line) => !line.includes('does not exist')) }).toEqual({
          example,
          code: 3,
          err: [],
        });
      }
  });

  test('the version', async () => {
    expect(await cuttle(['--version'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('0.0.0-test') as string,
    });
  });
});

describe('inspect', () => {
  test('the documented fields', async () => {
    const json = await jsonOf(['inspect', model]);
    expect(json).toMatchObject({
      format: 'onnx',
      params: 61_706,
      inputs: [{ name: 'input', shape: ['batch', 1, 28, 28], dtype: 'float32' }],
      outputs: [{ name: 'logits', shape: ['batch', 10], dtype: 'float32' }],
    });
    expect(json.opset).toBeGreaterThanOrEqual(7);
    expect(json.peakActivationBytes).toBeGreaterThan(28 * 28 * 4);
    const nodes = json.nodes as { op: string; macs: number; params: number; outputs: unknown[] }[];
    expect(nodes.reduce((sum, node) => sum + node.macs, 0)).toBe(json.macs);
    // 6 filters of 5×5 on 28×28 padded images: LeNet-5's first layer.
    expect(nodes[0]).toMatchObject({ op: 'Conv', macs: 6 * 25 * 28 * 28, params: 6 * 26 });
    // Layers are listed at the sizes that costs are counted for.
    expect(nodes[0]!.outputs).toEqual([{ shape: [1, 6, 28, 28], dtype: 'float32' }]);
    expect(json.assumedDims).toEqual({ batch: 1 });
  });

  test('for people: one row per layer', async () => {
    const { out } = await cuttle(['inspect', model, '--top', '2']);
    expect(out).toMatch(/61[.,]7.{0,2}k parameters/i);
    expect(out.split('\n').filter((line) => /Conv|Gemm|MatMul/.test(line)).length).toBe(2);
  });
});

describe('profile', () => {
  test('the documented fields, and a document that the search reads back', async () => {
    const json = await jsonOf(['profile', model, '--runs', '5', '--warm-up', '2', '--threads', '1']);
    const { device, latencyMs, layers } = parseProfile(json);
    expect(device.threads).toBe(1);
    expect(latencyMs.p50).toBeLessThanOrEqual(latencyMs.p90);
    expect(latencyMs.p90).toBeLessThanOrEqual(latencyMs.p99);
    expect(layers.length).toBeGreaterThan(4);
    for (const { ms, share } of layers) expect(ms >= 0 && share >= 0 && share <= 1).toBe(true);
    const { roofline, operators, bounds } = json as unknown as AnalysedProfile;
    expect(roofline.gflops > 0 && roofline.gbPerSecond > 0 && roofline.ridge > 0).toBe(true);
    expect(operators.map(({ op }) => op)).toContain('Conv');
    // The rest belongs to no layer: conversions that ONNX Runtime inserted.
    expect(bounds.compute + bounds.memory + bounds.overhead).toBeGreaterThan(0.3);
    const bare = await jsonOf(['profile', model, '--runs', '5', '--warm-up', '2', '--threads', '1', '--no-roofline']);
    expect(bare).not.toHaveProperty('roofline');
    const { out } = await cuttle(['profile', model, '--runs', '5', '--top', '2']);
    expect(out).toMatch(/the device reaches .* GFLOP\/s and .* GB\/s/);
    expect(out).toMatch(/bound by: compute .* memory .* overhead/);
  });
});

describe('train', () => {
  test('from scratch and further, with the documented fields; a seed repeats it', async () => {
    const [first, second, tuned] = ['first', 'second', 'tuned'].map((name) => join(folder, `${name}.onnx`));
    const recipe = ['train', '--arch', 'lenet-5', ...data, '--epochs', '2', '--batch', '32', '--seed', '3'];
    const json = await jsonOf([...recipe, '--out', first!]);
    expect(json).toMatchObject({ epochs: 2, params: 61_706 });
    expect(json.accuracy as number).toBeGreaterThanOrEqual(0);
    expect(json.loss as number).toBeGreaterThan(0);
    expect(json.imagesPerSecond as number).toBeGreaterThan(0);
    expect(json.history).toHaveLength(2);
    expect(existsSync(`${first}.checkpoint`)).toBe(false);

    await jsonOf([...recipe, '--out', second!]);
    expect(readFileSync(second!).equals(readFileSync(first!))).toBe(true);
    const trained = decodeModel(readFileSync(first!));
    expect(trained.metadata.get(PREPROCESSING_KEY)).toBeDefined();

    const further = await jsonOf([
      'train',
      '--model',
      first!,
      ...data,
      '--epochs',
      '1',
      '--lr',
      '0.001',
      '--out',
      tuned!,
    ]);
    expect(further.params).toBe(61_706);
  });
});

describe('eval and run', () => {
  test('eval: the documented fields', async () => {
    const json = await jsonOf(['eval', model, ...data, '--latency-samples', '5']);
    expect(json).toMatchObject({ kind: 'plain', exits: [{ name: 'final', share: 1 }] });
    expect(json.samples as number).toBeGreaterThan(30);
    expect(json.accuracy).toBe((json.exits as { accuracy: number }[])[0]!.accuracy);
    expect(Object.keys(json.latencyMs as object)).toEqual(expect.arrayContaining(['p50', 'mean']));
  });

  test('run: the documented fields; scores sum to 1, the label is the best one', async () => {
    const json = await jsonOf(['run', model, '--input', image]);
    const scores = json.scores as number[];
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 5);
    expect(json).toMatchObject({ exit: 'final', label: String(scores.indexOf(Math.max(...scores))) });
    expect(json.latencyMs as number).toBeGreaterThan(0);
  });

  test('a model that does not say how its input is made: what was assumed is said', async () => {
    const bare = digitsModel();
    const path = writeModel(folder, 'bare.onnx', { ...bare, metadata: new Map() });
    const { code, err } = await cuttle(['run', path, '--input', image]);
    expect(code).toBe(0);
    expect(err.join('\n')).toMatch(/warning: .*assumed/);
    const stated = await cuttle(['run', path, '--input', image, '--normalise', 'none', '--channels', 'gray']);
    expect(stated.err.join('\n')).not.toMatch(/normalisation/);
  });
});
