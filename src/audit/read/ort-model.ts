/** @file ONNX Runtime's own format (`.ort`, a FlatBuffer) as a graph: the same nodes, attributes and weights as in ONNX. */
import {
  dataTypeOfCode,
  Tensor,
  type Attribute,
  type DataType,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type Shape,
  type Value,
  type ValueType,
} from '../../ir/index.js';
import { FlatBuffer, type FlatTable } from './flatbuffer.js';
import type { ReadBudget } from './limits.js';

/** Field ids of ONNX Runtime's `ort.fbs`, by table. */
const fields = {
  session: { version: 0, model: 1 },
  model: {
    irVersion: 0,
    opsets: 1,
    producer: 2,
    producerVersion: 3,
    domain: 4,
    version: 5,
    doc: 6,
    graph: 7,
    metadata: 9,
  },
  opset: { domain: 0, version: 1 },
  entry: { key: 0, value: 1 },
  graph: { initializers: 0, values: 1, nodes: 2, inputs: 5, outputs: 6, sparse: 7 },
  node: { name: 0, doc: 1, domain: 2, index: 4, op: 5, inputs: 8, outputs: 9, attributes: 10 },
  value: { name: 0, type: 2 },
  type: { kind: 1, value: 2 },
  tensorType: { element: 0, shape: 1 },
  shape: { dims: 0 },
  dim: { value: 0 },
  dimValue: { kind: 0, size: 1, symbol: 2 },
  tensor: { name: 0, dims: 2, type: 3, bytes: 4, strings: 5 },
  attribute: {
    name: 0,
    type: 2,
    float: 3,
    int: 4,
    string: 5,
    tensor: 6,
    graph: 7,
    floats: 8,
    ints: 9,
    strings: 10,
    tensors: 11,
    graphs: 12,
  },
} as const;

/** A model with the version of the format that it was written in. */
export interface OrtModel {
  readonly model: Model;
  readonly formatVersion: string;
}

/** Decodes an ORT-format model. Throws AuditError (or InvalidGraphError) where the bytes are none or exceed a limit. */
export function decodeOrtModel(bytes: Uint8Array, budget: ReadBudget): OrtModel {
  const session = new FlatBuffer(bytes, budget).root();
  const table = session.table(fields.session.model);
  const graph = table?.table(fields.model.graph);
  if (table === undefined || graph === undefined) throw budget.invalid('empty', 'it holds no graph');
  const ids = fields.model;
  return {
    formatVersion: session.string(fields.session.version) ?? '',
    model: {
      irVersion: table.uint64(ids.irVersion),
      opsets: new Map(
        table
          .tables(ids.opsets)
          .map((each) => [plainDomain(each.string(fields.opset.domain)), each.uint64(fields.opset.version)]),
      ),
      producer: { name: table.string(ids.producer) ?? '', version: table.string(ids.producerVersion) ?? '' },
      domain: table.string(ids.domain) ?? '',
      modelVersion: table.int64(ids.version),
      doc: table.string(ids.doc) ?? '',
      metadata: new Map(
        table
          .tables(ids.metadata)
          .map((each) => [each.string(fields.entry.key) ?? '', each.string(fields.entry.value) ?? '']),
      ),
      graph: graphOf(graph, 'main', budget, 0),
      functions: [],
    },
  };
}

const plainDomain = (domain: string | undefined): string => (domain === 'ai.onnx' ? '' : (domain ?? ''));

function graphOf(table: FlatTable, name: string, budget: ReadBudget, depth: number): Graph {
  if (depth > 16) throw budget.invalid('limit', 'graphs are nested more than 16 deep');
  if (table.tables(fields.graph.sparse).length > 0) throw budget.unsupported('it holds sparse weights');
  const types = new Map<string, ValueType>();
  for (const value of table.tables(fields.graph.values)) {
    const type = typeOf(value.table(fields.value.type), budget);
    if (type) types.set(value.string(fields.value.name) ?? '', type);
  }
  const values = (id: number): readonly Value[] =>
    table.strings(id).map((each) => ({ name: each, type: types.get(each) }));
  const initializers = new Map(
    table
      .tables(fields.graph.initializers)
      .map((each) => [each.string(fields.tensor.name) ?? '', tensorOf(each, budget)]),
  );
  const used = new Set<string>();
  return {
    name,
    inputs: values(fields.graph.inputs),
    outputs: values(fields.graph.outputs),
    nodes: table.tables(fields.graph.nodes).map((each, i) => nodeOf(each, i, used, budget, depth)),
    initializers,
    sparseInitializers: new Map(),
    types,
    doc: '',
  };
}

