/** @file Small made-up networks to profile where few real ones are at hand: layers of all families over the usual range of sizes. */
import {
  EMIT_OPSET,
  GraphBuilder,
  makeModel,
  Tensor,
  tensorType,
  type AttributeInput,
  type Model,
} from '../../ir/index.js';
import { createRandom, type Random } from '../../platform/index.js';

/** The group of all probes: learned from, never held out. */
export const PROBES = 'probes';

/** A network and its name. */
export interface Probe {
  readonly name: string;
  readonly model: Model;
}

/** A value that the walk stands at: batch 1, channels, square images. */
interface Place {
  readonly value: string;
  readonly channels: number;
  readonly size: number;
}

type Step = (walk: Walk, at: Place) => Place;

const SIZES = [2, 4, 7, 8, 14, 16, 24, 28, 32, 48, 64, 96, 112];
const CHANNELS = [8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768];
const WIDTHS = [10, 64, 128, 256, 512, 1000, 1024, 2048, 4096];
/** Limits of one layer, so that a probe takes milliseconds. */
const MOST_MACS = 4e7;
const MOST_ELEMENTS = 1.5e6;
const STEPS = 7;
/** Random weights repeat after so many. */
const TILE = 1021;
/** The smallest images come late in networks, where channels are many and weights large. */
const [SMALL, LEAST_OF_SMALL] = [4, 192];

/** Layers being put on one another with seeded weights. */
class Walk {
  readonly b = new GraphBuilder();

  constructor(readonly random: Random) {}

  pick<T>(list: readonly T[]): T {
    return list[this.random.int(list.length)]!;
  }

  weight(dims: readonly number[]): string {
    const size = dims.reduce((product, dim) => product * dim, 1);
    const deviation = Math.sqrt(2 / Math.max(1, size / dims[0]!));
    const values = new Float32Array(size);
    // Drawing every number would take longer than measuring.
    const tile = Float32Array.from({ length: Math.min(size, TILE) }, () => this.random.normal() * deviation);
    for (let i = 0; i < size; i += TILE) values.set(tile.subarray(0, Math.min(TILE, size - i)), i);
    return this.b.parameter('weight', Tensor.floats(values, dims));
  }

  op(name: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeInput>> = {}): string {
    return this.b.op(name, inputs, attributes);
  }

  finish(name: string, value: string, dims: readonly number[]): Model {
    const outputs = [{ name: this.b.alias(value, 'output'), type: tensorType('float32', dims) }];
    return makeModel(this.b.graph(name, outputs), { opsets: new Map([['', EMIT_OPSET]]) });
  }
}

/** A convolution, half of them with an activation, none beyond the limits: those are narrowed. */
function convolve(walk: Walk, at: Place, given: { kernel: number; depthwise?: boolean }): Place {
  const { kernel, depthwise = false } = given;
  const stride = at.size >= 8 && walk.random.next() < 0.25 ? 2 : 1;
  const size = Math.floor((at.size - 1) / stride) + 1;
  const perChannel = kernel ** 2 * (depthwise ? 1 : at.channels) * size ** 2;
  const fitting = CHANNELS.filter(
    (each) =>
      each * perChannel <= MOST_MACS && each * size ** 2 <= MOST_ELEMENTS && (size > SMALL || each >= LEAST_OF_SMALL),
  );
  const channels = depthwise ? at.channels : fitting.length === 0 ? 8 : walk.pick(fitting);
  const pad = kernel >> 1;
  const value = walk.op(
    'Conv',
    [
      at.value,
      walk.weight([channels, depthwise ? 1 : at.channels, kernel, kernel]),
      walk.b.parameter('bias', Tensor.floats(new Float32Array(channels))),
    ],
    {
      ...{ kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] },
      group: depthwise ? channels : 1,
    },
  );
  return { value: walk.random.next() < 0.6 ? walk.op('Relu', [value]) : value, channels, size };
}

const unary =
  (...ops: readonly string[]): Step =>
  (walk, at) => ({ ...at, value: walk.op(walk.pick(ops), [at.value]) });

function pool(walk: Walk, at: Place): Place {
  if (at.size < 4) return at;
  const size = at.size >> 1;
  const attributes = { kernel_shape: [2, 2], strides: [2, 2] };
  return { ...at, size, value: walk.op(walk.pick(['MaxPool', 'AveragePool']), [at.value], attributes) };
}

/** A branch beside the way that it came, added or stacked. */
function join(walk: Walk, at: Place): Place {
  const other = walk.op('Sigmoid', [at.value]);
  if (walk.random.next() < 0.5 || 2 * at.channels * at.size ** 2 > MOST_ELEMENTS)
    return { ...at, value: walk.op(walk.pick(['Add', 'Mul']), [at.value, other]) };
  return { ...at, channels: 2 * at.channels, value: walk.op('Concat', [at.value, other], { axis: 1 }) };
}

