/** @file ONNX models, and those in ONNX Runtime's own format, through the reader, shape inference and cost rules that the rest of the toolkit uses. */
import {
  constantTensor,
  CuttleError,
  dataTypes,
  opsetOf,
  requiredInputs,
  sortNodes,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type ValueType,
} from '../../ir/index.js';
import { decodeModel, defaultLimits } from '../../onnx/index.js';
import { costOf, inlineFunctions } from '../../passes/index.js';
import { assembleModel, type FoundLayer } from './assemble.js';
import { familyOf } from './families.js';
import { isLearned } from './learned.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditTensor, AuditWeight, LayerFamily } from './model.js';
import { decodeOrtModel } from './ort-model.js';

/**
 * Reads an ONNX model of any opset. Where shapes cannot be inferred, layers are listed without MACs and a note says why.
 * Throws OnnxFormatError or AuditError where the bytes are no ONNX model or exceed a limit.
 */
export function readOnnx(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('onnx', limits);
  const decoded = decodeModel(bytes, {
    // What is found in an app need not run in ONNX Runtime: any version is listed.
    limits: { ...defaultLimits, minOpset: 1, maxOpset: 99, maxIrVersion: 99, maxMessages: limits.maxItems },
  });
  return auditOfGraph('onnx', decoded, budget);
}

/**
 * Reads a model in ONNX Runtime's own format. Graphs that were optimised for one kind of processor hold operators of it.
 * Throws AuditError or InvalidGraphError where the bytes are none or exceed a limit.
 */
export function readOrt(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('ort', limits);
  const { model, formatVersion } = decodeOrtModel(bytes, budget);
  const read = auditOfGraph('ort', model, budget);
  return { ...read, version: `${read.version ?? ''}, format ${formatVersion}` };
}

function auditOfGraph(format: 'onnx' | 'ort', decoded: Model, budget: ReadBudget): AuditModel {
  const notes: string[] = [];
  const { model, costs } = costed(decoded, notes);
  const types = new Map<string, AuditTensor>();
  for (const { name, type } of model.graph.inputs) types.set(name, tensorOf(name, type));
  const layers = layersOf(model.graph, { types, costs, outer: new Map(), graph: undefined, depth: 0, budget });
  return assembleModel(
    {
      format,
      name: model.graph.name,
      producer: [decoded.producer.name, decoded.producer.version].filter(Boolean).join(' '),
      version: `opset ${opsetOf(decoded)}`,
      inputs: requiredInputs(model.graph).map(({ name, type }) => tensorOf(name, type)),
      outputs: model.graph.outputs.map(({ name, type }) =>
        type ? tensorOf(name, type) : (types.get(name) ?? tensorOf(name)),
      ),
      layers,
      metadata: Object.fromEntries(decoded.metadata),
      notes,
    },
    budget,
  );
}

interface GraphContext {
  /** Values seen so far; those of the graphs around are visible inside. */
  readonly types: Map<string, AuditTensor>;
  /** What each node of the main graph costs, in topological order; a node that holds graphs costs what these do. */
  readonly costs: ReturnType<typeof costOf>['nodes'] | undefined;
  /** Constants of the graphs around. */
  readonly outer: ReadonlyMap<string, Tensor>;
  readonly graph: string | undefined;
  readonly depth: number;
  readonly budget: ReadBudget;
}

