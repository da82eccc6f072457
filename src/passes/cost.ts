/** @file What a model costs: arithmetic, parameters and activation memory, per node and in total. */
import {
  byteLength,
  CuttleError,
  opsetOf,
  requiredInputs,
  sizeOf,
  sortNodes,
  staticShape,
  substituteDim,
  subgraphsOf,
  symbolsOf,
  tensorType,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type ValueType,
} from '../ir/index.js';
import { opRecord, ShapeError, tripCount, UnsupportedOpError, type Cost, type StaticTensorType } from '../ops/index.js';
import { mapDims } from './bind-dims.js';
import { inferShapes } from './infer-shapes.js';
import { inlineFunctions } from './inline-functions.js';
import { constantsIn, weightsOf } from './parameters.js';
import { peakMemory } from './peak-memory.js';

export interface CostOptions {
  /** Sizes of symbolic dims by name. Those not given count as 1 and are listed in the result. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** What to do with an operator without a shape or cost rule: refuse it (default), or count it as free and say so. */
  readonly unknownOps?: 'refuse' | 'skip';
}

export interface NodeCost {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  /** Multiply–accumulates of convolutions, matrix products, recurrent layers and attention. */
  readonly macs: number;
  /** Other floating-point operations. */
  readonly flops: number;
  /** Parameters that this node reads first: a shared one counts once, at its first reader. */
  readonly params: number;
  readonly paramBytes: number;
  /** Bytes of the node's outputs; 0 for a Constant. */
  readonly activationBytes: number;
  readonly outputs: readonly (ValueType | undefined)[];
  /** What had to be assumed: a Loop of unknown length, a dim that only a run can tell. */
  readonly notes: readonly string[];
}

export interface TotalCost {
  readonly macs: number;
  readonly flops: number;
  readonly params: number;
  readonly paramBytes: number;
  readonly activationBytes: number;
  /** See `peakMemory` for what it counts. */
  readonly peakActivationBytes: number;
}

