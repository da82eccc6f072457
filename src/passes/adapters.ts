/** @file Low-rank adapters: small trainable factors beside frozen weights, merged into them or fed at run time. */
import {
  CuttleError,
  floatOf,
  GraphBuilder,
  intOf,
  makeNode,
  Tensor,
  tensorType,
  type Attribute,
  type Dim,
  type Graph,
  type Model,
  type Node,
} from '../ir/index.js';
import { createRandom } from '../platform/random.js';

/** Operators whose weights can be adapted. */
export const adaptableOps = ['MatMul', 'Gemm', 'Conv'] as const;

export type AdaptableOp = (typeof adaptableOps)[number];

/** The factors of one weight: it becomes W + scale · (what `a` and `b` multiply to). */
export interface Adapter {
  /** Name of the weight (an initializer of the model). */
  readonly weight: string;
  readonly op: AdaptableOp;
  /** MatMul and Gemm: [in, rank]. Conv: [rank, channels, kernel …]. */
  readonly a: Tensor;
  /** MatMul and Gemm: [rank, out]. Conv: [filters, rank, 1 …]. */
  readonly b: Tensor;
  /** FNV-1a checksum of the weight that it was trained beside. */
  readonly checksum: number;
}

/** A set of adapters for one network: what a delta file holds. */
export interface AdapterSet {
  readonly rank: number;
  readonly alpha: number;
  readonly adapters: readonly Adapter[];
  /** Metadata entries (preprocessing, classes) that the adapted model has and its backbone may lack. */
  readonly metadata: ReadonlyMap<string, string>;
}

export interface AdapterOptions {
  /** At least 1. */
  readonly rank: number;
  /** The product of the factors is scaled by alpha / rank; the rank itself where omitted (scale 1). */
  readonly alpha?: number;
  /** Which weights get adapters; all that can where omitted. */
  readonly targets?: (target: AdapterTarget) => boolean;
  /** Seed of the first factors; 0 where omitted. */
  readonly seed?: number;
}

/** A weight that can be adapted. */
export interface AdapterTarget {
  readonly weight: string;
  readonly op: AdaptableOp;
  /** Names of the nodes that multiply with it. */
  readonly nodes: readonly string[];
}

/** Adapters that do not fit the model or the options. Exit code 2 for a wrong request, 3 for a wrong file. */
export class AdapterError extends CuttleError {
  constructor(kind: 'usage' | 'invalid', message: string, hint: string) {
    super(kind, 'passes/adapter', message, { hint });
  }
}

/**
 * The weights of a graph that can carry an adapter: float32 initializers that a MatMul or Gemm multiplies from the right, or a Conv
 * of one group convolves with, and that no node reads otherwise.
 */
export function adapterTargets(graph: Graph): readonly AdapterTarget[] {
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const found = new Map<string, { op: AdaptableOp; nodes: string[] } | undefined>();
  for (const node of graph.nodes)
    node.inputs.forEach((input, index) => {
      const value = graph.initializers.get(input);
      if (value === undefined || inputs.has(input)) return;
      const known = found.get(input);
      const fits = index === 1 && value.dtype === 'float32' && isAdaptable(node, value);
      if (!fits || (found.has(input) && known?.op !== node.op)) found.set(input, undefined);
      else if (known) known.nodes.push(node.name);
      else found.set(input, { op: node.op as AdaptableOp, nodes: [node.name] });
    });
  for (const { name } of graph.outputs) found.delete(name);
  return [...found].flatMap(([weight, target]) => (target ? [{ weight, ...target }] : []));
}

function isAdaptable(node: Node, weight: Tensor): boolean {
  if (node.domain !== '') return false;
  if (node.op === 'MatMul') return weight.dims.length === 2;
  if (node.op === 'Gemm') return intOf(node, 'transA', 0) === 0 && floatOf(node, 'alpha', 1) !== 0;
  return node.op === 'Conv' && intOf(node, 'group', 1) === 1 && weight.dims.length > 2;
}

/**
 * Fresh adapters for a model (Hu et al. 2022, LoRA §4.1): `a` uniform in ±1/√in, `b` zero, so that nothing changes at first.
 * Throws AdapterError for a rank that is no positive whole number and where no weight is a target.
 */
