/** @file Opset upgrades: the same outputs before and after, for recorded models and for every adapter. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  float,
  floats,
  graph as graphAttribute,
  GraphBuilder,
  makeGraph,
  makeModel,
  makeNode,
  opsetOf,
  subgraphsOf,
  Tensor,
  tensorType,
  type Model,
  type ModelFunction,
  type Node,
} from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { inlineFunctions, OpsetUpgradeError, upgradeOpset } from '../../src/passes/index.js';
import { adapters } from '../../src/passes/upgrade-opset-adapters.js';
import { compatibleChanges } from '../../src/passes/upgrade-opset-compatible.js';
import { floatConstant } from '../../src/passes/upgrade-opset-context.js';
import { difference, runOrt } from '../onnx/ort.js';
import { caseModel, hasTestdata, readSet, testCases } from '../onnx/testdata.js';

const wave = (dims: readonly number[], phase = 0): Tensor =>
  Tensor.floats(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 0.7 + phase) * 2),
    dims,
  );

const IR_OF_OPSET: Readonly<Record<number, number>> = { 7: 4, 8: 4, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7 };

/** A model of one operator at an old opset. */
function oldModel(opset: number, dims: readonly number[], build: (b: GraphBuilder) => readonly string[]): Model {
  const b = new GraphBuilder();
  b.input('x', tensorType('float32', dims));
  const outputs = build(b);
  const model = makeModel(b.graph('old', outputs), {
    opsets: new Map([['', opset]]),
    irVersion: IR_OF_OPSET[opset] ?? 8,
  });
  return model;
}

async function same(model: Model, target: number, feeds: Record<string, Tensor>, bound = 0): Promise<Model> {
  const upgraded = upgradeOpset(model, target);
  expect(upgraded.changed).toBe(true);
  expect(opsetOf(upgraded.model)).toBe(target);
  const before = await runOrt(encodeModel(model), feeds);
  const after = await runOrt(encodeModel(upgraded.model), feeds);
  expect(Object.keys(after)).toEqual(Object.keys(before));
  for (const [name, tensor] of Object.entries(before))
    expect(difference(tensor, after[name]!), name).toBeLessThanOrEqual(bound);
  return upgraded.model;
}

test('every change of every operator from opset 8 to 21 is decided: adapter or compatible', () => {
  const path = resolve(import.meta.dirname, '../fixtures/onnx-operator-versions.json');
  const history = JSON.parse(readFileSync(path, 'utf8')) as Record<string, number[]>;
  const undecided: string[] = [];
  const stale: string[] = [];
  for (const [op, versions] of Object.entries(history)) {
    const [first, ...later] = versions;
    expect(first).toBeGreaterThan(0);
    const decided = new Set([...Object.keys(adapters[op] ?? {}).map(Number), ...(compatibleChanges[op] ?? [])]);
    for (const version of later.filter((version) => version > 7))
      if (!decided.delete(version)) undecided.push(`${op}-${version}`);
    for (const version of decided) stale.push(`${op}-${version}`);
  }
  expect(undecided).toEqual([]);
  // Upsample ended at 10; nodes that go further become Resize at 11.
  expect(stale).toEqual(['Upsample-11']);
});

