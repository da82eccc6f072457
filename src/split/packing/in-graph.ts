/**
 * @file Packing as plain ONNX operators inside the halves of a cut network: an unmodified inference server unpacks, an
 * unmodified runtime packs. The same arithmetic as the codec in TypeScript, to the bit, before compression.
 */
import {
  GraphBuilder,
  sizeOf,
  staticShape,
  Tensor,
  tensorType,
  type Model,
  type Node,
  type TensorType,
  type Value,
  type ValueType,
} from '../../ir/index.js';
import { inferShapes } from '../../passes/index.js';
import { PackingError } from './errors.js';
import type { FrameLayout } from './frame.js';
import { checkBits, levelsOf, SMALLEST_STEP } from './quantise.js';

/** How the tensors of a cut are packed by the graph itself; no codec: compression is the transport's matter. */
export interface GraphPacking {
  /** 1 to 16. */
  readonly bits: number;
  readonly layout: FrameLayout;
}

/** Names of the values that stand for one packed tensor. */
export interface PackedNames {
  /** uint8 [bits · ⌈n / 8⌉] for planes; uint8 (up to 8 bits) or uint16 of the tensor's own shape for lanes. */
  readonly data: string;
  /** float32 [2]: min and step. Not finite where a value is not, or the range exceeds float32: then send unchanged. */
  readonly scale: string;
  /** int64 [rank]: the tensor's shape; planes alone need it. */
  readonly dims: string | undefined;
}

/** The values that stand for the packed tensor `name`. */
export function packedNames(name: string, { layout }: GraphPacking): PackedNames {
  return {
    data: `${name}/packed`,
    scale: `${name}/scale`,
    dims: layout === 'planes' ? `${name}/dims` : undefined,
  };
}

/**
 * A device half whose float32 outputs (those in `names`; all where omitted) are packed: each is replaced by the values of
 * `packedNames`, in their order. Outputs of other types stay. Contract: opset 13 or newer; the rest of the graph is
 * unchanged. Throws PackingError for an impossible packing, an unknown name, or an older opset.
 */
export function packOutputs(model: Model, packing: GraphPacking, names?: readonly string[]): Model {
  const { graph } = model;
  check(model, packing);
  const { values, types, b } = replaced(model, graph.outputs, packing, names, appendPack);
  return withParts(model, { outputs: values, types, nodes: [...graph.nodes, ...b.nodes] }, b);
}

/**
 * A server half whose float32 inputs (those in `names`; all where omitted) arrive packed: each is replaced by the values
 * of `packedNames` and unpacked by the graph. Contract and errors as `packOutputs`.
 */
export function unpackInputs(model: Model, packing: GraphPacking, names?: readonly string[]): Model {
  const { graph } = model;
  check(model, packing);
  const { values, types, b } = replaced(model, graph.inputs, packing, names, appendUnpack);
  return withParts(model, { inputs: values, types, nodes: [...b.nodes, ...graph.nodes] }, b);
}

/** The interface with the chosen values packed, every chosen value's own type, and the nodes that `append` made for them. */
function replaced(
  model: Model,
  interfaces: readonly Value[],
  packing: GraphPacking,
  names: readonly string[] | undefined,
  append: typeof appendPack,
): { readonly values: readonly Value[]; readonly types: Map<string, ValueType>; readonly b: GraphBuilder } {
  const chosen = chosenFloats(
    model,
    interfaces.map(({ name }) => name),
    names,
  );
  const b = GraphBuilder.beside(model.graph);
  const values = interfaces.flatMap((value): Value[] => {
    const type = chosen.get(value.name);
    if (type === undefined) return [value];
    const packed = packedNames(value.name, packing);
    append(b, value.name, packing, packed);
    return [
      { name: packed.data, type: dataType(packed.data, type, packing) },
      { name: packed.scale, type: tensorType('float32', [2]) },
      ...(packed.dims === undefined
        ? []
        : [{ name: packed.dims, type: tensorType('int64', [type.shape?.length ?? null]) }]),
    ];
  });
  return { values, types: new Map([...model.graph.types, ...chosen]), b };
}

function withParts(model: Model, parts: Partial<Model['graph']>, b: GraphBuilder): Model {
  const { graph } = model;
  return { ...model, graph: { ...graph, ...parts, initializers: new Map([...graph.initializers, ...b.initializers]) } };
}

function check(model: Model, { bits }: GraphPacking): void {
  checkBits(bits);
  const opset = model.opsets.get('') ?? 0;
  if (opset < 13 || opset > 21)
    throw new PackingError(
      `packing inside a graph needs an opset from 13 to 21, not ${opset}`,
      'Raise it with upgradeOpset.',
    );
}

/** The float32 tensors among some interface values, with their types. */
function chosenFloats(model: Model, all: readonly string[], names = all): ReadonlyMap<string, TensorType> {
  const types = inferShapes(model, { unknownOps: 'skip' }).types;
  const chosen = new Map<string, TensorType>();
  for (const name of names) {
    if (!all.includes(name)) throw new PackingError(`there is no value '${name}' to pack`);
    const type = types.get(name) ?? [...model.graph.inputs, ...model.graph.outputs].find((v) => v.name === name)?.type;
    if (type?.kind === 'tensor' && type.dtype === 'float32') chosen.set(name, type);
  }
  return chosen;
}

