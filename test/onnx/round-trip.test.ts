/** @file Load → save → run: every model that ONNX Runtime runs gives bit-equal outputs after a round trip. */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { subgraphsOf, Tensor, type Model, type Node } from '../../src/ir/index.js';
import { decodeModel, encodeModel } from '../../src/onnx/index.js';
import { bitEqual, runOrt } from './ort.js';
import { caseModel, hasTestdata, readBytes, readSet, testCases } from './testdata.js';

/** Operators that draw random numbers: two runs of the same file differ. */
const RANDOM = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

function drawsRandomNumbers(model: Model): boolean {
  const draws = (node: Node): boolean =>
    RANDOM.has(node.op) ||
    // Training-mode Dropout: the third input, or an attribute in old operator sets.
    (node.op === 'Dropout' && node.inputs.length === 3) ||
    subgraphsOf(node).some(([, graph]) => graph.nodes.some(draws));
  return model.graph.nodes.some(draws) || model.functions.some((fn) => fn.nodes.some(draws));
}

if (!hasTestdata) console.log('skipped: Debian package libonnx-testdata is not installed');

describe.skipIf(!hasTestdata)('libonnx-testdata', () => {
  const cases = testCases();
  const tally = { equal: 0, random: [] as string[], refused: [] as string[], nonTensor: [] as string[] };

  test('there are 1,072 models', () => {
    expect(cases.length).toBe(1072);
  });

  test('the writer is a fixed point: decode ∘ encode changes nothing', () => {
    for (const testCase of cases) {
      const first = encodeModel(caseModel(testCase));
      const again = encodeModel(decodeModel(first, { limits: { minOpset: 1 } }));
      expect(Buffer.compare(first, again), testCase.name).toBe(0);
    }
  });

  test('outputs are bit-equal after load → save', { timeout: 120_000 }, async () => {
    for (const testCase of cases) {
      const model = caseModel(testCase);
      if (drawsRandomNumbers(model)) {
        tally.random.push(testCase.name);
        continue;
      }
      const original = readBytes(testCase.modelPath);
      const saved = encodeModel(model);
      const { inputs } = readSet(model, testCase.sets[0]!);
      const feeds: Record<string, Tensor> = {};
      for (const [name, value] of inputs) if (value.kind === 'tensor') feeds[name] = value.tensor;
      if ([...inputs.values()].some((value) => value.kind !== 'tensor')) {
        // The binding feeds tensors only.
        tally.nonTensor.push(testCase.name);
        continue;
      }
      let expected: Record<string, Tensor>;
      try {
        expected = await runOrt(original, feeds);
      } catch {
        tally.refused.push(testCase.name);
        continue;
      }
      const actual = await runOrt(saved, feeds);
      expect(Object.keys(actual), testCase.name).toEqual(Object.keys(expected));
      for (const [name, tensor] of Object.entries(expected))
        expect(bitEqual(actual[name]!, tensor), `${testCase.name}: output '${name}'`).toBe(true);
      tally.equal++;
    }
    console.log(
      `bit-equal ${tally.equal}; not run: ${tally.refused.length} that ONNX Runtime refuses, ` +
        `${tally.nonTensor.length} with sequence or optional inputs, which its Node binding cannot feed, ` +
        `${tally.random.length} that draw random numbers`,
    );
    expect(tally.equal).toBeGreaterThan(900);
  });

  test('recorded outputs are decoded as ONNX Runtime computes them', async () => {
    for (const name of ['node/test_relu', 'node/test_cast_FLOAT_to_FLOAT16', 'node/test_and2d', 'node/test_shape']) {
      const testCase = cases.find((candidate) => candidate.name === name)!;
      const model = caseModel(testCase);
      const { inputs, outputs } = readSet(model, testCase.sets[0]!);
      const feeds = Object.fromEntries(
        [...inputs].map(([input, value]) => [input, value.kind === 'tensor' ? value.tensor : Tensor.floats([])]),
      );
      const actual = await runOrt(readBytes(testCase.modelPath), feeds);
      for (const [output, value] of outputs)
        expect(value.kind === 'tensor' && bitEqual(value.tensor, actual[output]!), name).toBe(true);
    }
  });
});

const models = resolve(import.meta.dirname, '../../../shared/models');
if (!existsSync(models)) console.log('skipped: ../shared/models is not there');

describe.skipIf(!existsSync(models))('models of other frameworks', () => {
  const files = existsSync(models)
    ? (readdirSync(models, { recursive: true }) as string[]).filter((file) => file.endsWith('.onnx'))
    : [];

  test.each(files)('%s', async (file) => {
    const original = readBytes(join(models, file));
    const model = decodeModel(original);
    const saved = encodeModel(model);
    const feeds: Record<string, Tensor> = {};
    for (const input of model.graph.inputs) {
      if (input.type?.kind !== 'tensor' || model.graph.initializers.has(input.name)) continue;
      const dims = input.type.shape!.map((dim) => (typeof dim === 'number' ? dim : 2));
      const size = dims.reduce((product, dim) => product * dim, 1);
      feeds[input.name] = Tensor.floats(
        Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.37)),
        dims,
      );
    }
    const [expected, actual] = [await runOrt(original, feeds), await runOrt(saved, feeds)];
    expect(Object.keys(expected).length).toBeGreaterThan(0);
    for (const [name, tensor] of Object.entries(expected)) expect(bitEqual(actual[name]!, tensor), name).toBe(true);
  });
});
