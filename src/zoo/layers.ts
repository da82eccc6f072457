/** @file The layers that the zoo's architectures are made of: builder calls with He initialisation and PyTorch-style names. */
import {
  EMIT_OPSET,
  float,
  GraphBuilder,
  makeModel,
  Tensor,
  tensorType,
  type Model,
  type OpOptions,
} from '../ir/index.js';
import { createRandom, type Random } from '../platform/random.js';

/** What every architecture is built for. */
export interface ArchitectureOptions {
  /** Number of classes, that is of logits. */
  readonly classes: number;
  /** Channels, height and width of one image. */
  readonly input: readonly [channels: number, height: number, width: number];
  /** Seed of the initial weights. */
  readonly seed: number;
  /** Factor on every layer's channels, for architectures that scale (`Architecture.scales`); 1 where omitted. */
  readonly width?: number;
}

/** Metadata key under which an architecture's name and options are kept (JSON). */
export const ARCHITECTURE_KEY = 'cuttle.architecture';

/** A feature map while the network is built: its value, channels and spatial size. */
export interface Features {
  readonly value: string;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

export interface ConvOptions {
  readonly kernel: number;
  readonly stride?: number;
  readonly padding?: number;
  readonly groups?: number;
  readonly bias?: boolean;
}

const BATCH_NORM_EPSILON = 1e-5;

/**
 * Stacks layers on one another. Weights are drawn in the order of the calls, so one seed gives one network:
 * convolutions from N(0, 2 / fan-in) (He et al. 2015, arXiv 1502.01852, eq. 10), the classifier from N(0, 1 / fan-in),
 * biases 0, BatchNormalization scale 1, bias 0, running mean 0 and variance 1.
 */
export class LayerStack {
  readonly #b = new GraphBuilder();
  readonly #random: Random;
  readonly #options: ArchitectureOptions;

  constructor(options: ArchitectureOptions) {
    this.#options = options;
    this.#random = createRandom(options.seed);
  }

  /** The graph input `input`, float32 [batch, channels, height, width]. */
  input(): Features {
    const [channels, height, width] = this.#options.input;
    return {
      value: this.#b.input('input', tensorType('float32', ['batch', channels, height, width])),
      channels,
      height,
      width,
    };
  }

  /** 2-D convolution with a square kernel. */
  conv(name: string, x: Features, channels: number, options: ConvOptions): Features {
    const { kernel, stride = 1, padding = 0, groups = 1, bias = false } = options;
    const perGroup = x.channels / groups;
    const dims = [channels, perGroup, kernel, kernel];
    const inputs = [
      x.value,
      this.#b.parameter(`${name}.weight`, this.#normal(dims, Math.sqrt(2 / (perGroup * kernel * kernel)))),
    ];
    if (bias) inputs.push(this.#b.parameter(`${name}.bias`, filled(channels, 0)));
    const value = this.#b.op(
      'Conv',
      inputs,
      {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        dilations: [1, 1],
        group: groups,
      },
      named(name),
    );
    const size = (length: number): number => Math.floor((length + 2 * padding - kernel) / stride) + 1;
    return { value, channels, height: size(x.height), width: size(x.width) };
  }

  /** Batch normalisation in inference form (ONNX BatchNormalization-15); training puts it into its training form. */
  batchNorm(name: string, x: Features): Features {
    const value = this.#b.op(
      'BatchNormalization',
      [
        x.value,
        this.#b.parameter(`${name}.weight`, filled(x.channels, 1)),
        this.#b.parameter(`${name}.bias`, filled(x.channels, 0)),
        this.#b.parameter(`${name}.running_mean`, filled(x.channels, 0)),
        this.#b.parameter(`${name}.running_var`, filled(x.channels, 1)),
      ],
      // ONNX's momentum is the share of the old average: 0.9 is PyTorch's 0.1.
      { epsilon: float(BATCH_NORM_EPSILON), momentum: float(0.9) },
      named(name),
    );
    return { ...x, value };
  }

  relu(name: string, x: Features): Features {
    return { ...x, value: this.#b.op('Relu', [x.value], {}, named(name)) };
  }

  /** min(max(x, 0), 6). */
  relu6(name: string, x: Features): Features {
    return { ...x, value: this.#b.op('Clip', [x.value, this.#b.scalar(0), this.#b.scalar(6)], {}, named(name)) };
  }

  add(name: string, a: Features, b: Features): Features {
    return { ...a, value: this.#b.op('Add', [a.value, b.value], {}, named(name)) };
  }

  /** 2×2 max pooling with stride 2; a map that is only one pixel high or wide stays as it is. */
  maxPool(name: string, x: Features): Features {
    if (x.height < 2 || x.width < 2) return x;
    const value = this.#b.op('MaxPool', [x.value], { kernel_shape: [2, 2], strides: [2, 2] }, named(name));
    return { value, channels: x.channels, height: Math.floor(x.height / 2), width: Math.floor(x.width / 2) };
  }

  globalAveragePool(name: string, x: Features): Features {
    return { ...x, value: this.#b.op('GlobalAveragePool', [x.value], {}, named(name)), height: 1, width: 1 };
  }

  /** [batch, channels, height, width] → [batch, channels · height · width]. */
  flatten(name: string, x: Features): Features {
    const value = this.#b.op('Flatten', [x.value], { axis: 1 }, named(name));
    return { value, channels: x.channels * x.height * x.width, height: 1, width: 1 };
  }

  /** Fully connected layer on flattened features; `gain` scales the variance (2 before a ReLU, 1 otherwise). */
  linear(name: string, x: Features, features: number, gain: 1 | 2): Features {
    const weight = this.#b.parameter(
      `${name}.weight`,
      this.#normal([features, x.channels], Math.sqrt(gain / x.channels)),
    );
    const bias = this.#b.parameter(`${name}.bias`, filled(features, 0));
    return { ...x, value: this.#b.op('Gemm', [x.value, weight, bias], { transB: 1 }, named(name)), channels: features };
  }

  /** Ends the network with a linear classifier: the model with output `logits`, float32 [batch, classes]. */
  classifier(architecture: string, name: string, x: Features): Model {
    const logits = this.linear(name, x, this.#options.classes, 1).value;
    const type = tensorType('float32', ['batch', this.#options.classes]);
    const graph = this.#b.graph(architecture, [{ name: this.#b.alias(logits, 'logits'), type }]);
    return makeModel(graph, {
      opsets: new Map([['', EMIT_OPSET]]),
      metadata: new Map([[ARCHITECTURE_KEY, JSON.stringify({ name: architecture, ...this.#options })]]),
    });
  }

  #normal(dims: readonly number[], deviation: number): Tensor {
    const values = new Float32Array(dims.reduce((size, dim) => size * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = this.#random.normal() * deviation;
    return Tensor.floats(values, dims);
  }
}

function filled(length: number, value: number): Tensor {
  return Tensor.floats(new Float32Array(length).fill(value));
}

const named = (name: string): OpOptions => ({ name });
