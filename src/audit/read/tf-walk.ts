/** @file Walks a TensorFlow graph and the functions it calls, from inputs and variables to layers with shapes. */
import type { FoundLayer } from './assemble.js';
import { familyOf } from './families.js';
import { isLearned } from './learned.js';
import type { ReadBudget } from './limits.js';
import type { AuditTensor, AuditWeight, LayerFamily } from './model.js';
import { elementsOf, kernelMacs, matrixMacs, type Shape } from './shape-rules.js';
import type { TfNode } from './tf-attributes.js';
import { isChannelsFirst, tfRules, type TfValue } from './tf-rules.js';

/** A function of a graph's library. */
export interface TfFunction {
  readonly nodes: readonly TfNode[];
  readonly args: readonly string[];
  /** For each result, the value inside that it is. */
  readonly results: readonly string[];
}

const CALLS: ReadonlySet<string> = new Set(['PartitionedCall', 'StatefulPartitionedCall']);
/** Nodes that no layer comes from. */
const SILENT: ReadonlySet<string> = new Set([
  'Const',
  'Identity',
  'ReadVariableOp',
  'NoOp',
  'Placeholder',
  'VarHandleOp',
  'VariableV2',
  'Variable',
  'IdentityN',
  'Enter',
  'Arg',
  '_Arg',
  '_Retval',
  'StopGradient',
  'Assert',
  'PlaceholderWithDefault',
  'Assign',
  'AssignVariableOp',
  'RestoreV2',
  'SaveV2',
  'MergeV2Checkpoints',
  'ShardedFilename',
  'StaticRegexFullMatch',
  'StringJoin',
  'DisableCopyOnRead',
]);

/** Collects the layers of a graph. */
export class TfWalk {
  readonly layers: FoundLayer[] = [];
  readonly #functions: ReadonlyMap<string, TfFunction>;
  readonly #budget: ReadBudget;

  constructor(functions: ReadonlyMap<string, TfFunction>, budget: ReadBudget) {
    this.#functions = functions;
    this.#budget = budget;
  }

  /** Walks `nodes` with values of their arguments; returns the values of `results`. Throws AuditError where calls nest too deep. */
  graph(
    nodes: readonly TfNode[],
    args: ReadonlyMap<string, TfValue>,
    results: readonly string[],
    depth = 0,
    prefix = '',
  ): readonly TfValue[] {
    if (depth > 16) throw this.#budget.invalid('limit', 'functions call one another more than 16 deep');
    const values = new Map<string, readonly TfValue[]>([...args].map(([name, value]) => [name, [value]]));
    const valueOf = (input: string): TfValue => {
      const { name, output } = parsedInput(input);
      return values.get(name)?.[output] ?? {};
    };
    for (const node of orderedNodes(nodes)) {
      this.#budget.spend(1 + node.inputs.length);
      const inputs = node.inputs.filter((input) => !input.startsWith('^'));
      const given = inputs.map(valueOf);
      const called = CALLS.has(node.op) ? this.#functions.get(node.attributes.callee('f')) : undefined;
      if (called) {
        const inner = new Map(called.args.map((name, i) => [name, given[i] ?? {}]));
        values.set(node.name, this.graph(called.nodes, inner, called.results, depth + 1, `${prefix}${node.name}/`));
        continue;
      }
      const made = this.#made(node, given);
      values.set(node.name, made);
      if (!SILENT.has(node.op)) this.#layer(node, inputs, given, made, prefix);
    }
    return results.map(valueOf);
  }