export function freshAdapters(model: Model, options: AdapterOptions): AdapterSet {
  const { rank, alpha = rank, targets = () => true, seed = 0 } = options;
  if (!Number.isInteger(rank) || rank < 1)
    throw new AdapterError('usage', `${rank} is no rank`, 'Give a whole number of at least 1.');
  const random = createRandom(seed);
  const all = adapterTargets(model.graph);
  const chosen = all.filter(targets);
  if (chosen.length === 0)
    throw new AdapterError(
      'usage',
      'no weight is a target of adapters',
      all.length === 0
        ? 'The model has no MatMul, Gemm or Conv with a constant weight.'
        : `It could be: ${listed(all)}.`,
    );
  const adapters = chosen.map(({ weight, op, nodes }): Adapter => {
    const value = model.graph.initializers.get(weight)!;
    const node = model.graph.nodes.find(({ name }) => name === nodes[0])!;
    const { a, b } = factorDims(node, value, rank);
    const bound = 1 / Math.sqrt(op === 'Conv' ? a.slice(1).reduce((x, y) => x * y, 1) : a[0]!);
    const start = Float32Array.from({ length: a.reduce((x, y) => x * y, 1) }, () => (2 * random.next() - 1) * bound);
    return {
      weight,
      op,
      a: Tensor.floats(start, a),
      b: Tensor.floats(new Float32Array(b.reduce((x, y) => x * y, 1)), b),
      checksum: checksumOf(value),
    };
  });
  return { rank, alpha, adapters, metadata: new Map() };
}

const listed = (targets: readonly AdapterTarget[]): string =>
  targets
    .slice(0, 8)
    .map(({ weight }) => weight)
    .join(', ') + (targets.length > 8 ? ' …' : '');

function factorDims(
  node: Node,
  weight: Tensor,
  rank: number,
): { readonly a: readonly number[]; readonly b: readonly number[] } {
  const [first, second] = weight.dims as readonly [number, number];
  if (node.op === 'Conv')
    return { a: [rank, ...weight.dims.slice(1)], b: [first, rank, ...weight.dims.slice(2).map(() => 1)] };
  const [inner, outer] = node.op === 'Gemm' && intOf(node, 'transB', 0) === 1 ? [second, first] : [first, second];
  return { a: [inner, rank], b: [rank, outer] };
}

/** Where the factors of a weight stand in a graph that carries them. */
export interface AttachedFactors {
  readonly weight: string;
  readonly a: string;
  readonly b: string;
}

export interface AttachedAdapters {
  readonly model: Model;
  readonly changed: boolean;
  readonly factors: readonly AttachedFactors[];
  /** Input of the common scale alpha / rank; only with `fed`. */
  readonly scale: string | undefined;
}

/**
 * The model with adapters beside their weights: x ↦ x·W + scale · (x·a)·b. The factors are initializers; with `fed` they and the
 * scale are inputs instead, whose rank is a symbol, so that one loaded model serves any adapters of these weights.
 * Contract: no node and no constant of the model changes but the name of what adapted nodes give out. Throws AdapterError
 * where a weight is missing, has another shape or other contents than the adapters were trained beside.
 */
export function attachAdapters(model: Model, set: AdapterSet, form: 'constant' | 'fed' = 'constant'): AttachedAdapters {
  const { graph } = model;
  checkAdapters(model, set);
  const b = GraphBuilder.beside(graph);
  const scaled = set.alpha !== set.rank || form === 'fed';
  const scale = form === 'fed' ? b.freshInput('lora_scale', tensorType('float32', [])) : undefined;
  const byWeight = new Map<string, AttachedFactors>();
  const factorsOf = (adapter: Adapter): AttachedFactors => {
    const known = byWeight.get(adapter.weight);
    if (known) return known;
    const place = (stem: string, value: Tensor, rankAxis: number): string => {
      const dims: Dim[] = value.dims.map((dim, axis) => (axis === rankAxis ? 'lora_rank' : dim));
      return form === 'fed' ? b.freshInput(stem, tensorType('float32', dims)) : b.parameter(stem, value);
    };
    const isConv = adapter.op === 'Conv';
    const made = {
      weight: adapter.weight,
      a: place(`${adapter.weight}.lora_a`, adapter.a, isConv ? 0 : 1),
      b: place(`${adapter.weight}.lora_b`, adapter.b, isConv ? 1 : 0),
    };
    byWeight.set(adapter.weight, made);
    return made;
  };
  const adapters = new Map(set.adapters.map((adapter) => [adapter.weight, adapter]));
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const adapter = adapters.get(node.inputs[1] ?? '');
    if (adapter?.op !== node.op || node.domain !== '') {
      nodes.push(node);
      continue;
    }
    const factors = factorsOf(adapter);
    const plain = b.fresh(`${node.outputs[0]!}.plain`);
    const from = b.nodes.length;
    const down =
      node.op === 'Conv'
        ? b.op('Conv', [node.inputs[0], factors.a], convSettings(node), { name: `${node.name}.lora_down` })
        : b.op('MatMul', [node.inputs[0], factors.a], {}, { name: `${node.name}.lora_down` });
    const small = scaled ? b.op('Mul', [down, scale ?? b.scalar(set.alpha / set.rank)]) : down;
    const up = b.op(node.op === 'Conv' ? 'Conv' : 'MatMul', [small, factors.b], {}, { name: `${node.name}.lora_up` });
    nodes.push({ ...node, outputs: [plain] }, ...b.nodes.slice(from));
    nodes.push(
      makeNode({ name: b.fresh(`${node.name}.adapted`), op: 'Add', inputs: [plain, up], outputs: [node.outputs[0]!] }),
    );
  }
  return {
    model: {
      ...model,
      metadata: new Map([...model.metadata, ...set.metadata]),
      graph: {
        ...graph,
        nodes,
        inputs: [...graph.inputs, ...b.inputs],
        initializers: new Map([...graph.initializers, ...b.initializers]),
      },
    },
    changed: true,
    factors: [...byWeight.values()],
    scale,
  };
}