export interface ModelCost {
  readonly nodes: readonly NodeCost[];
  readonly total: TotalCost;
  /** Symbolic and unknown dims that nobody gave a size, with the size that was taken: `{ batch: 1 }`. */
  readonly assumedSymbols: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

/** The model cannot be costed at the sizes that were assumed for dims left open. Exit code 2: the caller can name sizes. */
export class OpenDimsError extends CuttleError {
  constructor(assumed: Readonly<Record<string, number>>, cause: ShapeError) {
    const names = Object.keys(assumed);
    super(
      'usage',
      'passes/open-dims',
      `no size is given for ${names.join(', ')}, and 1 does not fit: ${cause.message}`,
      {
        hint: `Give sizes for symbolic dims, for example ${names[0]}=224.`,
        cause,
      },
    );
  }
}

const ASSUMED_SIZE = 1;

/**
 * Cost of one run of the model. Sub-graphs: If costs its most expensive branch, Loop its constant trip count times its
 * body (once where the count is not constant), Scan its length times its body; a note says what was assumed.
 * Parameters are the elements of initializers and Constant nodes, each once even if shared; int64, bool and string
 * tensors (shapes, axes, indices), scalars (settings) and the numeric settings of Clip, Resize, Pad … are none.
 * Calls of local functions are inlined first: their nodes are listed as `call/node`.
 * Contract: changes nothing. Throws UnsupportedOpError by operator (unless skipped), ShapeError where the model is wrong,
 * InvalidGraphError where functions cannot be inlined, OpenDimsError where the sizes assumed for open dims do not fit.
 */
export function costOf(given: Model, options: CostOptions = {}): ModelCost {
  const { model } = inlineFunctions(given);
  const assumed: Record<string, number> = {};
  const skip = options.unknownOps === 'skip';
  const size = (symbol: string): number => {
    const given = options.symbols ?? {};
    if (Object.hasOwn(given, symbol)) return given[symbol]!;
    return (assumed[symbol] = ASSUMED_SIZE);
  };
  const inputTypes = new Map<string, ValueType>();
  for (const { name, type } of requiredInputs(model.graph))
    if (type)
      inputTypes.set(
        name,
        mapDims(type, (dim, axis) => bindDim(dim, size, `${name}[${axis}]`)),
      );
  const { types, dims, subgraphs } = inferred(model, inputTypes, skip, assumed);
  const { nodes, peak } = graphCost(model.graph, {
    model,
    path: '',
    skip,
    types,
    trips: (value) => dims.get(value)?.[0],
    subgraphs,
    size,
    constants: new Map(),
    counted: new Set(),
  });
  const sum = (of: (node: NodeCost) => number): number => nodes.reduce((total, node) => total + of(node), 0);
  return {
    nodes,
    total: {
      macs: sum((node) => node.macs),
      flops: sum((node) => node.flops),
      params: sum((node) => node.params),
      paramBytes: sum((node) => node.paramBytes),
      activationBytes: sum((node) => node.activationBytes),
      peakActivationBytes: peak,
    },
    assumedSymbols: assumed,
    notes: nodes.flatMap((node) => node.notes.map((note) => `${node.name} (${node.op}): ${note}`)),
  };
}

function inferred(
  model: Model,
  inputTypes: ReadonlyMap<string, ValueType>,
  skip: boolean,
  assumed: Readonly<Record<string, number>>,
): ReturnType<typeof inferShapes> {
  try {
    return inferShapes(model, { inputTypes, unknownOps: skip ? 'skip' : 'refuse' });
  } catch (error) {
    if (error instanceof ShapeError && Object.keys(assumed).length > 0) throw new OpenDimsError(assumed, error);
    throw error;
  }
}

/** A dim as a number: symbols by `size`, a dim of which nothing is known under `name`. */
function bindDim(dim: Dim, size: (symbol: string) => number, name: string): number {
  if (typeof dim === 'number') return dim;
  if (dim === null) return size(name);
  const symbols = symbolsOf(dim);
  const values: Record<string, number> = {};
  for (const symbol of symbols) values[symbol] = size(symbol);
  const bound = substituteDim(dim, values);
  return typeof bound === 'number' ? bound : size(name);
}

interface Scope {
  readonly model: Model;
  /** Names of the nodes around a sub-graph, each with a slash. */
  readonly path: string;
  readonly skip: boolean;
  readonly types: ReadonlyMap<string, ValueType>;
  /** First element of a small integer value, where inference followed it. */
  readonly trips: (value: string) => Dim | undefined;
  readonly subgraphs: ReadonlyMap<Graph, ReadonlyMap<string, ValueType>>;
  readonly size: (symbol: string) => number;
  /** Values of initializers and Constant nodes of the surrounding graphs. */
  readonly constants: ReadonlyMap<string, Tensor>;
  /** Parameters that have found their node. */
  readonly counted: Set<Tensor>;
}

interface GraphCost {
  readonly nodes: readonly NodeCost[];
  readonly peak: number;
}

function graphCost(graph: Graph, scope: Scope): GraphCost {
  const constants = new Map([...scope.constants, ...constantsIn(graph)]);
  const insidePeaks = new Map<Node, number>();
  const bytes = (value: string): number => bytesOf(bound(scope, value, scope.types.get(value)));
  const nodes = sortNodes(graph.nodes).map((node): NodeCost => {
    const notes: string[] = [];
    const outputs = node.outputs.map((name) =>
      name === '' ? undefined : bound(scope, name, scope.types.get(name), notes),
    );
    const inner = insideCost(node, scope, constants, notes);
    if (inner) insidePeaks.set(node, inner.peak);
    const { macs, flops } = inner ?? ownCost(node, outputs, scope, notes);
    let { params, paramBytes } = inner ?? { params: 0, paramBytes: 0 };
    for (const tensor of weightsOf(node, constants, scope.counted)) {
      params += tensor.size;
      paramBytes += tensor.bytes.byteLength;
    }
    const constant = node.op === 'Constant' && node.domain === '';
    const activationBytes = constant ? 0 : outputs.reduce((total, type) => total + bytesOf(type), 0);
    return {
      name: node.name,
      op: node.op,
      domain: node.domain,
      macs,
      flops,
      params,
      paramBytes,
      activationBytes,
      outputs,
      notes,
    };
  });
  return { nodes, peak: peakMemory(graph, bytes, (node) => insidePeaks.get(node) ?? 0).bytes };
}

/** A type with every dim a number; `undefined`, with a note, where not even the rank is known. */
function bound(scope: Scope, name: string, type: ValueType | undefined, notes?: string[]): ValueType | undefined {
  if (type?.kind !== 'tensor') {
    if (type === undefined) notes?.push(`the type of '${name}' is not known; counted as empty`);
    return type;
  }
  if (type.shape === undefined) {
    notes?.push(`the rank of '${name}' is not known; counted as a scalar`);
    return tensorType(type.dtype, []);
  }
  if (type.shape.some((dim) => typeof dim !== 'number'))
    notes?.push(`dims of '${name}' are known only when it runs; each counted as the size in assumedSymbols`);
  return mapDims(type, (dim, axis) => bindDim(dim, scope.size, `${name}[${axis}]`));
}

function staticTensor(type: ValueType | undefined): StaticTensorType | undefined {
  if (type?.kind !== 'tensor') return undefined;
  const shape = staticShape(type.shape);
  return shape && { kind: 'tensor', dtype: type.dtype, shape };
}

/** Bytes of a tensor; 0 for strings, sequences and what is not known. */
function bytesOf(type: ValueType | undefined): number {
  const tensor = staticTensor(type);
  return tensor ? byteLength(tensor.dtype, sizeOf(tensor.shape)) : 0;
}

function ownCost(node: Node, outputs: readonly (ValueType | undefined)[], scope: Scope, notes: string[]): Cost {
  const opset = opsetOf(scope.model, node.domain);
  const rule = opRecord(node.op, node.domain).cost;
  if (rule) {
    const inputs = node.inputs.map((name) => staticTensor(bound(scope, name, scope.types.get(name) ?? UNTYPED)));
    return rule({ node, opset, inputs, outputs: outputs.map(staticTensor) });
  }
  if (!scope.skip)
    throw new UnsupportedOpError(
      { ...node, name: scope.path + node.name },
      opset,
      'cost rule',
      'See docs/coverage.md for the operators that are known.',
    );
  notes.push('no cost rule; counted as free');
  return { macs: 0, flops: 0 };
}

/** Stands for an omitted input: no tensor, and no note about it. */
const UNTYPED: ValueType = { kind: 'sequence', element: undefined };

interface InsideCost extends Cost {
  readonly params: number;
  readonly paramBytes: number;
  readonly peak: number;
}

/** Cost of what a node's sub-graphs do; `undefined` for a node without any. */
function insideCost(
  node: Node,
  scope: Scope,
  constants: ReadonlyMap<string, Tensor>,
  notes: string[],
): InsideCost | undefined {
  const found = subgraphsOf(node);
  if (found.length === 0) return undefined;
  const costs = found.flatMap(([, graph]) => {
    const types = scope.subgraphs.get(graph);
    // A branch that inference did not enter (its condition is constant) is never run.
    return types ? [graphCost(graph, { ...scope, path: `${scope.path}${node.name}/`, types, constants })] : [];
  });
  const times = repeats(node, scope, notes);
  const totals = costs.map(({ nodes, peak }) => ({
    macs: times * nodes.reduce((sum, each) => sum + each.macs, 0),
    flops: times * nodes.reduce((sum, each) => sum + each.flops, 0),
    params: nodes.reduce((sum, each) => sum + each.params, 0),
    paramBytes: nodes.reduce((sum, each) => sum + each.paramBytes, 0),
    peak,
  }));
  for (const { nodes } of costs)
    for (const each of nodes) notes.push(...each.notes.map((note) => `${each.name}: ${note}`));
  if (node.op === 'If' && costs.length > 1) notes.push('the most expensive branch is counted');
  const dearest = totals.reduce(
    (best, each) => ((each.macs - best.macs || each.flops - best.flops) > 0 ? each : best),
    { macs: 0, flops: 0, params: 0, paramBytes: 0, peak: 0 },
  );
  return {
    macs: dearest.macs,
    flops: dearest.flops,
    params: totals.reduce((sum, each) => sum + each.params, 0),
    paramBytes: totals.reduce((sum, each) => sum + each.paramBytes, 0),
    peak: Math.max(0, ...totals.map((each) => each.peak)),
  };
}

/** How often a node runs its body. */
function repeats(node: Node, scope: Scope, notes: string[]): number {
  if (node.domain !== '') return 1;
  if (node.op === 'Loop') {
    const numberAt = (i: number): number | undefined => {
      const value = scope.trips(node.inputs[i] ?? '');
      return typeof value === 'number' ? value : undefined;
    };
    const count = tripCount(node, numberAt);
    notes.push(count === undefined ? 'trip count not constant; one iteration is counted' : `${count} iterations`);
    return count ?? 1;
  }
  if (node.op === 'Scan') {
    const count = scanLength(node, scope);
    notes.push(count === undefined ? 'length not known; one step is counted' : `${count} steps`);
    return count ?? 1;
  }
  if (node.op === 'SequenceMap') notes.push('number of elements not known; one is counted');
  return 1;
}

function scanLength(node: Node, scope: Scope): number | undefined {
  const count = node.attributes.get('num_scan_inputs');
  const scans = count?.type === 'int' ? Number(count.value) : 1;
  const first = node.inputs.length - scans;
  const type = staticTensor(
    bound(scope, node.inputs[first] ?? '', scope.types.get(node.inputs[first] ?? '') ?? UNTYPED),
  );
  const axes = node.attributes.get('scan_input_axes');
  const axis = axes?.type === 'ints' ? Number(axes.value[0] ?? 0) : 0;
  // Scan-8 has a batch dim in front, and runs once per sample of it.
  if (opsetOf(scope.model) < 9) return type && (type.shape[0] ?? 1) * (type.shape[axis + 1] ?? 1);
  return type?.shape.at(axis);
}
