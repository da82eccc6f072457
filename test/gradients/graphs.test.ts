/** @file Gradients of whole graphs: fan-out, frozen parts, residual blocks, random small networks, refusals. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { float, GraphBuilder, makeModel, Tensor, tensorType, type Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { appendGradients, type Gradients } from '../../src/passes/index.js';
import { openSession } from '../../src/runtime/index.js';
import { centralDifferences, compare, random, runModel } from './harness.js';

/** A float32 tensor of seeded values around 0. */
function noise(seed: number, dims: readonly number[], scale = 1): Tensor<'float32'> {
  const next = random(seed);
  const size = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.floats(
    new Float32Array(size).map(() => (next() * 2 - 1) * scale),
    dims,
  );
}

/** Runs a model with the given gradients as outputs. */
async function runGradients(model: Model, { graph, gradients }: Gradients, feeds: Record<string, Tensor>) {
  const fetched = [...gradients].flatMap(([value, gradient]) =>
    gradient === undefined ? [] : [[value, gradient] as const],
  );
  const outputs = [...new Set(fetched.map(([, name]) => name))].map((name) => ({ name, type: undefined }));
  const result = await runModel({ ...model, graph: { ...graph, outputs } }, feeds);
  return new Map(fetched.map(([value, name]) => [value, result[name]!]));
}

const BATCH = 3;

/** A small network over inputs [batch, 2, 6, 6] with its weights as graph inputs, described by a list of layers. */
type Layer = 'conv' | 'stride' | 'depthwise' | 'relu' | 'norm' | 'residual' | 'pool' | 'average';

function network(layers: readonly Layer[]): {
  model: Model;
  loss: string;
  feeds: Record<string, Tensor>;
  weights: string[];
} {
  const b = new GraphBuilder();
  const feeds: Record<string, Tensor> = { x: noise(1, [BATCH, 2, 6, 6]) };
  const weights: string[] = [];
  const weight = (dims: readonly number[], scale = 0.6, offset = 0): string => {
    const name = b.input(`w${weights.length}`, tensorType('float32', dims));
    weights.push(name);
    const values = noise(weights.length + 10, dims, scale);
    feeds[name] = Tensor.floats(
      values.data.map((value) => value + offset),
      dims,
    );
    return name;
  };
  const norm = (x: string): string =>
    b.ops(
      'BatchNormalization',
      [
        x,
        weight([2], 0.3, 1),
        weight([2]),
        b.parameter('mean', Tensor.floats([0, 0])),
        b.parameter('variance', Tensor.floats([1, 1])),
      ],
      { training_mode: 1, momentum: float(0) },
      { outputs: 3 },
    )[0]!;
  const same = { pads: [1, 1, 1, 1] };
  let x = b.input('x', tensorType('float32', ['batch', 2, 6, 6]));
  for (const layer of layers) {
    if (layer === 'conv') x = b.op('Conv', [x, weight([2, 2, 3, 3]), weight([2])], same);
    else if (layer === 'stride') x = b.op('Conv', [x, weight([2, 2, 3, 3])], { ...same, strides: [2, 2] });
    else if (layer === 'depthwise') x = b.op('Conv', [x, weight([2, 1, 3, 3])], { ...same, group: 2 });
    else if (layer === 'relu') x = b.op('Softplus', [x]);
    else if (layer === 'norm') x = norm(x);
    else if (layer === 'residual') x = b.op('Add', [x, b.op('Tanh', [b.op('Conv', [x, weight([2, 2, 1, 1])])])]);
    else if (layer === 'pool') x = b.op('MaxPool', [x], { kernel_shape: [3, 3], strides: [1, 1], ...same });
    else x = b.op('AveragePool', [x], { kernel_shape: [2, 2], strides: [1, 1], auto_pad: 'SAME_UPPER' });
  }
  const flat = b.op('Flatten', [b.op('GlobalAveragePool', [x])]);
  const logits = b.op('Gemm', [flat, weight([3, 2], 1), weight([3])], { transB: 1 });
  const loss = b.op('SoftmaxCrossEntropyLoss', [logits, b.parameter('labels', Tensor.int64s([0, 2, 1]))]);
  const model = makeModel(b.graph('network', [{ name: loss, type: tensorType('float32', []) }]));
  return { model, loss, feeds, weights };
}