function nodeOf(table: FlatTable, position: number, used: Set<string>, budget: ReadBudget, depth: number): Node {
  const op = table.string(fields.node.op) ?? '';
  const stated = table.string(fields.node.name) || `${op}_${position}`;
  const name = used.has(stated) ? `${stated}_${position}` : stated;
  used.add(name);
  return {
    name,
    op,
    domain: plainDomain(table.string(fields.node.domain)),
    overload: '',
    inputs: table.strings(fields.node.inputs),
    outputs: table.strings(fields.node.outputs),
    attributes: new Map(
      table
        .tables(fields.node.attributes)
        .map((each) => [each.string(fields.attribute.name) ?? '', attributeOf(each, budget, depth)]),
    ),
    doc: table.string(fields.node.doc) ?? '',
  };
}

function attributeOf(table: FlatTable, budget: ReadBudget, depth: number): Attribute {
  const ids = fields.attribute;
  const type = table.int32(ids.type);
  const missing = (): never => {
    throw budget.invalid('attribute', `attribute '${table.string(ids.name)}' has no value`);
  };
  switch (type) {
    case 1:
      return { type: 'float', value: table.float32(ids.float) };
    case 2:
      return { type: 'int', value: table.int64(ids.int) };
    case 3:
      return { type: 'string', value: table.string(ids.string) ?? '' };
    case 4:
      return { type: 'tensor', value: tensorOf(table.table(ids.tensor) ?? missing(), budget) };
    case 5:
      return { type: 'graph', value: graphOf(table.table(ids.graph) ?? missing(), 'body', budget, depth + 1) };
    case 6: {
      const bytes = table.bytes(ids.floats, 4) ?? new Uint8Array();
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      budget.spend(bytes.length / 4);
      return {
        type: 'floats',
        value: Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true)),
      };
    }
    case 7:
      return { type: 'ints', value: table.bigints(ids.ints) };
    case 8:
      return { type: 'strings', value: table.strings(ids.strings) };
    case 9:
      return { type: 'tensors', value: table.tables(ids.tensors).map((each) => tensorOf(each, budget)) };
    case 10:
      return {
        type: 'graphs',
        value: table.tables(ids.graphs).map((each, i) => graphOf(each, `body ${i}`, budget, depth + 1)),
      };
    default:
      throw budget.unsupported(`attribute '${table.string(ids.name)}' is of type ${type}`);
  }
}

function tensorOf(table: FlatTable, budget: ReadBudget): Tensor {
  const dims = budget.dims(table.int64s(fields.tensor.dims) ?? []);
  const type = table.int32(fields.tensor.type);
  const dtype: DataType | undefined = dataTypeOfCode(type);
  const name = table.string(fields.tensor.name) ?? '';
  if (dtype === undefined || dims.some((dim) => dim < 0))
    throw budget.invalid('tensor', `'${name}' of type ${type} and shape [${dims.join(', ')}]`);
  if (dtype === 'string') return Tensor.ofStrings(dims, table.strings(fields.tensor.strings));
  const bytes = table.bytes(fields.tensor.bytes);
  if (bytes === undefined && !dims.includes(0)) throw budget.unsupported(`'${name}' stands in another file`);
  return Tensor.fromBytes(dtype, dims, bytes ?? new Uint8Array());
}

/** Types of tensors; maps and sequences are rare in models for devices, and stay unknown. */
function typeOf(table: FlatTable | undefined, budget: ReadBudget): ValueType | undefined {
  if (table?.uint8(fields.type.kind) !== 1) return undefined;
  const tensor = table.table(fields.type.value);
  const dtype = tensor && dataTypeOfCode(tensor.int32(fields.tensorType.element));
  if (dtype === undefined) return undefined;
  const dims = tensor!.table(fields.tensorType.shape)?.tables(fields.shape.dims);
  if (dims && dims.length > budget.limits.maxRank) throw budget.invalid('limit', `a value has ${dims.length} dims`);
  return { kind: 'tensor', dtype, shape: dims?.map(dimOf) as Shape | undefined };
}

function dimOf(table: FlatTable): Dim {
  const value = table.table(fields.dim.value);
  const kind = value?.int8(fields.dimValue.kind);
  if (kind === 1) return value!.uint64(fields.dimValue.size);
  return kind === 2 ? value!.string(fields.dimValue.symbol) || null : null;
}
