/** @file Small classifiers of sequences: a Transformer with a class token, a stack of recurrent layers. */
import { float, Tensor, type Model } from '../../src/ir/index.js';
import { Net, noise } from './networks.js';

const WIDTH = 16;
const HEADS = 2;

/** Layers of a Transformer, weights at random. */
class SequenceNet extends Net {
  linear3(x: string, from: number, to: number): string {
    const weight = this.b.parameter('weight', noise(this.random, [from, to], 1 / Math.sqrt(from)));
    const bias = this.b.parameter('bias', noise(this.random, [to], 0.1));
    return this.b.op('Add', [this.b.op('MatMul', [x, weight]), bias]);
  }

  norm(x: string, width: number): string {
    const scale = this.b.parameter('scale', Tensor.floats(new Float32Array(width).fill(1)));
    const shift = this.b.parameter('shift', noise(this.random, [width], 0.1));
    return this.b.op('LayerNormalization', [x, scale, shift], { axis: -1, epsilon: float(1e-5) });
  }

  attention(x: string, steps: number): string {
    const { b } = this;
    const split = (value: string, perm: readonly number[]): string =>
      b.op('Transpose', [b.op('Reshape', [value, b.int64s([0, steps, HEADS, WIDTH / HEADS])])], { perm });
    const [q, k, v] = [
      [0, 2, 1, 3],
      [0, 2, 3, 1],
      [0, 2, 1, 3],
    ].map((perm) => split(this.linear3(x, WIDTH, WIDTH), perm));
    const scaled = b.op('Mul', [b.op('MatMul', [q, k]), b.scalar(Math.sqrt(HEADS / WIDTH))]);
    const mixed = b.op('MatMul', [b.op('Softmax', [scaled], { axis: -1 }), v]);
    const joined = b.op('Reshape', [b.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), b.int64s([0, steps, WIDTH])]);
    return this.linear3(joined, WIDTH, WIDTH);
  }
}

/** Rows of an image as tokens, a class token before them, two pre-normalised encoder blocks, a linear layer on the class token. */
export function transformerNet(): Model {
  const net = new SequenceNet(7);
  const { b } = net;
  const input = net.input([1, 8, 12]);
  const rows = b.op('Reshape', [input, b.int64s([0, 8, 12])]);
  const embedded = net.linear3(rows, 12, WIDTH);
  const size = b.op('Shape', [embedded], { start: 0, end: 1 });
  const shape = b.op('Concat', [size, b.int64s([1, WIDTH])], { axis: 0 });
  const token = b.op('Expand', [b.parameter('class_token', noise(net.random, [1, 1, WIDTH])), shape]);
  const positions = b.parameter('positions', noise(net.random, [9, WIDTH], 0.3));
  let x = b.op('Add', [b.op('Concat', [token, embedded], { axis: 1 }), positions]);
  for (let block = 0; block < 2; block++) {
    x = b.op('Add', [net.attention(net.norm(x, WIDTH), 9), x]);
    const hidden = b.op('Relu', [net.linear3(net.norm(x, WIDTH), WIDTH, 2 * WIDTH)]);
    x = b.op('Add', [net.linear3(hidden, 2 * WIDTH, WIDTH), x]);
  }
  const first = b.op('Gather', [net.norm(x, WIDTH), b.constant(Tensor.scalar('int64', 0))], { axis: 1 });
  return net.model(net.linear(first, WIDTH, 5), ['batch', 5]);
}

/** Two recurrent layers over the rows of an image, time first; only what is read has a name, as exporters leave it. */
export function recurrentNet(cell: 'LSTM' | 'GRU' | 'RNN' = 'LSTM', bidirectional = false): Model {
  const net = new Net(8);
  const { b } = net;
  const gates = { LSTM: 4, GRU: 3, RNN: 1 }[cell];
  const directions = bidirectional ? 2 : 1;
  const layer = (x: string, from: number, last: boolean): string => {
    const rows = gates * WIDTH;
    const weights = [
      noise(net.random, [directions, rows, from], 0.4),
      noise(net.random, [directions, rows, WIDTH], 0.3),
      noise(net.random, [directions, 2 * rows], 0.1),
    ].map((tensor) => b.parameter('recurrent', tensor));
    const direction = bidirectional ? 'bidirectional' : 'forward';
    const outputs = b.ops(cell, [x, ...weights], { hidden_size: WIDTH, direction }, { outputs: last ? 2 : 1 });
    return last ? outputs[1]! : outputs[0]!;
  };
  const rows = b.op('Transpose', [net.input([1, 10, 6])], { perm: [2, 0, 1, 3] });
  const steps = b.op('Reshape', [rows, b.int64s([10, -1, 6])]);
  const states = layer(steps, 6, false);
  const squeezed = bidirectional
    ? b.op('Reshape', [b.op('Transpose', [states], { perm: [0, 2, 1, 3] }), b.int64s([10, -1, 2 * WIDTH])])
    : b.op('Squeeze', [states, b.int64s([1])]);
  const last = layer(squeezed, directions * WIDTH, true);
  const vector = b.op('Reshape', [b.op('Transpose', [last], { perm: [1, 0, 2] }), b.int64s([0, directions * WIDTH])]);
  return net.model(net.linear(vector, directions * WIDTH, 5), ['batch', 5]);
}