describe('adapters', () => {
  const x4 = [2, 3, 4, 5];

  test.each<[string, Model, number]>([
    ['Clip-6', oldModel(7, x4, (b) => [b.op('Clip', ['x'], { min: float(-1), max: float(0.5) })]), 0],
    ['Clip-6, one bound', oldModel(10, x4, (b) => [b.op('Clip', ['x'], { max: float(0.5) })]), 0],
    ['Dropout-7', oldModel(7, x4, (b) => [b.op('Dropout', ['x'], { ratio: float(0.3) })]), 0],
    ['Dropout-10', oldModel(10, x4, (b) => [b.op('Dropout', ['x'], { ratio: float(0.3) })]), 0],
    ['Pad-2', oldModel(7, x4, (b) => [b.op('Pad', ['x'], { pads: [0, 0, 1, 2, 0, 1, 0, 3] })]), 0],
    [
      'Pad-2, value',
      oldModel(9, x4, (b) => [b.op('Pad', ['x'], { pads: [0, 0, 1, 2, 0, 1, 0, 3], value: float(1.5) })]),
      0,
    ],
    [
      'Pad-2, reflect',
      oldModel(9, x4, (b) => [b.op('Pad', ['x'], { pads: [0, 0, 1, 2, 0, 0, 1, 2], mode: 'reflect' })]),
      0,
    ],
    [
      'Slice-1',
      oldModel(7, x4, (b) => [b.op('Slice', ['x'], { starts: [1, -3], ends: [3, 2n ** 63n - 1n], axes: [1, 3] })]),
      0,
    ],
    ['Slice-1 without axes', oldModel(9, x4, (b) => [b.op('Slice', ['x'], { starts: [0, 1], ends: [1, 3] })]), 0],
    ['TopK-1', oldModel(7, x4, (b) => b.ops('TopK', ['x'], { axis: 1, k: 2 }, { outputs: 2 })), 0],
    ['TopK-10', oldModel(10, x4, (b) => b.ops('TopK', ['x', b.int64s([2])], { axis: 1 }, { outputs: 2 })), 0],
    ['Softmax-1, axis 1', oldModel(7, x4, (b) => [b.op('Softmax', ['x'])]), 1e-6],
    ['Softmax-11, axis −2', oldModel(11, x4, (b) => [b.op('Softmax', ['x'], { axis: -2 })]), 1e-6],
    ['Softmax-11, last axis', oldModel(12, x4, (b) => [b.op('Softmax', ['x'], { axis: 3 })]), 0],
    ['LogSoftmax-1, axis 0', oldModel(7, x4, (b) => [b.op('LogSoftmax', ['x'], { axis: 0 })]), 1e-6],
    ['Hardmax-1, axis 2', oldModel(7, x4, (b) => [b.op('Hardmax', ['x'], { axis: 2 })]), 0],
    ['Split-2', oldModel(7, x4, (b) => b.ops('Split', ['x'], { axis: 3, split: [2, 3] }, { outputs: 2 })), 0],
    ['Split-2, equal', oldModel(11, x4, (b) => b.ops('Split', ['x'], { axis: 2 }, { outputs: 2 })), 0],
    ['Squeeze-1', oldModel(7, [1, 3, 1], (b) => [b.op('Squeeze', ['x'], { axes: [0] })]), 0],
    ['Squeeze-1, all', oldModel(7, [1, 3, 1], (b) => [b.op('Squeeze', ['x'])]), 0],
    ['Unsqueeze-11', oldModel(11, [3, 2], (b) => [b.op('Unsqueeze', ['x'], { axes: [-1, 0] })]), 0],
    [
      'Upsample-7',
      oldModel(7, x4, (b) => [b.op('Upsample', ['x'], { scales: floats([1, 1, 2, 3]), mode: 'nearest' })]),
      0,
    ],
    [
      'Upsample-9, linear',
      oldModel(9, x4, (b) => [b.op('Upsample', ['x', b.constant(Tensor.floats([1, 1, 2, 1.5]))], { mode: 'linear' })]),
      1e-6,
    ],
    ['Resize-10', oldModel(10, x4, (b) => [b.op('Resize', ['x', b.constant(Tensor.floats([1, 1, 2.5, 2]))])]), 0],
    [
      'Resize-10, smaller',
      oldModel(10, [1, 1, 7, 9], (b) => [b.op('Resize', ['x', b.constant(Tensor.floats([1, 1, 0.5, 0.4]))])]),
      0,
    ],
    [
      'Resize-11 by sizes',
      oldModel(11, [1, 1, 4, 4], (b) => [
        b.op(
          'Resize',
          ['x', b.constant(Tensor.floats([]), 'roi'), b.constant(Tensor.floats([]), 'scales'), b.int64s([1, 1, 7, 3])],
          { mode: 'linear' },
        ),
      ]),
      1e-6,
    ],
    [
      'Scatter-9',
      oldModel(9, [3, 3], (b) => [
        b.op(
          'Scatter',
          ['x', b.constant(Tensor.of('int64', [2, 3], [1, 0, 2, 0, 2, 1])), b.constant(wave([2, 3], 4))],
          { axis: 0 },
        ),
      ]),
      0,
    ],
    [
      'BatchNormalization-7',
      oldModel(7, x4, (b) => [
        b.op(
          'BatchNormalization',
          [
            'x',
            ...[1, 2, 3].map((phase) => b.parameter('p', wave([3], phase))),
            b.parameter('v', Tensor.floats([1, 2, 3])),
          ],
          { spatial: 1, momentum: float(0.8) },
        ),
      ]),
      1e-6,
    ],
    [
      'Gemm-7, MaxPool-1, Flatten-1',
      oldModel(7, x4, (b) => {
        const flat = b.op('Flatten', [b.op('MaxPool', ['x'], { kernel_shape: [2, 2] })]);
        return [b.op('Gemm', [flat, b.parameter('w', wave([36, 4])), b.parameter('c', wave([4]))])];
      }),
      1e-6,
    ],
    ...['L1', 'L2', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'].flatMap(
      (kind): [string, Model, number][] => [
        [
          `Reduce${kind}-1`,
          oldModel(7, x4, (b) => [b.op(`Reduce${kind}`, ['x'], { axes: [1, 3], keepdims: 0 })]),
          1e-6,
        ],
        [`Reduce${kind}-11, all`, oldModel(11, x4, (b) => [b.op(`Reduce${kind}`, ['x'])]), 1e-6],
      ],
    ),
    [
      'GridSample-16',
      oldModel(16, [1, 1, 4, 4], (b) => [
        b.op('GridSample', ['x', b.constant(Tensor.floats(wave([1, 2, 2, 2]).data as Float32Array, [1, 2, 2, 2]))], {
          mode: 'bicubic',
        }),
      ]),
      1e-6,
    ],
    ['DFT-17', oldModel(17, [1, 8, 1], (b) => [b.op('DFT', ['x'], { axis: 1 })]), 1e-6],
    [
      'RoiAlign-10',
      oldModel(10, [1, 1, 6, 6], (b) => [
        b.op('RoiAlign', ['x', b.constant(Tensor.floats([0, 0, 4, 4], [1, 4])), b.constant(Tensor.int64s([0]))], {
          output_height: 2,
          output_width: 2,
          sampling_ratio: 2,
        }),
      ]),
      1e-6,
    ],
  ])('%s', async (_name, model, bound) => {
    const input = model.graph.inputs[0]!.type!;
    const dims = (input.kind === 'tensor' ? input.shape : []) as readonly number[];
    for (const target of [18, 21]) {
      if (opsetOf(model) >= target) continue;
      await same(model, target, { x: wave(dims) }, bound);
    }
  });

  test('GroupNormalization-18 → 21', async () => {
    const model = oldModel(18, [2, 6, 4], (b) => [
      b.op('GroupNormalization', ['x', b.parameter('s', wave([3], 1)), b.parameter('b', wave([3], 2))], {
        num_groups: 3,
      }),
    ]);
    // ONNX Runtime has no kernel for the old form: it is compared with its definition.
    const x = wave([2, 6, 4]);
    const upgraded = upgradeOpset(model, 21).model;
    const actual = Object.values(await runOrt(encodeModel(upgraded), { x }))[0]!.numbers();
    const [values, scale, bias] = [x.numbers(), wave([3], 1).numbers(), wave([3], 2).numbers()];
    for (let n = 0; n < 2; n++)
      for (let g = 0; g < 3; g++) {
        const start = (n * 3 + g) * 8;
        const group = values.slice(start, start + 8);
        const mean = group.reduce((a, b) => a + b) / 8;
        const variance = group.reduce((a, b) => a + (b - mean) ** 2, 0) / 8;
        group.forEach((value, i) => {
          const expected = ((value - mean) / Math.sqrt(variance + 1e-5)) * scale[g]! + bias[g]!;
          expect(actual[start + i]).toBeCloseTo(expected, 4);
        });
      }
  });

  test('sub-graphs are upgraded with constants of their own', async () => {
    const branch = (output: string, low: number): Model['graph'] =>
      makeGraph({
        outputs: [{ name: output, type: tensorType('float32', [1, 2, 3]) }],
        nodes: [
          makeNode({
            name: `${output}_clip`,
            op: 'Clip',
            inputs: ['x'],
            outputs: [`${output}_h`],
            attributes: new Map([['min', float(low)]]),
          }),
          makeNode({
            name: `${output}_un`,
            op: 'Unsqueeze',
            inputs: [`${output}_h`],
            outputs: [output],
            attributes: new Map([['axes', { type: 'ints' as const, value: [0n] }]]),
          }),
        ],
      });
    const model = makeModel(
      makeGraph({
        inputs: [
          { name: 'x', type: tensorType('float32', [2, 3]) },
          { name: 'c', type: tensorType('bool', []) },
        ],
        outputs: [{ name: 'y', type: tensorType('float32', [1, 2, 3]) }],
        nodes: [
          makeNode({
            name: 'if',
            op: 'If',
            inputs: ['c'],
            outputs: ['y'],
            attributes: new Map([
              ['then_branch', graphAttribute(branch('p', -1))],
              ['else_branch', graphAttribute(branch('q', 0.25))],
            ]),
          }),
        ],
      }),
      { opsets: new Map([['', 9]]), irVersion: 4 },
    );
    for (const c of [0, 1]) await same(model, 18, { x: wave([2, 3]), c: Tensor.scalar('bool', c) });
  });

  test('functions are upgraded, and can be inlined then', async () => {
    const fn: ModelFunction = {
      name: 'Low',
      domain: 'own',
      overload: '',
      inputs: ['a'],
      outputs: ['r'],
      attributes: [],
      attributeDefaults: new Map(),
      nodes: [
        makeNode({
          name: 'm',
          op: 'ReduceMean',
          inputs: ['a'],
          outputs: ['r'],
          attributes: new Map([['axes', { type: 'ints' as const, value: [1n] }]]),
        }),
      ],
      opsets: new Map([['', 13]]),
      doc: '',
    };
    const model = makeModel(
      makeGraph({
        inputs: [{ name: 'x', type: tensorType('float32', [2, 3]) }],
        outputs: [{ name: 'y', type: tensorType('float32', [2, 1]) }],
        nodes: [makeNode({ name: 'call', op: 'Low', domain: 'own', inputs: ['x'], outputs: ['y'] })],
      }),
      {
        opsets: new Map([
          ['', 13],
          ['own', 1],
        ]),
        irVersion: 8,
        functions: [fn],
      },
    );
    const upgraded = await same(model, 18, { x: wave([2, 3]) }, 1e-6);
    expect(upgraded.functions[0]!.opsets.get('')).toBe(18);
    const inlined = inlineFunctions(upgraded).model;
    const [a, b] = [
      await runOrt(encodeModel(upgraded), { x: wave([2, 3]) }),
      await runOrt(encodeModel(inlined), { x: wave([2, 3]) }),
    ];
    expect(difference(a.y!, b.y!)).toBe(0);
  });

  test('a reached or exceeded opset changes nothing', () => {
    const model = oldModel(18, [1], (b) => [b.op('Relu', ['x'])]);
    expect(upgradeOpset(model)).toMatchObject({ changed: false, from: 18, to: 18, model });
    expect(() => upgradeOpset(model, 22)).toThrow(/no target/);
  });

  test('bounds take the data’s own type', () => {
    expect(floatConstant('float16', 6).data[0]).toBe(0x4600);
    expect(floatConstant('float16', -0.1).data[0]).toBe(0xae66);
    expect(floatConstant('float16', 65504).data[0]).toBe(0x7bff);
    expect(floatConstant('float16', 2 ** -24).data[0]).toBe(1);
    expect(floatConstant('float16', 1e9).data[0]).toBe(0x7c00);
    expect(floatConstant('float16', 2047.9999).data[0]).toBe(0x6800);
    expect(floatConstant('bfloat16', 1).data[0]).toBe(0x3f80);
    expect(floatConstant('float64', 0.1).data[0]).toBe(0.1);
  });

  test.each<[string, Model]>([
    [
      'BatchNormalization',
      oldModel(7, [2, 3], (b) => [b.op('BatchNormalization', ['x', 'x', 'x', 'x', 'x'], { spatial: 0 })]),
    ],
    [
      'BatchNormalization',
      oldModel(9, [2, 3], (b) => b.ops('BatchNormalization', ['x', 'x', 'x', 'x', 'x'], {}, { outputs: 3 })),
    ],
    ['Scan', oldModel(8, [2, 3], (b) => [b.op('Scan', ['', 'x'])])],
    ['Resize', oldModel(10, [2, 3], (b) => [b.op('Resize', ['x', 'x'])])],
  ])('%s that cannot be kept is refused by name', (op, model) => {
    expect(() => upgradeOpset(model)).toThrow(OpsetUpgradeError);
    expect(() => upgradeOpset(model)).toThrow(op);
  });
});

