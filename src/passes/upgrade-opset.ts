/** @file Brings a model to a newer operator set, version by version, with one adapter per changed operator. */
import {
  constantTensor,
  EMIT_OPSET,
  GraphBuilder,
  isFloat,
  makeNode,
  MAX_EMIT_OPSET,
  MIN_OPSET,
  opsetOf,
  tensor as tensorAttribute,
  CuttleError,
  type DataType,
  type Graph,
  type Model,
  type ModelFunction,
  type Node,
  type Tensor,
  type TensorType,
  type ValueType,
} from '../ir/index.js';
import { mapSubgraphs } from './freeze.js';
import { inferShapes } from './infer-shapes.js';
import { adapterFor } from './upgrade-opset-adapters.js';
import { OpsetUpgradeError, type AdapterContext } from './upgrade-opset-context.js';

export interface UpgradeResult {
  readonly model: Model;
  readonly changed: boolean;
  readonly from: number;
  readonly to: number;
  /** The nodes that had to be rewritten, with the version that made it necessary. */
  readonly converted: readonly { readonly node: string; readonly op: string; readonly version: number }[];
}

/** The IR version that came with each opset: older ones cannot state the newer opset's features. */
const IR_VERSIONS: readonly (readonly [opset: number, ir: number])[] = [
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
  [10, 5],
  [9, 4],
];

/** Values and constants that a graph's nodes may read, with those of the graphs around it. */
interface Scope {
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly types: ReadonlyMap<string, ValueType>;
}

/**
 * The same model in ai.onnx opset `target` (7 to 21), sub-graphs and local functions included; other domains stay.
 * A model that is there already, or beyond, is returned as it is.
 * Contract: requires opset ≥ 7; ensures that the interface and every value's name and content are unchanged.
 * Throws OpsetUpgradeError for a node whose meaning cannot be kept.
 */
export function upgradeOpset(model: Model, target: number = EMIT_OPSET): UpgradeResult {
  if (!Number.isInteger(target) || target < MIN_OPSET || target > MAX_EMIT_OPSET)
    throw new CuttleError(
      'usage',
      'passes/opset-target',
      `opset ${target} is no target: give ${MIN_OPSET} to ${MAX_EMIT_OPSET}`,
    );
  const from = opsetOf(model);
  const functionsBehind = model.functions.some((fn) => isBehind(fn.opsets.get(''), target));
  const unchanged = { model, changed: false, from, to: from, converted: [] };
  if (!isBehind(from, target) && !functionsBehind) return unchanged;
  if (from !== 0 && from < MIN_OPSET)
    throw new CuttleError('unsupported', 'passes/opset-source', `opset ${from} is older than ${MIN_OPSET}`);

  const walk = new Upgrade(model);
  const graph = isBehind(from, target) ? walk.graph(model.graph, from, target) : model.graph;
  const functions = model.functions.map((fn) => walk.function(fn, target));
  const to = Math.max(from, target);
  const ir = IR_VERSIONS.find(([opset]) => to >= opset)?.[1] ?? 3;
  return {
    model: {
      ...model,
      graph,
      functions,
      irVersion: Math.max(model.irVersion, ir),
      opsets: from === 0 ? model.opsets : new Map([...model.opsets, ['', to]]),
    },
    changed: true,
    from,
    to,
    converted: walk.converted,
  };
}

const isBehind = (opset: number | undefined, target: number): boolean =>
  opset !== undefined && opset !== 0 && opset < target;

class Upgrade {
  readonly converted: { node: string; op: string; version: number }[] = [];
  readonly #names: GraphBuilder;
  readonly #model: Model;
  #inferred: ReadonlyMap<string, ValueType> | undefined;
  #onlyFloat: DataType | undefined | null = null;

  constructor(model: Model) {
    this.#model = model;
    this.#names = GraphBuilder.beside(model.graph);
    // Functions have name spaces of their own; keeping clear of them all is simplest.
    for (const fn of model.functions)
      for (const node of fn.nodes)
        for (const name of [node.name, ...node.inputs, ...node.outputs]) if (name !== '') this.#names.fresh(name);
  }

  graph(graph: Graph, from: number, target: number, outer: Scope = { constants: new Map(), types: new Map() }): Graph {
    const scope: Scope = {
      constants: new Map([...outer.constants, ...constantsOf(graph)]),
      types: new Map([...outer.types, ...graph.types, ...statedTypes(graph)]),
    };
    const made = new Map<string, Tensor>();
    const constant = (stem: string, value: Tensor): string => {
      const name = this.#names.fresh(stem);
      made.set(name, value);
      return name;
    };
    const nodes = this.#nodes(graph.nodes, from, target, scope, constant);
    return {
      ...graph,
      nodes,
      initializers: made.size === 0 ? graph.initializers : new Map([...graph.initializers, ...made]),
    };
  }

