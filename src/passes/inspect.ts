/** @file What a model is made of and what it costs, in plain data: what `cuttle inspect` shows. */
import { opsetOf, requiredInputs, type Model, type ValueType } from '../ir/index.js';
import { costOf } from './cost.js';

/** The type of a value as JSON; `null` where it is unknown or no tensor. */
export interface InspectedType {
  readonly shape: readonly (number | string | null)[] | null;
  readonly dtype: string | null;
}

export interface InspectedValue extends InspectedType {
  readonly name: string;
}

export interface InspectedNode {
  readonly name: string;
  readonly op: string;
  readonly macs: number;
  readonly params: number;
  readonly outputs: readonly InspectedType[];
}

export interface Inspection {
  readonly format: 'onnx';
  readonly opset: number;
  readonly irVersion: number;
  /** Name and version of the tool that wrote it. */
  readonly producer: string;
  readonly params: number;
  readonly macs: number;
  readonly peakActivationBytes: number;
  /** Symbols without a given size, and the size that was assumed. */
  readonly assumedDims: ReturnType<typeof costOf>['assumedSymbols'];
  readonly inputs: readonly InspectedValue[];
  readonly outputs: readonly InspectedValue[];
  readonly nodes: readonly InspectedNode[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Inspects a model without running it; `symbols` gives sizes of symbolic dims. Throws what `costOf` throws. */
export function inspectModel(
  model: Model,
  options: { readonly symbols?: Readonly<Record<string, number>> } = {},
): Inspection {
  const { nodes, total, assumedSymbols } = costOf(model, options);
  const valueOf = ({
    name,
    type,
  }: {
    readonly name: string;
    readonly type: ValueType | undefined;
  }): InspectedValue => ({
    name,
    ...typeOf(type),
  });
  return {
    format: 'onnx',
    opset: opsetOf(model),
    irVersion: model.irVersion,
    producer: [model.producer.name, model.producer.version].filter(Boolean).join(' '),
    params: total.params,
    macs: total.macs,
    peakActivationBytes: total.peakActivationBytes,
    assumedDims: assumedSymbols,
    inputs: requiredInputs(model.graph).map(valueOf),
    outputs: model.graph.outputs.map(valueOf),
    nodes: nodes.map(({ name, op, macs, params, outputs }) => ({
      name,
      op,
      macs,
      params,
      outputs: outputs.map(typeOf),
    })),
    metadata: Object.fromEntries(model.metadata),
  };
}

function typeOf(type: ValueType | undefined): InspectedType {
  return type?.kind === 'tensor' ? { shape: type.shape ?? null, dtype: type.dtype } : { shape: null, dtype: null };
}
