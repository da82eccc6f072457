/** @file The normal form: what the audit knows of a model, the same for every format it was read from. */
import type { ModelFormat } from '../formats.js';

/** An activation: a value that flows between layers. A dim left open is `null`; a shape of which nothing is known too. */
export interface AuditTensor {
  readonly name: string;
  readonly shape: readonly (number | null)[] | null;
  /** As in ONNX (`float32`, `int8` …); `null` where the format does not say. */
  readonly dtype: string | null;
}

/** Constant numbers that a layer holds. */
export interface AuditWeight {
  readonly name: string;
  /** In the order of the format; `layout` names it for kernels. */
  readonly shape: readonly number[];
  /** How they are stored, which may be smaller than how they are used. */
  readonly dtype: string;
  readonly size: number;
  /** Little-endian bytes as stored, a view of the file; absent where they stand in another file. */
  readonly bytes?: Uint8Array;
  /** Whether they were learned: shapes, axes, anchors and other settings were not. */
  readonly learned: boolean;
  /** Order of a kernel's axes: output, input, height, width. */
  readonly layout?: 'OIHW' | 'IOHW' | 'OHWI' | 'HWIO' | 'HWOI' | 'HWCM' | '1HWC' | 'OI' | 'IO';
  /** The stored number that stands for zero, where it is not 0. */
  readonly zeroPoint?: number;
  /** Stored without (most of) its zeros: `bytes` hold fewer numbers than `size`. */
  readonly sparse?: true;
  /** The same for weights that several layers share. */
  readonly key?: string;
}

/** What a layer does, in words that are the same for all formats. */
export type LayerFamily =
  | 'convolution'
  | 'depthwise-convolution'
  | 'transposed-convolution'
  | 'dense'
  | 'matmul'
  | 'recurrent'
  | 'attention'
  | 'embedding'
  | 'normalisation'
  | 'activation'
  | 'softmax'
  | 'pooling'
  | 'reduction'
  | 'elementwise'
  | 'resize'
  | 'movement'
  | 'quantise'
  | 'detection'
  | 'control'
  | 'constant'
  | 'other';

export interface AuditLayer {
  readonly name: string;
  /** The operator in the format's own words. */
  readonly op: string;
  readonly family: LayerFamily;
  readonly inputs: readonly AuditTensor[];
  readonly outputs: readonly AuditTensor[];
  /** Multiply–accumulates of one run; `null` where shapes are not known. 0 for all but convolutions and matrix products. */
  readonly macs: number | null;
  /** Learned numbers as stored. One that several layers share counts at the first. */
  readonly params: number;
  readonly weights: readonly AuditWeight[];
  /** The sub-graph that holds it, where it is not the main one. */
  readonly graph?: string;
  /** The activation that it ends in, where it has one of its own and the format names it. */
  readonly activation?: string;
  /** The layer that a batch normalisation or scale can be folded into. */
  readonly foldsInto?: string;
}

export interface AuditTotals {
  readonly layers: number;
  /** Of the main graph and what it calls; `null` where no layer with weights has known shapes. */
  readonly macs: number | null;
  /** Layers whose MACs are not known; they count as 0 in `macs`. */
  readonly uncountedLayers: number;
  /** Parameters in inference form: batch normalisations folded into the layer before them. The same for every export of one network. */
  readonly params: number;
  /** Parameters as stored. */
  readonly storedParams: number;
  /** Bytes of stored parameters. */
  readonly paramBytes: number;
  /** Numbers in constants that were not learned. */
  readonly constants: number;
}

export interface AuditQuantisation {
  /** `weights`: small weights, float activations. `full`: integers throughout, but for ends. */
  readonly scheme: 'none' | 'float16' | 'weights' | 'full';
  /** Stored parameters by element type. */
  readonly weights: Readonly<Record<string, number>>;
  /** Values between layers by element type. */
  readonly activations: Readonly<Record<string, number>>;
  /** Layers with one scale per channel. */
  readonly perChannelLayers: number;
  /** Layers that convert between float and integer. */
  readonly convertLayers: number;
}

/** A way to call the model: a signature or an exported sub-graph. */
export interface AuditSignature {
  readonly name: string;
  readonly inputs: readonly AuditTensor[];
  readonly outputs: readonly AuditTensor[];
}

export interface AuditModel {
  readonly format: ModelFormat;
  readonly name?: string;
  /** Tool and version that wrote it. */
  readonly producer?: string;
  /** Version of the format or schema. */
  readonly version?: string;
  readonly inputs: readonly AuditTensor[];
  readonly outputs: readonly AuditTensor[];
  readonly layers: readonly AuditLayer[];
  readonly totals: AuditTotals;
  readonly quantisation: AuditQuantisation;
  readonly signatures: readonly AuditSignature[];
  readonly metadata: Readonly<Record<string, string>>;
  /** What could not be derived, and why. */
  readonly notes: readonly string[];
}
