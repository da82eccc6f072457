/** @file Half precision: the same network with float16 weights and activations, float32 inputs and outputs as before. */
import { GraphBuilder, int, makeNode, rewireNode, sortNodes, Tensor, type Model, type Node } from '../ir/index.js';
import { removeDeadNodes } from './dead-nodes.js';
import { inferShapes } from './infer-shapes.js';

export interface ToHalfResult {
  readonly model: Model;
  readonly changed: boolean;
  /** Names of the nodes that now take and give float16. */
  readonly layers: readonly string[];
}

/** Operators whose specification fixes some float32 operand, or which state a type themselves: they stay as they are. */
const FLOAT_ONLY: ReadonlySet<string> = new Set([
  ...['Cast', 'CastLike', 'Constant', 'ConstantOfShape', 'RandomNormal', 'RandomUniform', 'RandomNormalLike'],
  ...['RandomUniformLike', 'EyeLike', 'Range', 'Resize', 'Upsample', 'NonMaxSuppression', 'RoiAlign', 'QuantizeLinear'],
  ...['DequantizeLinear', 'DynamicQuantizeLinear', 'ConvInteger', 'MatMulInteger', 'If', 'Loop', 'Scan', 'DFT', 'STFT'],
  ...['MelWeightMatrix', 'HannWindow', 'HammingWindow', 'BlackmanWindow', 'StringNormalizer', 'TfIdfVectorizer'],
]);

const TO_HALF = 10;
const TO_FLOAT = 1;
const LARGEST = 65_504;

/**
 * Puts every node that can into float16: weights are rounded (to nearest, ties to even; beyond ±65,504 to that), and Cast nodes
 * stand where the two precisions meet. Inputs, outputs and control flow stay float32.
 * Contract: requires a model of opset 7 or later; ensures names and types of inputs and outputs.
 */
export function toHalf(model: Model): ToHalfResult {
  const { graph } = model;
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const isFloat = (value: string): boolean => {
    const known = graph.initializers.get(value);
    if (known !== undefined) return known.dtype === 'float32';
    const type = types.get(value);
    return type?.kind === 'tensor' && type.dtype === 'float32';
  };
  // A node whose results cannot be typed might give float32 whatever it takes.
  const suits = (node: Node): boolean =>
    node.domain === '' &&
    !FLOAT_ONLY.has(node.op) &&
    node.outputs.every((output) => output === '' || types.has(output)) &&
    [...node.inputs, ...node.outputs].some((value) => value !== '' && isFloat(value));
  const halves = new Set(graph.nodes.filter(suits));
  if (halves.size === 0) return { model, changed: false, layers: [] };

  const b = GraphBuilder.beside(graph);
  const madeHalf = new Set(
    [...halves].flatMap((node) => node.outputs.filter((output) => output !== '' && isFloat(output))),
  );
  /** The float16 form of a float32 value. */
  const halfOf = new Map<string, string>();
  const half = (value: string): string => {
    const known = halfOf.get(value);
    if (known !== undefined) return known;
    const weight = graph.initializers.get(value);
    const name =
      weight !== undefined
        ? b.parameter(`${value}.half`, halfTensor(weight as Tensor<'float32'>))
        : madeHalf.has(value)
          ? b.fresh(`${value}.half`)
          : b.op('Cast', [value], { to: TO_HALF }, { name: `${value}/to-half` });
    halfOf.set(value, name);
    return name;
  };
  const nodes: Node[] = graph.nodes.map((node) => {
    if (!halves.has(node)) return node;
    const rewire = new Map(
      node.inputs.filter((input) => input !== '' && isFloat(input)).map((input) => [input, half(input)]),
    );
    const outputs = node.outputs.map((output) => (madeHalf.has(output) ? half(output) : output));
    return { ...rewireNode(node, rewire), outputs };
  });
  // Whoever still reads the float32 form gets it under its old name; what nobody reads is removed below.
  for (const value of madeHalf)
    nodes.push(
      makeNode({
        name: b.fresh(`${value}/to-float`),
        op: 'Cast',
        inputs: [half(value)],
        outputs: [value],
        attributes: new Map([['to', int(TO_FLOAT)]]),
      }),
    );
  const result = removeDeadNodes({
    ...model,
    graph: {
      ...graph,
      nodes: sortNodes([...nodes, ...b.nodes]),
      initializers: new Map([...graph.initializers, ...b.initializers]),
      types: new Map(),
    },
  });
  return { model: result.model, changed: true, layers: [...halves].map(({ name }) => name) };
}

function halfTensor(weight: Tensor<'float32'>): Tensor {
  const bits = Uint16Array.from(weight.data, halfBits);
  return Tensor.of('float16', weight.dims, bits);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The float16 nearest to a number, as bits; finite numbers stay finite, NaN stays NaN. Exported for tests. */
export function halfBits(value: number): number {
  scratch[0] = Math.abs(value) === Infinity ? value : Math.max(-LARGEST, Math.min(LARGEST, value));
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200);
  // Below 2⁻¹⁴ numbers are multiples of 2⁻²⁴.
  if (exponent < 113) return sign | roundEven(Math.abs(scratch[0]) * 2 ** 24);
  const rounded = roundEven((fraction | 0x800000) / 2 ** 13);
  return sign | (((exponent - 112) << 10) + (rounded - 0x400));
}

/** To the nearest whole number, halves to the even one. */
function roundEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest > 0.5 || (rest === 0.5 && below % 2 === 1)) return below + 1;
  return below;
}
