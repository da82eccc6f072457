/** @file What an opset adapter sees of the model, and how it emits nodes and constants. */
import {
  CuttleError,
  int,
  makeNode,
  Tensor,
  type Attribute,
  type DataType,
  type Node,
  type TensorType,
} from '../ir/index.js';

/** A node that cannot be written in the target opset. Exit code 4. */
export class OpsetUpgradeError extends CuttleError {
  constructor(node: Node, version: number, why: string) {
    super(
      'unsupported',
      'passes/opset-upgrade',
      `node '${node.name}' (${node.op}) cannot be brought to opset ${version}: ${why}`,
      { hint: 'Export the model with a newer opset.' },
    );
  }
}

export interface AdapterContext {
  /** The version that the node is brought to, from the one before. */
  readonly version: number;
  /** The version at which the upgrade ends. */
  readonly target: number;
  /** Type of a value of the surrounding graphs, where it is known. */
  type(value: string): TensorType | undefined;
  /** A value's constant content, where it has one. */
  constantOf(value: string): Tensor | undefined;
  /** Element type of a value that can only be a float: the inferred one, or the only one that the model uses. */
  floatType(node: Node, value: string): DataType;
  /** Makes a constant and returns its name. */
  constant(stem: string, value: Tensor): string;
  /** A name that nothing else bears. */
  fresh(stem: string): string;
}

/** Rewrites one node for the next version of its operator; the nodes come in an order in which they can run. */
export type Adapter = (node: Node, context: AdapterContext) => readonly Node[];

/** The node with other parts; attributes named in `drop` are gone, those in `set` replaced or added. */
export function changed(
  node: Node,
  parts: Partial<Pick<Node, 'op' | 'inputs' | 'outputs'>>,
  attributes: { readonly drop?: readonly string[]; readonly set?: Readonly<Record<string, Attribute>> } = {},
): Node {
  const kept = new Map(node.attributes);
  for (const name of attributes.drop ?? []) kept.delete(name);
  for (const [name, attribute] of Object.entries(attributes.set ?? {})) kept.set(name, attribute);
  const inputs = [...(parts.inputs ?? node.inputs)];
  while (inputs.at(-1) === '') inputs.pop();
  return { ...node, ...parts, inputs, attributes: kept };
}

/** A helper node beside `owner`. */
export function helper(
  owner: Node,
  context: AdapterContext,
  op: string,
  inputs: readonly string[],
  attributes: Readonly<Record<string, number | Attribute>> = {},
  output = context.fresh(`${owner.name}_${op.toLowerCase()}`),
): Node {
  return makeNode({
    name: context.fresh(`${owner.name}_${op}`),
    op,
    inputs,
    outputs: [output],
    attributes: new Map(
      Object.entries(attributes).map(([name, value]) => [name, typeof value === 'number' ? int(value) : value]),
    ),
  });
}

/** Bit patterns of a number as float16 or bfloat16; values are those of attributes, so rounding is to nearest. */
export function floatConstant(dtype: DataType, value: number): Tensor {
  switch (dtype) {
    case 'float64':
      return Tensor.scalar('float64', value);
    case 'float16':
      return Tensor.of('float16', [], Uint16Array.of(float16Bits(value)));
    case 'bfloat16': {
      const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
      return Tensor.of('bfloat16', [], Uint16Array.of((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16));
    }
    default:
      return Tensor.scalar('float32', value);
  }
}

/** IEEE binary16, round to nearest even; beyond its range ±∞. */
function float16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -24)));
  // In units of the last place; rounding up may carry into the exponent, which the addition then does by itself.
  const units = roundHalfEven(size / 2 ** (exponent - 10));
  return exponent === -14 ? sign | units : sign | (((exponent + 15) << 10) + (units - 1024));
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