  function(fn: ModelFunction, target: number): ModelFunction {
    const from = fn.opsets.get('');
    if (from === undefined || !isBehind(from, target)) return fn;
    // A function has no initializers: constants are nodes.
    const constants: Node[] = [];
    const constant = (stem: string, value: Tensor): string => {
      const name = this.#names.fresh(stem);
      const attributes = new Map([['value', tensorAttribute(value)]]);
      constants.push(
        makeNode({
          name: this.#names.fresh(`${stem}_constant`),
          op: 'Constant',
          inputs: [],
          outputs: [name],
          attributes,
        }),
      );
      return name;
    };
    const scope: Scope = {
      constants: constantsOf({ nodes: fn.nodes, initializers: new Map(), inputs: [] }),
      types: new Map(),
    };
    const nodes = this.#nodes(fn.nodes, from, target, scope, constant);
    return { ...fn, nodes: [...constants, ...nodes], opsets: new Map([...fn.opsets, ['', target]]) };
  }

  #nodes(
    given: readonly Node[],
    from: number,
    target: number,
    scope: Scope,
    constant: AdapterContext['constant'],
  ): readonly Node[] {
    let nodes = given.map((node) => mapSubgraphs(node, (inner) => this.graph(inner, from, target, scope)));
    // Constants that adapters make are constants for the adapters of later versions.
    const constants = new Map(scope.constants);
    for (let version = from + 1; version <= target; version++) {
      const context: AdapterContext = {
        version,
        target,
        type: (value) => this.#type(value, scope),
        constantOf: (value) => constants.get(value),
        floatType: (node, value) => this.#floatType(node, value, scope, version),
        constant: (stem, value) => {
          const name = constant(stem, value);
          constants.set(name, value);
          return name;
        },
        fresh: (stem) => this.#names.fresh(stem),
      };
      nodes = nodes.flatMap((node) => {
        const adapter = adapterFor(node, version);
        if (adapter === undefined) return [node];
        for (const [name, attribute] of node.attributes)
          if (attribute.type === 'reference')
            throw new OpsetUpgradeError(node, version, `its attribute '${name}' is set by the calls of its function`);
        const result = adapter(node, context);
        if (result.length !== 1 || result[0] !== node) this.converted.push({ node: node.name, op: node.op, version });
        return result;
      });
    }
    return nodes;
  }

  #type(value: string, scope: Scope): TensorType | undefined {
    const constant = scope.constants.get(value);
    if (constant) return { kind: 'tensor', dtype: constant.dtype, shape: constant.dims };
    this.#inferred ??= this.#infer();
    for (const type of [this.#inferred.get(value), scope.types.get(value)]) if (type?.kind === 'tensor') return type;
    return undefined;
  }

  /** Types are a help, not a need: where inference refuses the old model, the stated ones must do. */
  #infer(): ReadonlyMap<string, ValueType> {
    try {
      return inferShapes(this.#model, { unknownOps: 'skip' }).types;
    } catch (error) {
      if (error instanceof CuttleError) return new Map();
      throw error;
    }
  }

  #floatType(node: Node, value: string, scope: Scope, version: number): DataType {
    const known = this.#type(value, scope)?.dtype;
    if (known !== undefined) return known;
    if (this.#onlyFloat === null) this.#onlyFloat = onlyFloatType(this.#model.graph);
    if (this.#onlyFloat === undefined)
      throw new OpsetUpgradeError(node, version, `the type of '${value}' is not known`);
    return this.#onlyFloat;
  }
}

function constantsOf(graph: Pick<Graph, 'nodes' | 'initializers' | 'inputs'>): ReadonlyMap<string, Tensor> {
  const constants = new Map(graph.initializers);
  for (const input of graph.inputs) constants.delete(input.name);
  for (const node of graph.nodes)
    if (node.op === 'Constant' && node.domain === '') {
      const value = constantTensor(node);
      if (value) constants.set(node.outputs[0]!, value);
    }
  return constants;
}

function statedTypes(graph: Graph): readonly (readonly [string, ValueType])[] {
  return [...graph.inputs, ...graph.outputs].flatMap(({ name, type }) => (type ? [[name, type] as const] : []));
}

/** The float type of the model, where inputs, weights and stated types know just one; float32 where they know none. */
function onlyFloatType(graph: Graph): DataType | undefined {
  const found = new Set<DataType>();
  const add = (dtype: DataType): void => {
    if (isFloat(dtype)) found.add(dtype);
  };
  for (const tensor of graph.initializers.values()) add(tensor.dtype);
  for (const { type } of [...graph.inputs, ...graph.outputs]) if (type?.kind === 'tensor') add(type.dtype);
  for (const type of graph.types.values()) if (type.kind === 'tensor') add(type.dtype);
  return found.size > 1 ? undefined : ([...found][0] ?? 'float32');
}