function dataType(name: string, { shape }: TensorType, { bits, layout }: GraphPacking): TensorType {
  if (layout === 'lanes') return tensorType(bits <= 8 ? 'uint8' : 'uint16', shape);
  const dims = staticShape(shape);
  return tensorType('uint8', [dims ? bits * Math.ceil(sizeOf(dims) / 8) : `${name}_bytes`]);
}

/** Powers of two, 2^(sign · 0) … 2^(sign · (count − 1)). */
function powers(count: number, sign: 1 | -1, dims: readonly number[]): Tensor {
  return Tensor.floats(
    Float32Array.from({ length: count }, (_, i) => 2 ** (sign * i)),
    dims,
  );
}

/** x mod 2 for whole numbers: x − 2 · ⌊x / 2⌋. */
function parity(b: GraphBuilder, x: string): string {
  const half = b.op('Floor', [b.op('Mul', [x, b.scalar(0.5)])]);
  return b.op('Sub', [x, b.op('Mul', [half, b.scalar(2)])]);
}

function appendPack(b: GraphBuilder, value: string, { bits }: GraphPacking, names: PackedNames): void {
  const levels = b.scalar(levelsOf(bits));
  const flat = b.op('Reshape', [value, b.int64s([-1])]);
  const min = b.op('ReduceMin', [flat], { keepdims: 0 });
  const max = b.op('ReduceMax', [flat], { keepdims: 0 });
  const range = b.op('Sub', [max, min]);
  const bounded = b.op('Max', [b.op('Div', [range, levels]), b.scalar(SMALLEST_STEP)]);
  // 0 where all values are finite, else NaN: minimum and maximum pass over NaN on some back ends.
  const finite = b.op('ReduceSum', [b.op('Mul', [flat, b.scalar(0)])], { keepdims: 0 });
  const step = b.op('Add', [bounded, finite]);
  const pair = [min, step].map((scalar) => b.op('Reshape', [scalar, b.int64s([1])]));
  b.alias(b.op('Concat', pair, { axis: 0 }), names.scale);
  const q = b.op('Min', [b.op('Round', [b.op('Div', [b.op('Sub', [flat, min]), step])]), levels]);
  const dims = b.op('Shape', [value]);
  if (names.dims === undefined) {
    const integers = b.op('Cast', [q], { to: bits <= 8 ? 2 : 4 });
    b.alias(b.op('Reshape', [integers, dims]), names.data);
    return;
  }
  b.alias(dims, names.dims);
  const filled = b.op('Pad', [q, b.op('Concat', [b.int64s([0]), missing(b, b.op('Shape', [flat]))], { axis: 0 })]);
  const eights = b.op('Reshape', [filled, b.int64s([1, -1, 8])]);
  const shifted = b.op('Floor', [b.op('Mul', [eights, b.constant(powers(bits, -1, [bits, 1, 1]))])]);
  const bytes = b.op('MatMul', [parity(b, shifted), b.constant(powers(8, 1, [8, 1]))]);
  b.alias(b.op('Reshape', [b.op('Cast', [bytes], { to: 2 }), b.int64s([-1])]), names.data);
}

/** How many elements, [1], a flat tensor of `count`, [1], lacks to a multiple of eight. */
function missing(b: GraphBuilder, count: string): string {
  const eight = b.int64s([8]);
  const up = b.op('Div', [b.op('Add', [count, b.int64s([7])]), eight]);
  return b.op('Sub', [b.op('Mul', [up, eight]), count]);
}

function appendUnpack(b: GraphBuilder, value: string, { bits, layout }: GraphPacking, names: PackedNames): void {
  const [min, step] = [0, 1].map((index) => b.op('Gather', [names.scale, b.constant(Tensor.scalar('int64', index))]));
  const data = b.op('Cast', [names.data], { to: 1 });
  const valueOf = (q: string): string => b.op('Add', [b.op('Mul', [q, step]), min]);
  if (layout === 'lanes' || names.dims === undefined) {
    // Bits above the width are ignored, as the codec does.
    const levels = b.scalar(2 ** bits);
    const over = b.op('Floor', [b.op('Div', [data, levels])]);
    add(b, 'Identity', [valueOf(b.op('Sub', [data, b.op('Mul', [over, levels])]))], value);
    return;
  }
  const count = b.op('ReduceProd', [names.dims], { keepdims: 1 });
  const rows = b.op('Reshape', [data, b.int64s([bits, -1, 1])]);
  const spread = b.op('Floor', [b.op('Mul', [rows, b.constant(powers(8, -1, [1, 1, 8]))])]);
  const weighted = b.op('Mul', [parity(b, spread), b.constant(powers(bits, 1, [bits, 1, 1]))]);
  const q = b.op('Reshape', [b.op('ReduceSum', [weighted, b.int64s([0])], { keepdims: 0 }), b.int64s([-1])]);
  const cut = b.op('Slice', [q, b.int64s([0]), count, b.int64s([0])]);
  add(b, 'Reshape', [valueOf(cut), names.dims], value);
}

/** A node that makes a value of the given graph, whose name the builder holds for taken. */
function add(b: GraphBuilder, op: string, inputs: readonly string[], output: string): void {
  const node: Node = {
    ...{ name: b.fresh(`${output}/unpack`), op, domain: '', overload: '', doc: '' },
    inputs,
    outputs: [output],
    attributes: new Map(),
  };
  b.nodes.push(node);
}
