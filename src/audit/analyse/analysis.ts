/** @file What analysis says of one model: what it is for, how it is built, how it was optimised, what identifies it. */
import type { Confidence } from '../find/finding.js';

export type Modality = 'vision' | 'audio' | 'text' | 'sensor' | 'other';

/** A conclusion and the facts that speak for it, each one sentence part. */
export interface Judgement<Value> {
  readonly value: Value;
  readonly confidence: Confidence;
  readonly evidence: readonly string[];
}

/** What the model is for: the modality and the task in it (`object-detection`, `keyword-spotting` …). */
export interface TaskGuess {
  readonly modality: Modality;
  readonly task: string;
}

/** Hashes under which two models are the same in one respect (hexadecimal SHA-256; `null` where nothing can be hashed). */
export interface ModelIdentity {
  /** Learned numbers alone, names, metadata and the order of axes ignored. */
  readonly weights: string | null;
  /** Signs of the kernels, with normalisations folded: also the same in half precision, and whatever tool did the folding. */
  readonly signs: string | null;
  /** Operators, shapes and wiring, weights ignored: one architecture in one format. */
  readonly graph: string | null;
  /** Sizes and work of the kernels: one architecture in any format and element type. */
  readonly skeleton: string | null;
  /** Per layer with weights, in order: what lineage compares. */
  readonly layers: readonly LayerIdentity[];
}

export interface LayerIdentity {
  readonly name: string;
  readonly hash: string;
  /** Bytes of learned numbers. */
  readonly bytes: number;
}

/** How the learned numbers look. Numbers that stand in a file that is not at hand are left out. */
export interface WeightStatistics {
  readonly numbers: number;
  /** Equal to zero (or to the zero point). */
  readonly zeros: number;
  /** |w| < 1e-9, zeros included. */
  readonly nearZeros: number;
  /** Layers at least half of whose numbers are zero. */
  readonly sparseLayers: number;
  /** Whole output channels that are zero. */
  readonly zeroChannels: number;
  /** Layers with so few different values that they must have been clustered. */
  readonly clusteredLayers: number;
  /** Layers whose name says that a tool pruned, clustered or quantised them (`prune_`, `cluster_`, `quant_`). */
  readonly markedLayers: number;
}

/** Which public model it is, and how that is known. */
export interface KnownMatch {
  readonly name: string;
  readonly source: string;
  readonly licence?: string;
  readonly by: 'file' | 'weights' | 'signs' | 'layers';
  /** For layers: bytes in common by bytes of the public model's listed layers; else 1. */
  readonly share: number;
}

export interface ModelAnalysis {
  readonly task: Judgement<TaskGuess>;
  /** `MobileNet`, `ResNet`, `LSTM` …; `null` where nothing speaks for one. */
  readonly architecture: Judgement<string> | null;
  /** Layers by family and by operator. */
  readonly families: Readonly<Record<string, number>>;
  readonly operators: Readonly<Record<string, number>>;
  /** Most bytes of activations that live at once; `null` where shapes are not known. */
  readonly peakActivationBytes: number | null;
  readonly weights: WeightStatistics;
  readonly identity: ModelIdentity;
  /** The public model that it is or was made from; absent where none is recognised. */
  readonly known?: KnownMatch;
  /** Ways to train it on the device: signatures and operators; empty where there are none. */
  readonly training: readonly string[];
  /** Licences that its metadata or neighbouring files name. */
  readonly licences: readonly string[];
}
