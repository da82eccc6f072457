/** @file Bfloat16 at a model's borders as float32: ONNX Runtime computes with it, its JavaScript interface does not carry it. */
import {
  dataTypes,
  GraphBuilder,
  makeNode,
  rewireNode,
  Tensor,
  tensorType,
  type Graph,
  type Model,
  type Node,
  type Value,
} from '../../ir/index.js';
import { bfloatOfNumber, numberOfBfloat } from '../oip/half.js';

/** A model without bfloat16 at its borders, and where it had it. */
export interface BfloatBorders {
  readonly model: Model;
  readonly inputs: ReadonlySet<string>;
  readonly outputs: ReadonlySet<string>;
}

const isBfloat = ({ type }: Value): boolean => type?.kind === 'tensor' && type.dtype === 'bfloat16';

/**
 * The same model with a Cast (ai.onnx 13) behind each bfloat16 input and before each such output; names stay. Every bfloat16
 * number is a float32 number, so nothing is lost. Undefined where no border is bfloat16.
 */
export function bfloatBorders(model: Model): BfloatBorders | undefined {
  const { graph } = model;
  const inputs = new Set(graph.inputs.filter(isBfloat).map(({ name }) => name));
  const outputs = new Set(graph.outputs.filter(isBfloat).map(({ name }) => name));
  if (inputs.size + outputs.size === 0) return undefined;
  const names = GraphBuilder.beside(graph);
  const inside = new Map([...inputs, ...outputs].map((name) => [name, names.fresh(`${name}_bfloat16`)]));
  const cast = (from: string, to: string, dtype: 'bfloat16' | 'float32'): Node =>
    makeNode({
      ...{ name: names.fresh('Cast'), op: 'Cast', inputs: [from], outputs: [to] },
      attributes: new Map([['to', { type: 'int', value: BigInt(dataTypes[dtype].code) }]]),
    });
  const nodes = graph.nodes.map((node) => {
    const rewired = rewireNode(node, inside);
    return { ...rewired, outputs: rewired.outputs.map((name) => inside.get(name) ?? name) };
  });
  const floats = (value: Value): Value =>
    isBfloat(value) && value.type?.kind === 'tensor'
      ? { ...value, type: tensorType('float32', value.type.shape) }
      : value;
  const changed: Graph = {
    ...graph,
    inputs: graph.inputs.map(floats),
    outputs: graph.outputs.map(floats),
    nodes: [
      ...[...inputs].map((name) => cast(name, inside.get(name)!, 'bfloat16')),
      ...nodes,
      ...[...outputs].filter((name) => !inputs.has(name)).map((name) => cast(inside.get(name)!, name, 'float32')),
    ],
    // They were those of values that have other names now.
    types: new Map([...graph.types].filter(([name]) => !inside.has(name))),
  };
  return { model: { ...model, graph: changed }, inputs, outputs };
}

/** Bfloat16 as float32, exactly; other tensors as they are. */
export function widened(tensor: Tensor): Tensor {
  if (tensor.dtype !== 'bfloat16') return tensor;
  return Tensor.floats(Float32Array.from(tensor.data as Uint16Array, numberOfBfloat), tensor.dims);
}

/** Float32 as bfloat16, to the nearest. */
export function narrowed(tensor: Tensor): Tensor {
  return Tensor.of('bfloat16', tensor.dims, Array.from(tensor.data as Float32Array, bfloatOfNumber));
}