function normalise(walk: Walk, at: Place): Place {
  // Behind a sum nothing is left that it could be folded into.
  const sum = walk.op('Add', [at.value, at.value]);
  const ones = (): string => walk.b.parameter('ones', Tensor.floats(new Float32Array(at.channels).fill(1)));
  return { ...at, value: walk.op('BatchNormalization', [sum, ones(), ones(), ones(), ones()]) };
}

/** There and back again, channels last in between. */
function transpose(walk: Walk, at: Place): Place {
  const last = walk.op('Tanh', [walk.op('Transpose', [at.value], { perm: [0, 2, 3, 1] })]);
  return { ...at, value: walk.op('Transpose', [last], { perm: [0, 3, 1, 2] }) };
}

/** Steps of an image network and how often each is taken. */
const STEPS_OF_IMAGES: readonly (readonly [number, Step])[] = [
  [5, (walk, at) => convolve(walk, at, { kernel: 3 })],
  [1, (walk, at) => convolve(walk, at, { kernel: walk.pick([5, 7]) })],
  [5, (walk, at) => convolve(walk, at, { kernel: 1 })],
  [4, (walk, at) => convolve(walk, at, { kernel: walk.pick([3, 3, 5]), depthwise: true })],
  [1, pool],
  [2, join],
  [1, normalise],
  [1, transpose],
  [1, unary('Relu', 'HardSwish', 'LeakyRelu', 'Tanh', 'Sigmoid')],
];

function imageProbe(name: string, random: Random): Model {
  const walk = new Walk(random);
  const size = walk.pick(SIZES);
  const channels = walk.pick(
    [1, 3, ...CHANNELS].filter(
      (each) => each * size ** 2 <= MOST_ELEMENTS / 4 && (size > SMALL || each >= LEAST_OF_SMALL),
    ),
  );
  let at: Place = { value: walk.b.input('input', tensorType('float32', [1, channels, size, size])), channels, size };
  const total = STEPS_OF_IMAGES.reduce((sum, [often]) => sum + often, 0);
  for (let step = 0; step < STEPS; step++) {
    let left = random.next() * total;
    at = STEPS_OF_IMAGES.find(([often]) => (left -= often) < 0)![1](walk, at);
  }
  const flat = walk.op('Flatten', [walk.op('GlobalAveragePool', [at.value])], { axis: 1 });
  const width = walk.pick(WIDTHS);
  const product = walk.op('Gemm', [flat, walk.weight([at.channels, width])]);
  return walk.finish(name, walk.op('Softmax', [product], { axis: 1 }), [1, width]);
}

/** Products of several sizes one after the other, as in classifiers and transformers. */
function productProbe(name: string, random: Random): Model {
  const walk = new Walk(random);
  const rows = walk.pick([1, 1, 4, 16, 64, 128]);
  let width = walk.pick(WIDTHS);
  let value = walk.b.input('input', tensorType('float32', [rows, width]));
  for (let step = 0; step < STEPS - 2; step++) {
    const from = width;
    width = walk.pick(WIDTHS.filter((each) => each * from * rows <= MOST_MACS));
    value = walk.op('MatMul', [value, walk.weight([from, width])]);
    if (random.next() < 0.5) value = walk.op('Add', [value, walk.weight([width])]);
    const last = walk.pick(['Softmax', 'LayerNormalization', 'Relu', 'Tanh', 'Sigmoid']);
    if (last === 'LayerNormalization') value = walk.op(last, [value, walk.weight([width]), walk.weight([width])]);
    else value = walk.op(last, [value], last === 'Softmax' ? { axis: -1 } : {});
  }
  return walk.finish(name, value, [rows, width]);
}

function recurrentProbe(name: string, random: Random): Model {
  const walk = new Walk(random);
  const [steps, gates] = [walk.pick([8, 16, 28, 64]), { LSTM: 4, GRU: 3 }];
  let width = walk.pick([8, 28, 64, 128]);
  let value = walk.b.input('input', tensorType('float32', [steps, 1, width]));
  for (let layer = 0; layer < 3; layer++) {
    const op = walk.pick(['LSTM', 'LSTM', 'GRU'] as const);
    const hidden = walk.pick([16, 32, 64, 128, 256]);
    const weights = [walk.weight([1, gates[op] * hidden, width]), walk.weight([1, gates[op] * hidden, hidden])];
    const states = walk.op(op, [value, ...weights], { hidden_size: hidden });
    // Back to one tensor of steps × batch × width.
    value = walk.op('Squeeze', [states, walk.b.constant(Tensor.of('int64', [1], BigInt64Array.of(1n)))]);
    width = hidden;
  }
  return walk.finish(name, value, [steps, 1, width]);
}

/** `count` different networks, always the same for one seed: of ten, seven are image networks, two products, one recurrent. */
export function probeNetworks(count: number, seed = 1): readonly Probe[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, i) => {
    const make = i % 10 < 7 ? imageProbe : i % 10 < 9 ? productProbe : recurrentProbe;
    const name = `probe-${i + 1}`;
    return { name, model: make(name, random) };
  });
}
