/** @file Small classifiers that the exit tests cut, and the shared CIFAR models. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  EMIT_OPSET,
  float,
  GraphBuilder,
  makeModel,
  tensor as tensorAttribute,
  makeNode,
  Tensor,
  tensorType,
  type Model,
} from '../../src/ir/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { createRandom, type Random } from '../../src/platform/random.js';

const shared = resolve(import.meta.dirname, '../../../shared/models/cifar10');

/** One of the CIFAR-10 models that lie beside the repository; undefined, with a printed reason, where absent. */
export function sharedModel(name: string): Model | undefined {
  const path = resolve(shared, `${name}.onnx`);
  if (existsSync(path)) return decodeModel(readFileSync(path));
  console.warn(`skipped: ${path} is not there`);
  return undefined;
}

export function noise(random: Random, dims: readonly number[], deviation = 1): Tensor<'float32'> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.floats(
    Float32Array.from({ length: size }, () => random.normal() * deviation),
    dims,
  );
}

/** Layers by short names, weights at random. */
export class Net {
  readonly b = new GraphBuilder();
  readonly random: Random;

  constructor(seed = 1) {
    this.random = createRandom(seed);
  }

  input(dims: readonly number[], batch: string | number = 'batch'): string {
    return this.b.input('input', tensorType('float32', [batch, ...dims]));
  }

  conv(x: string, from: number, to: number, kernel = 3, stride = 1): string {
    const weight = noise(this.random, [to, from, kernel, kernel], Math.sqrt(2 / (from * kernel * kernel)));
    const pad = (kernel - 1) / 2;
    return this.b.op('Conv', [x, this.b.parameter('weight', weight)], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    });
  }

  /** A convolution whose weights stand in a Constant node. */
  convOfConstant(x: string, from: number, to: number): string {
    const name = this.b.fresh('constant_weight');
    this.b.nodes.push(
      makeNode({
        name: this.b.fresh('Constant'),
        op: 'Constant',
        inputs: [],
        outputs: [name],
        attributes: new Map([['value', tensorAttribute(noise(this.random, [to, from, 3, 3], 0.2))]]),
      }),
    );
    return this.b.op('Conv', [x, name], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  }

  relu(x: string): string {
    return this.b.op('Relu', [x]);
  }

  batchNorm(x: string, channels: number): string {
    const { random, b } = this;
    const positive = Tensor.floats(Float32Array.from({ length: channels }, () => 0.5 + random.next()));
    const stats = ['scale', 'shift', 'mean'].map((name) => b.parameter(name, noise(random, [channels], 0.3)));
    return b.op('BatchNormalization', [x, ...stats, b.parameter('variance', positive)], { epsilon: float(1e-5) });
  }

  linear(x: string, from: number, to: number): string {
    return this.b.op('Gemm', [x, this.b.parameter('fc', noise(this.random, [to, from], 1 / Math.sqrt(from)))], {
      transB: 1,
    });
  }

  model(output: string, dims: readonly (string | number)[], opset = EMIT_OPSET): Model {
    const graph = this.b.graph('net', [{ name: output, type: tensorType('float32', dims) }]);
    return makeModel(graph, { opsets: new Map([['', opset]]) });
  }
}

/** Conv chain without normalisation, weights of the second layer in a Constant node, ReduceMean, Reshape, Softmax. */
export function plainChain(batch: string | number = 'batch'): Model {
  const net = new Net(2);
  const { b } = net;
  let x = net.relu(net.conv(net.input([1, 12, 12], batch), 1, 8));
  x = net.relu(net.convOfConstant(x, 8, 8));
  x = b.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  x = net.relu(net.conv(x, 8, 16));
  x = b.op('ReduceMean', [x, b.int64s([2, 3])], { keepdims: 1 });
  x = b.op('Reshape', [x, b.int64s([batch === 'batch' ? -1 : (batch as number), 16])]);
  const logits = net.linear(x, 16, 5);
  return net.model(b.op('Softmax', [logits], { axis: 1 }), [batch, 5]);
}

/** Residual blocks with normalisation: one with an identity, one with a convolved shortcut, a SiLU stem. */
export function residualNet(): Model {
  const net = new Net(3);
  const { b } = net;
  const stem = net.batchNorm(net.conv(net.input([3, 12, 12]), 3, 8), 8);
  let x = b.op('Mul', [stem, b.op('Sigmoid', [stem])]);
  let y = net.relu(net.batchNorm(net.conv(x, 8, 8), 8));
  y = net.batchNorm(net.conv(y, 8, 8), 8);
  x = net.relu(b.op('Add', [y, x]));
  y = net.relu(net.batchNorm(net.conv(x, 8, 16, 3, 2), 16));
  y = net.batchNorm(net.conv(y, 16, 16), 16);
  const shortcut = net.batchNorm(net.conv(x, 8, 16, 1, 2), 16);
  x = net.relu(b.op('Add', [y, shortcut]));
  x = b.op('Flatten', [b.op('GlobalAveragePool', [x])]);
  return net.model(net.linear(x, 16, 6), ['batch', 6]);
}

/** An Inception-like module: three branches of different depth that a Concat joins, then a convolution. */
export function branchedNet(): Model {
  const net = new Net(4);
  const { b } = net;
  const x = net.relu(net.conv(net.input([2, 10, 10]), 2, 8));
  const one = net.relu(net.conv(x, 8, 4, 1));
  const three = net.relu(net.conv(net.relu(net.conv(x, 8, 4, 1)), 4, 8));
  const pooled = b.op('AveragePool', [x], { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] });
  const joined = b.op('Concat', [one, three, net.relu(net.conv(pooled, 8, 4, 1))], { axis: 1 });
  const y = net.relu(net.conv(joined, 16, 16, 3, 2));
  // As `x.view(x.size(0), -1)`: the size is read off the input.
  const size = b.op('Gather', [b.op('Shape', ['input']), b.constant(Tensor.scalar('int64', 0))], { axis: 0 });
  const target = b.op('Concat', [b.op('Unsqueeze', [size, b.int64s([0])]), b.int64s([-1])], { axis: 0 });
  const flat = b.op('Reshape', [b.op('GlobalAveragePool', [y]), target]);
  return net.model(net.linear(flat, 16, 7), ['batch', 7]);
}