/** Strides, pads and dilations, which the down-projection shares with the convolution that it stands beside. */
function convSettings(node: Node): Record<string, Attribute> {
  return Object.fromEntries(
    ['strides', 'pads', 'dilations', 'auto_pad', 'kernel_shape'].flatMap((name) => {
      const value = node.attributes.get(name);
      return value ? [[name, value]] : [];
    }),
  );
}

/** The set with its factors read back from a model that carries them (after training). */
export function detachAdapters(model: Model, set: AdapterSet, factors: readonly AttachedFactors[]): AdapterSet {
  const at = new Map(factors.map((each) => [each.weight, each]));
  const valueOf = (name: string): Tensor => model.graph.initializers.get(name)!;
  return {
    ...set,
    adapters: set.adapters.map((adapter) => {
      const { a, b } = at.get(adapter.weight)!;
      return { ...adapter, a: valueOf(a), b: valueOf(b) };
    }),
  };
}

/**
 * The model with adapters added into its weights: the same function as with the adapters attached, up to rounding, at no cost.
 * Contract: nodes are unchanged. Throws AdapterError as `attachAdapters`.
 */
export function mergeAdapters(model: Model, set: AdapterSet): { readonly model: Model; readonly changed: boolean } {
  const { graph } = model;
  checkAdapters(model, set);
  const initializers = new Map(graph.initializers);
  for (const { weight, a, b, op } of set.adapters) {
    const old = initializers.get(weight)!;
    const node = graph.nodes.find((each) => each.inputs[1] === weight && each.op === op)!;
    const rank = op === 'Conv' ? a.dims[0]! : a.dims[1]!;
    // A Gemm multiplies its product by alpha; its adapter is added behind that.
    const scale = set.alpha / set.rank / (op === 'Gemm' ? floatOf(node, 'alpha', 1) : 1);
    const product =
      op === 'Conv'
        ? multiply(b.data as Float32Array, a.data as Float32Array, b.dims[0]!, rank, a.size / rank)
        : multiply(a.data as Float32Array, b.data as Float32Array, a.dims[0]!, rank, b.dims[1]!);
    const transposed = op === 'Gemm' && intOf(node, 'transB', 0) === 1;
    const [rows, columns] = [a.dims[0]!, b.dims[1]!];
    const data = Float32Array.from(old.data as Float32Array, (value, index) => {
      const at = transposed ? (index % rows) * columns + Math.floor(index / rows) : index;
      return value + scale * product[at]!;
    });
    initializers.set(weight, Tensor.floats(data, old.dims));
  }
  const metadata = new Map([...model.metadata, ...set.metadata]);
  return { model: { ...model, metadata, graph: { ...graph, initializers } }, changed: true };
}

/** A [rows × inner] times B [inner × columns], row-major, summed in float64. */
function multiply(a: Float32Array, b: Float32Array, rows: number, inner: number, columns: number): Float64Array {
  const product = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let k = 0; k < inner; k++) {
      const factor = a[row * inner + k]!;
      for (let column = 0; column < columns; column++)
        product[row * columns + column]! += factor * b[k * columns + column]!;
    }
  return product;
}

/** Throws AdapterError where the adapters belong to another network, or their factors do not fit each other. */
function checkAdapters(model: Model, set: AdapterSet): void {
  const targets = new Map(adapterTargets(model.graph).map((target) => [target.weight, target]));
  const refuse = (message: string): never => {
    throw new AdapterError('invalid', message, 'Use the network that the adapters were trained on.');
  };
  for (const { weight, op, a, b, checksum } of set.adapters) {
    const target = targets.get(weight);
    if (target?.op !== op) return refuse(`the model has no weight '${weight}' of a ${op} that could be adapted`);
    const value = model.graph.initializers.get(weight)!;
    for (const name of target.nodes) {
      const dims = factorDims(
        model.graph.nodes.find((node) => node.name === name)!,
        value,
        set.rank,
      );
      if (
        dims.a.join() !== a.dims.join() ||
        dims.b.join() !== b.dims.join() ||
        a.dtype !== 'float32' ||
        b.dtype !== 'float32'
      )
        return refuse(`the adapter of '${weight}' does not fit its shape [${value.dims.join(', ')}]`);
    }
    if (checksumOf(value) !== checksum) return refuse(`the adapters were trained beside another '${weight}'`);
  }
}

/** FNV-1a over the bytes. */
function checksumOf({ bytes }: Tensor): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