  #made(node: TfNode, given: readonly TfValue[]): readonly TfValue[] {
    const { attributes: a } = node;
    if (node.op === 'Const') {
      const tensor = a.tensor('value');
      if (tensor === undefined) return [{}];
      const weight = { name: node.name, ...(tensor.bytes ? { bytes: tensor.bytes } : {}) };
      return [{ shape: tensor.shape, dtype: tensor.dtype, numbers: tensor.numbers, weight }];
    }
    if (node.op === 'VarHandleOp' || node.op === 'VariableV2' || node.op === 'Variable') {
      const shape = a.shape('shape');
      return [
        { shape: shape ? this.#budget.dims(shape) : undefined, dtype: a.type('dtype'), weight: { name: node.name } },
      ];
    }
    if (node.op === 'Placeholder' || node.op === 'PlaceholderWithDefault') {
      const shape = a.shape('shape');
      // An open size counts as one.
      return [
        {
          shape: shape && shape.length > 0 ? this.#budget.dims(shape.map((dim) => (dim < 0 ? 1 : dim))) : undefined,
          dtype: a.type('dtype'),
        },
      ];
    }
    const made = tfRules.get(node.op)?.(node, given) ?? [{}];
    return made.map((value) => ({ ...value, shape: value.shape && this.#budget.dims(value.shape) }));
  }

  #layer(
    node: TfNode,
    inputs: readonly string[],
    given: readonly TfValue[],
    made: readonly TfValue[],
    prefix: string,
  ): void {
    const named = (name: string, value: TfValue | undefined): AuditTensor => ({
      name: prefix + name,
      shape: value?.shape ?? null,
      dtype: value?.dtype ?? null,
    });
    const isTable =
      /^(Gather(V2)?|ResourceGather)$/.test(node.op) &&
      given[0]?.weight !== undefined &&
      (given[0].shape?.length ?? 0) >= 2;
    const family = isTable ? 'embedding' : familyOf(node.op);
    const weights = given.flatMap((value, index): AuditWeight[] => {
      if (value.weight === undefined || value.shape === undefined) return [];
      const [dtype, shape] = [value.dtype ?? 'float32', value.shape];
      return [
        {
          name: value.weight.name,
          key: value.weight.name,
          dtype,
          shape,
          size: elementsOf(shape),
          learned: isLearned(
            family,
            dtype,
            shape,
            node.op === 'Conv2DBackpropInput' ? index : Math.max(index, isTable ? 1 : 0),
          ),
          ...(value.weight.bytes ? { bytes: value.weight.bytes } : {}),
          ...(index === 1 && node.op === 'Conv2D' ? { layout: 'HWIO' as const } : {}),
          ...(index === 1 && node.op === 'DepthwiseConv2dNative' ? { layout: 'HWCM' as const } : {}),
          ...(index === 1 && node.op === 'MatMul' ? { layout: 'IO' as const } : {}),
        },
      ];
    });
    if (this.layers.length >= this.#budget.limits.maxLayers)
      throw this.#budget.invalid('limit', `it has more than ${this.#budget.limits.maxLayers} layers`);
    this.layers.push({
      name: prefix + node.name,
      op: node.op,
      family,
      inputs: inputs.flatMap((name, i) => (given[i]?.weight ? [] : named(parsedInput(name).name, given[i]))),
      outputs: [named(node.name, made[0])],
      weights,
      macs: macsOf(node, family, given, made[0]?.shape),
    });
  }
}

function macsOf(
  node: TfNode,
  family: LayerFamily,
  given: readonly TfValue[],
  output: Shape | undefined,
): number | null {
  const channel = isChannelsFirst(node) ? 1 : -1;
  const kernel = given[1]?.shape;
  switch (family) {
    case 'convolution':
    case 'depthwise-convolution':
      return kernel ? kernelMacs(elementsOf(kernel), output, output?.at(channel) ?? 0) : null;
    case 'transposed-convolution': {
      const input = given[2]?.shape;
      return kernel ? kernelMacs(elementsOf(kernel), input, input?.at(channel) ?? 0) : null;
    }
    case 'matmul': {
      const [a, b] = [given[0]?.shape, kernel];
      const flag = (...names: readonly string[]): boolean => names.some((name) => node.attributes.number(name) !== 0);
      return a && b ? matrixMacs(a, b, flag('transpose_a', 'adj_x'), flag('transpose_b', 'adj_y')) : null;
    }
    case 'dense':
    case 'recurrent':
    case 'attention':
      return null;
    default:
      return 0;
  }
}

/** `name`, `name:1`, or in functions `name:output:1`. */
export function parsedInput(input: string): { readonly name: string; readonly output: number } {
  const plain = input.startsWith('^') ? input.slice(1) : input;
  const parts = plain.split(':');
  const last = Number(parts.at(-1));
  return { name: parts[0]!, output: parts.length > 1 && Number.isInteger(last) && last >= 0 && last < 1024 ? last : 0 };
}

/** Nodes after those that they read; what stands in a cycle keeps its place at the end. */
export function orderedNodes(nodes: readonly TfNode[]): readonly TfNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const waiting = new Map<string, number>();
  const readers = new Map<string, TfNode[]>();
  const ready: TfNode[] = [];
  for (const node of byName.values()) {
    const sources = new Set(
      node.inputs.map((input) => parsedInput(input).name).filter((name) => byName.has(name) && name !== node.name),
    );
    waiting.set(node.name, sources.size);
    for (const source of sources) {
      const list = readers.get(source);
      if (list) list.push(node);
      else readers.set(source, [node]);
    }
    if (sources.size === 0) ready.push(node);
  }
  const result: TfNode[] = [];
  for (let at = 0; at < ready.length; at++) {
    const node = ready[at]!;
    result.push(node);
    for (const reader of readers.get(node.name) ?? []) {
      const left = waiting.get(reader.name)! - 1;
      waiting.set(reader.name, left);
      if (left === 0) ready.push(reader);
    }
  }
  if (result.length === byName.size) return result;
  const done = new Set(result);
  return [...result, ...[...byName.values()].filter((node) => !done.has(node))];
}
