/** @file The layers that exit heads are made of: builder calls with He initialisation. */
import { float, Tensor } from '../../ir/index.js';
import type { Random } from '../../platform/random.js';
import type { HeadSite } from './head.js';

/** A feature map inside a head. */
export interface Map2d {
  readonly value: string;
  readonly shape: readonly [channels: number, height: number, width: number];
}

export interface Layers {
  /** 3×3 convolution (1 along an axis of length 1), BatchNormalization, ReLU; stride 2 along axes longer than 1. */
  convBnRelu(name: string, x: Map2d, channels: number): Map2d;
  /** Average or max pooling with window = stride = `kernel`, no padding. */
  pool(name: string, op: 'AveragePool' | 'MaxPool', x: Map2d, kernel: readonly [number, number]): Map2d;
  /** Flatten and fully connected layer: the logits. */
  linear(name: string, x: Map2d): string;
}

/**
 * Layers that append to the head at `site`. Convolutions start from N(0, 2 / fan-in) (He et al. 2015, eq. 10), the
 * linear layer from N(0, 1 / fan-in), biases at 0, BatchNormalization at scale 1, bias 0, mean 0, variance 1.
 */
export function headLayers({ b, random, classes, name: head }: HeadSite): Layers {
  const parameter = (name: string, value: Tensor): string => b.parameter(`${head}.${name}`, value);
  const named = (name: string): { readonly name: string } => ({ name: `${head}/${name}` });

  return {
    convBnRelu(name, { value, shape: [inner, height, width] }, channels) {
      // On an axis of length 1 a 3-tap kernel would multiply its outer taps with padding only.
      const taps = [height, width].map((size) => (size === 1 ? 1 : 3));
      const strides = [height, width].map((size) => (size === 1 ? 1 : 2));
      const pads = taps.map((tap) => (tap - 1) / 2);
      const fanIn = inner * taps[0]! * taps[1]!;
      const conv = b.op(
        'Conv',
        [value, parameter(`${name}.weight`, normal(random, [channels, inner, ...taps], Math.sqrt(2 / fanIn)))],
        { kernel_shape: taps, strides, pads: [...pads, ...pads], dilations: [1, 1], group: 1 },
        named(name),
      );
      const norm = b.op(
        'BatchNormalization',
        [
          conv,
          parameter(`${name}.bn.weight`, filled(channels, 1)),
          parameter(`${name}.bn.bias`, filled(channels, 0)),
          parameter(`${name}.bn.running_mean`, filled(channels, 0)),
          parameter(`${name}.bn.running_var`, filled(channels, 1)),
        ],
        { epsilon: float(1e-5), momentum: float(0.9) },
        named(`${name}.bn`),
      );
      return {
        value: b.op('Relu', [norm], {}, named(`${name}.relu`)),
        shape: [channels, Math.ceil(height / strides[0]!), Math.ceil(width / strides[1]!)],
      };
    },

    pool(name, op, { value, shape: [channels, height, width] }, kernel) {
      if (kernel[0] === 1 && kernel[1] === 1) return { value, shape: [channels, height, width] };
      return {
        value: b.op(op, [value], { kernel_shape: kernel, strides: kernel }, named(name)),
        shape: [channels, Math.floor(height / kernel[0]), Math.floor(width / kernel[1])],
      };
    },

    linear(name, { value, shape: [channels, height, width] }) {
      const features = channels * height * width;
      return b.op(
        'Gemm',
        [
          b.op('Flatten', [value], { axis: 1 }, named(`${name}.flatten`)),
          parameter(`${name}.weight`, normal(random, [classes, features], Math.sqrt(1 / features))),
          parameter(`${name}.bias`, filled(classes, 0)),
        ],
        { transB: 1 },
        named(name),
      );
    },
  };
}

function normal(random: Random, dims: readonly number[], deviation: number): Tensor {
  const values = new Float32Array(dims.reduce((size, dim) => size * dim, 1));
  for (let i = 0; i < values.length; i++) values[i] = random.normal() * deviation;
  return Tensor.floats(values, dims);
}

function filled(length: number, value: number): Tensor {
  return Tensor.floats(new Float32Array(length).fill(value));
}