if (!hasTestdata) console.log('skipped: Debian package libonnx-testdata is not installed');

describe.skipIf(!hasTestdata)('libonnx-testdata', () => {
  const RANDOM = /^(Bernoulli|Multinomial|Random.*)$/;
  const isRandom = (node: Node): boolean =>
    RANDOM.test(node.op) ||
    (node.op === 'Dropout' && node.inputs.length === 3) ||
    subgraphsOf(node).some(([, graph]) => graph.nodes.some(isRandom));

  test.each([
    [18, 'converted models'],
    [21, 'all models'],
  ])('outputs are those of before at opset %i, %s', { timeout: 120_000 }, async (target) => {
    const tally = { same: 0, notRun: 0, refused: [] as string[] };
    const all = target === 21;
    const different: string[] = [];
    for (const testCase of testCases()) {
      const model = caseModel(testCase);
      const opset = opsetOf(model);
      if (opset < 7 || opset >= target || model.graph.nodes.some(isRandom)) continue;
      const { inputs } = readSet(model, testCase.sets[0]!);
      const feeds: Record<string, Tensor> = {};
      for (const [name, value] of inputs) if (value.kind === 'tensor') feeds[name] = value.tensor;
      if (Object.keys(feeds).length !== inputs.size) continue;
      let upgraded: Model;
      try {
        const result = upgradeOpset(model, target);
        if (!all && result.converted.length === 0) continue;
        upgraded = result.model;
      } catch (error) {
        if (!(error instanceof OpsetUpgradeError)) throw error;
        tally.refused.push(testCase.name);
        continue;
      }
      let before: Record<string, Tensor>;
      try {
        before = await runOrt(encodeModel(model), feeds);
      } catch {
        tally.notRun++;
        continue;
      }
      try {
        const after = await runOrt(encodeModel(upgraded), feeds);
        const worst = Math.max(0, ...Object.entries(before).map(([name, tensor]) => difference(tensor, after[name]!)));
        if (worst > 1e-6) different.push(`${testCase.name}: ${worst}`);
        else tally.same++;
      } catch (error) {
        different.push(`${testCase.name}: ${String(error).slice(0, 200)}`);
      }
    }
    console.log(
      `opset ${target}: ${tally.same} the same, ${tally.notRun} that ONNX Runtime refuses, refused: ${tally.refused.join()}`,
    );
    expect(different).toEqual([]);
    expect(tally.same).toBeGreaterThan(all ? 700 : 100);
  });
});