async function checkNetwork(layers: readonly Layer[]): Promise<void> {
  const { model, loss, feeds, weights } = network(layers);
  const wanted = ['x', ...weights];
  const gradients = await runGradients(model, appendGradients(model, loss, wanted), feeds);
  const session = await openSession(encodeModel(model), { backend: 'native', threads: 1 });
  try {
    for (const name of wanted) {
      const expected = await centralDifferences(session, feeds, name, 4e-3, 5);
      compare(`${layers.join()}: ${name}`, gradients.get(name)!, feeds[name]!.dims, expected, 4e-3);
    }
  } finally {
    await session.release();
  }
}

describe('gradients of whole graphs', () => {
  it('match central differences on random small networks with a symbolic batch', async () => {
    const layer = fc.constantFrom<Layer>('conv', 'depthwise', 'relu', 'norm', 'residual', 'average', 'stride');
    await fc.assert(fc.asyncProperty(fc.array(layer, { minLength: 1, maxLength: 5 }), checkNetwork), {
      numRuns: 12,
      seed: 4,
    });
  });

  // Fresh running averages are equal constants, which ORT merges and then overwrites in place.
  it('stay right where BatchNormalization nodes hold equal running averages', () =>
    checkNetwork(['conv', 'norm', 'relu', 'conv', 'norm', 'residual', 'norm']));

  it('stay right where BatchNormalization nodes share their running averages', async () => {
    const { model, loss, feeds, weights } = network(['conv', 'norm', 'relu', 'conv', 'norm']);
    const norms = model.graph.nodes.filter((node) => node.op === 'BatchNormalization');
    const shared = norms[0]!.inputs.slice(3);
    const graph = {
      ...model.graph,
      nodes: model.graph.nodes.map((node) =>
        node.op === 'BatchNormalization' ? { ...node, inputs: [...node.inputs.slice(0, 3), ...shared] } : node,
      ),
    };
    const apart = await runGradients(model, appendGradients(model, loss, weights), feeds);
    const together = await runGradients(
      { ...model, graph },
      appendGradients({ ...model, graph }, loss, weights),
      feeds,
    );
    for (const name of weights)
      together
        .get(name)!
        .numbers()
        .forEach((value, i) => expect(value).toBeCloseTo(apart.get(name)!.numbers()[i]!, 4));
  });

  it('add up over every use of a value, twice in one node included', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', [2]));
    const loss = b.op('ReduceSum', [b.op('Sum', [b.op('Mul', [x, x]), x, b.op('Neg', [x])])], { keepdims: 0 });
    const model = makeModel(b.graph('g', [loss]));
    const found = await runGradients(model, appendGradients(model, loss, ['x']), { x: Tensor.floats([3, -2]) });
    expect(found.get('x')!.numbers()).toEqual([6, -4]);
  });

  it('emit nothing upstream of what is trained', () => {
    const { model, loss, weights } = network(['conv', 'norm', 'relu', 'conv']);
    const head = weights.slice(-2);
    const all = appendGradients(model, loss, weights);
    const some = appendGradients(model, loss, head);
    const added = (gradients: Gradients): string[] =>
      gradients.graph.nodes.slice(model.graph.nodes.length).map((node) => node.op);
    expect(added(all)).toContain('Conv');
    expect(added(some)).not.toContain('Conv');
    expect(added(some)).not.toContain('HardSigmoid');
    expect(added(some).length).toBeLessThan(20);
  });

  it('give no gradient for a value that the loss does not depend on', () => {
    const { model, loss } = network(['relu']);
    expect(appendGradients(model, loss, ['nowhere']).gradients.get('nowhere')).toBeUndefined();
  });

  it('emit only operators of ai.onnx', () => {
    const { model, loss, weights } = network(['conv', 'stride', 'depthwise', 'norm', 'residual', 'pool', 'average']);
    for (const node of appendGradients(model, loss, weights).graph.nodes) expect(node.domain).toBe('');
  });

  it('refuse an opset older than the rules', () => {
    const { model, loss } = network(['relu']);
    expect(() => appendGradients({ ...model, opsets: new Map([['', 17]]) }, loss, ['x'])).toThrow(/opset 17/);
  });
});