/** Layers of a graph, each followed by those of the graphs inside it. */
function layersOf(of: Graph, { types, costs, outer, graph, depth, budget }: GraphContext): FoundLayer[] {
  if (depth > 16) throw budget.invalid('limit', 'graphs are nested more than 16 deep');
  const constants = constantsOf(of, outer);
  const nodes = sortNodes(of.nodes);
  budget.spend(nodes.length);
  nodes.forEach((node, i) =>
    node.outputs.forEach((name, k) => types.set(name, tensorOf(name, costs?.[i]?.outputs[k] ?? of.types.get(name)))),
  );
  return nodes.flatMap((node, i): FoundLayer[] => {
    if (node.op === 'Constant' && node.domain === '') return [];
    const family = familyIn(
      node.op,
      node.inputs.map((name) => constants.get(name)),
    );
    const weights = node.inputs.flatMap((name, index): AuditWeight[] => {
      const tensor = constants.get(name);
      if (tensor === undefined || tensor.dtype === 'string') return [];
      return [
        {
          name,
          shape: tensor.dims,
          dtype: tensor.dtype,
          size: tensor.size,
          bytes: tensor.bytes,
          learned: isLearned(family, tensor.dtype, tensor.dims, index),
          // Inside a graph, a name may stand for something else than outside.
          key: graph === undefined || outer.get(name) === tensor ? name : `${graph}/${name}`,
          ...layoutOf(node, family, index, tensor),
        },
      ];
    });
    const name = node.name || node.outputs[0] || `${node.op} ${i}`;
    const inner = [...node.attributes].flatMap(([attribute, value]) =>
      (value.type === 'graph' ? [value.value] : value.type === 'graphs' ? value.value : []).flatMap((each) =>
        layersOf(each, {
          types: new Map(types),
          costs: undefined,
          outer: constants,
          graph: `${graph === undefined ? '' : `${graph}/`}${name}/${attribute}`,
          depth: depth + 1,
          budget,
        }),
      ),
    );
    return [
      {
        name,
        op: node.domain === '' || node.domain === 'ai.onnx' ? node.op : `${node.domain}.${node.op}`,
        family,
        inputs: node.inputs.flatMap((input) =>
          input === '' || constants.has(input) ? [] : (types.get(input) ?? { name: input, shape: null, dtype: null }),
        ),
        outputs: node.outputs.map((output) => types.get(output)!),
        weights,
        macs: costs ? costs[i]!.macs : weighted(family) ? null : 0,
        perChannel: node.op.startsWith('DequantizeLinear') && (constants.get(node.inputs[1] ?? '')?.size ?? 0) > 1,
        ...(graph === undefined ? {} : { graph, aside: true }),
      },
      ...inner,
    ];
  });
}

/** Order of the axes of a kernel; nothing for other constants. */
function layoutOf(node: Node, family: LayerFamily, index: number, { dims }: Tensor): Pick<AuditWeight, 'layout'> {
  if (index !== 1 && !(node.op === 'QLinearConv' && index === 3)) return {};
  if (family === 'transposed-convolution') return dims.length >= 3 ? { layout: 'IOHW' } : {};
  if (family === 'convolution') return dims.length >= 3 ? { layout: 'OIHW' } : {};
  if (dims.length !== 2) return {};
  if (node.op === 'Gemm') {
    const transposed = node.attributes.get('transB');
    return { layout: transposed?.type === 'int' && transposed.value !== 0n ? 'OI' : 'IO' };
  }
  return family === 'matmul' ? { layout: 'IO' } : {};
}

function weighted(family: LayerFamily): boolean {
  return /convolution|dense|matmul|recurrent|attention/.test(family);
}

/** A Gather over a table of vectors is a look-up of embeddings; ONNX has no operator of its own for it. */
function familyIn(op: string, constants: readonly (Tensor | undefined)[]): LayerFamily {
  const table = constants[0];
  if (op === 'Gather' && table !== undefined && table.dims.length === 2 && dataTypes[table.dtype].kind === 'float')
    return 'embedding';
  return familyOf(op);
}

function costed(decoded: Model, notes: string[]): { model: Model; costs?: ReturnType<typeof costOf>['nodes'] } {
  try {
    const { model } = inlineFunctions(decoded);
    const { nodes, notes: assumed } = costOf(model, { unknownOps: 'skip' });
    notes.push(...assumed.slice(0, 20));
    return { model, costs: nodes };
  } catch (error) {
    if (!(error instanceof CuttleError)) throw error;
    notes.push(`MACs are not known: ${error.message}`);
    return { model: decoded };
  }
}

/** Initializers and Constant nodes by name, with those of the graphs around; DequantizeLinear of one is that constant. */
function constantsOf(graph: Graph, outer: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
  const constants = new Map<string, Tensor>([...outer, ...graph.initializers]);
  for (const [name, { values }] of graph.sparseInitializers) constants.set(name, values);
  for (const node of graph.nodes) {
    const output = node.outputs[0];
    if (output === undefined) continue;
    const value =
      node.op === 'Constant'
        ? constantTensor(node)
        : node.op === 'DequantizeLinear' || node.op === 'Identity'
          ? constants.get(node.inputs[0] ?? '')
          : undefined;
    if (value) constants.set(output, value);
  }
  return constants;
}

function tensorOf(name: string, type?: ValueType): AuditTensor {
  if (type?.kind !== 'tensor') return { name, shape: null, dtype: null };
  const shape = type.shape?.map((dim) => (typeof dim === 'number' && Number.isSafeInteger(dim) ? dim : null)) ?? null;
  return { name, shape, dtype: type.dtype };
}
