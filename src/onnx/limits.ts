/** @file Named limits on foreign files: whatever exceeds one ends in an error before memory is spent on it. */

/** What a reader accepts. Every limit may be raised or lowered per call. */
export interface OnnxLimits {
  /** Bytes of the model file itself, external data not counted. Protobuf allows no more than 2^31 − 1. */
  readonly maxFileBytes: number;
  /** Protobuf messages in the file: nodes, attributes, tensors, dims, each one. */
  readonly maxMessages: number;
  /** Strings and attribute numbers in lists, which take many times their bytes once decoded. */
  readonly maxListItems: number;
  /** Graphs inside graphs (bodies of If, Loop and Scan). */
  readonly maxGraphDepth: number;
  /** Types inside types (sequences of optionals of …). */
  readonly maxTypeDepth: number;
  /** Dims of one tensor. */
  readonly maxRank: number;
  /** Characters of a value's, node's or operator's name. */
  readonly maxNameLength: number;
  /** The oldest ai.onnx operator set that is read. */
  readonly minOpset: number;
  /** The newest ai.onnx operator set that is read. */
  readonly maxOpset: number;
  /** The newest IR version that is read. */
  readonly maxIrVersion: number;
}

/** What is read unless a caller says otherwise. The version bounds are those of ONNX Runtime 1.30. */
export const defaultLimits: OnnxLimits = {
  maxFileBytes: 2 ** 31 - 1,
  maxMessages: 4_000_000,
  maxListItems: 16_000_000,
  maxGraphDepth: 32,
  maxTypeDepth: 16,
  maxRank: 64,
  maxNameLength: 65_536,
  minOpset: 7,
  maxOpset: 26,
  maxIrVersion: 13,
};

/** Protobuf messages inside messages that the two depth limits together allow. */
export function maxMessageDepth(limits: OnnxLimits): number {
  // A graph level is attribute → graph → node; a type level is type → container; a few more for the leaves.
  return 3 * limits.maxGraphDepth + 2 * limits.maxTypeDepth + 8;
}
