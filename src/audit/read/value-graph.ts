/** @file Layers from a graph of operators over named values, for formats whose files say the shapes of values. */
import type { FoundLayer } from './assemble.js';
import { familyOf } from './families.js';
import { isLearned } from './learned.js';
import type { ReadBudget } from './limits.js';
import type { AuditTensor, AuditWeight, LayerFamily } from './model.js';
import { elementsOf, kernelMacs, matrixMacs, type Shape } from './shape-rules.js';

/** A constant of the graph. */
export interface GraphConstant {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes?: Uint8Array | undefined;
  /** Where what it is for says more than its place among the inputs. */
  readonly learned?: boolean;
  readonly zeroPoint?: number;
}

/** An operator as the file has it. Inputs are names of values or constants, the data first. */
export interface GraphOperator {
  readonly name: string;
  readonly op: string;
  readonly family?: LayerFamily | undefined;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly graph?: string | undefined;
  readonly aside?: boolean;
  /** For matrix products: whether an operand is transposed. */
  readonly transposed?: readonly [a: boolean, b: boolean];
  readonly activation?: string | undefined;
  readonly perChannel?: boolean;
}

/** How a format lays out pictures and kernels. */
export interface GraphStyle {
  readonly channels: 'first' | 'last';
  readonly kernels: Readonly<Partial<Record<LayerFamily, NonNullable<AuditWeight['layout']>>>>;
}

/** A graph as a reader found it. */
export interface ValueGraph {
  readonly operators: readonly GraphOperator[];
  /** What the file says of values between operators. */
  readonly values: ReadonlyMap<string, AuditTensor>;
  readonly constants: ReadonlyMap<string, GraphConstant>;
  readonly style: GraphStyle;
}

/** Layers with weights and MACs, in the file's order. */
export function layersOfGraph({ operators, values, constants, style }: ValueGraph, budget: ReadBudget): FoundLayer[] {
  const tensor = (name: string): AuditTensor => values.get(name) ?? { name, shape: null, dtype: null };
  return operators.map((operator): FoundLayer => {
    budget.spend(1 + operator.inputs.length + operator.outputs.length);
    const family = operator.family ?? familyOf(operator.op);
    const weights = operator.inputs.flatMap((name, index): AuditWeight[] => {
      const constant = constants.get(name);
      return constant ? [weightOf(name, constant, { family, index, style })] : [];
    });
    const inputs = operator.inputs.filter((name) => name !== '' && !constants.has(name)).map(tensor);
    const outputs = operator.outputs.filter((name) => name !== '').map(tensor);
    return {
      name: operator.name,
      op: operator.op,
      family,
      inputs,
      outputs,
      weights,
      macs: macsOf(operator, family, { weights, inputs, outputs, style }),
      ...(operator.graph === undefined ? {} : { graph: operator.graph }),
      ...(operator.aside === true ? { aside: true } : {}),
      ...(operator.perChannel === true ? { perChannel: true } : {}),
      ...(operator.activation ? { activated: true, activation: operator.activation } : {}),
    };
  });
}

function weightOf(
  name: string,
  { shape, dtype, bytes, learned, zeroPoint }: GraphConstant,
  { family, index, style }: { readonly family: LayerFamily; readonly index: number; readonly style: GraphStyle },
): AuditWeight {
  const layout = shape.length >= 2 ? style.kernels[family] : undefined;
  return {
    name,
    shape,
    dtype,
    size: elementsOf(shape),
    learned: learned ?? isLearned(family, dtype, shape, index),
    key: name,
    ...(bytes ? { bytes } : {}),
    ...(layout ? { layout } : {}),
    ...(zeroPoint ? { zeroPoint } : {}),
  };
}

/** Open dims count as one. */
const sizes = (tensor: AuditTensor | undefined): Shape | undefined => tensor?.shape?.map((dim) => dim ?? 1);

interface Surroundings {
  readonly weights: readonly AuditWeight[];
  readonly inputs: readonly AuditTensor[];
  readonly outputs: readonly AuditTensor[];
  readonly style: GraphStyle;
}

function macsOf(
  { transposed = [false, false] }: GraphOperator,
  family: LayerFamily,
  { weights, inputs, outputs, style }: Surroundings,
): number | null {
  const kernel = weights.find(({ learned, shape }) => learned && shape.length >= 2)?.size ?? 0;
  const [input, output] = [sizes(inputs[0]), sizes(outputs[0])];
  const channels = (shape: Shape | undefined): number => (style.channels === 'first' ? shape?.[1] : shape?.at(-1)) ?? 0;
  switch (family) {
    case 'convolution':
    case 'depthwise-convolution':
      return kernel === 0 ? null : kernelMacs(kernel, output, channels(output));
    case 'transposed-convolution':
      return kernel === 0 ? null : kernelMacs(kernel, input, channels(input));
    case 'dense':
      return kernel === 0 ? null : kernelMacs(kernel, output, output?.at(-1) ?? 0);
    case 'matmul': {
      if (kernel > 0 && output !== undefined) return kernelMacs(kernel, output, output.at(-1) ?? 0);
      const other = sizes(inputs[1]);
      return input && other ? matrixMacs(input, other, transposed[0], transposed[1]) : null;
    }
    case 'recurrent':
    case 'attention':
      return null;
    default:
      return 0;
  }
}
