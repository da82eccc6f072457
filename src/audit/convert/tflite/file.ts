/** @file A TensorFlow Lite file with all that a conversion needs: sub-graphs, tensors with contents and scales, options, signatures. */
import { Tensor, type DataType, type Dim } from '../../../ir/index.js';
import { AuditError } from '../../errors.js';
import { bitsOf } from '../../read/assemble.js';
import { FlatBuffer, type FlatTable } from '../../read/flatbuffer.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from '../../read/limits.js';
import { elementsOf } from '../../read/shape-rules.js';
import { bufferBytes, operatorName } from '../../read/tflite.js';
import { fields, tensorTypes } from '../../read/tflite-schema.js';
import { widenInt4 } from '../constants.js';
import type { Quantisation, Stated } from '../flow.js';
import { densified } from './sparse.js';

/** A tensor of a sub-graph. */
export interface TfliteTensor extends Stated {
  readonly constant: Tensor | undefined;
  readonly isVariable: boolean;
  /** Element types that ONNX has no tensor of: resources, variants. */
  readonly isHandle: boolean;
}

export interface TfliteOperator {
  readonly op: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly options: FlatTable | undefined;
  /** FlexBuffer of a custom operator. */
  readonly custom: Uint8Array | undefined;
}

export interface TfliteGraph {
  readonly name: string;
  readonly tensors: readonly TfliteTensor[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly operators: readonly TfliteOperator[];
}

/** Names of a sub-graph's ends, as callers know them. */
export interface TfliteSignature {
  readonly key: string;
  readonly graph: number;
  readonly inputs: ReadonlyMap<number, string>;
  readonly outputs: ReadonlyMap<number, string>;
}

export interface TfliteFile {
  readonly graphs: readonly TfliteGraph[];
  readonly signatures: readonly TfliteSignature[];
  readonly description: string;
}

/** Reads a file whole. Throws AuditError of kind `invalid` where it breaks the format. */
export function readTfliteFile(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): TfliteFile {
  const budget = new ReadBudget('tflite', limits);
  const root = new FlatBuffer(bytes, budget).root();
  const buffers = root.tables(fields.model.buffers).map((table) => bufferBytes(table, bytes, budget));
  const codes = root.tables(fields.model.operatorCodes).map(operatorName);
  const graphs = root.tables(fields.model.subgraphs).map((graph): TfliteGraph => {
    const tensors = graph.tables(fields.subgraph.tensors).map((table) => tensorOf(table, buffers, budget));
    const checked = (list: readonly number[] | undefined, least: number): readonly number[] => {
      for (const index of list ?? [])
        if (index < least || index >= tensors.length)
          throw budget.invalid('tensor', `it reads tensor ${index} of ${tensors.length}`);
      return list ?? [];
    };
    const operators = graph.tables(fields.subgraph.operators).map((table): TfliteOperator => {
      const op = codes[table.uint32(fields.operator.code)];
      if (op === undefined) throw budget.invalid('operator', 'an operator has no code');
      return {
        op,
        inputs: checked(table.int32s(fields.operator.inputs), -1),
        outputs: checked(table.int32s(fields.operator.outputs), 0),
        options: table.table(fields.operator.options),
        custom: table.bytes(fields.operator.customOptions),
      };
    });
    return {
      name: graph.string(fields.subgraph.name) ?? '',
      tensors,
      inputs: checked(graph.int32s(fields.subgraph.inputs), 0),
      outputs: checked(graph.int32s(fields.subgraph.outputs), 0),
      operators,
    };
  });
  if (graphs.length === 0) throw budget.invalid('empty', 'it has no sub-graph');
  const signatures = root.tables(fields.model.signatures).map((table): TfliteSignature => {
    const graph = table.uint32(fields.signature.subgraph);
    if (graph >= graphs.length)
      throw budget.invalid('signature', `a signature calls sub-graph ${graph} of ${graphs.length}`);
    const names = (id: number): ReadonlyMap<number, string> =>
      new Map(
        table
          .tables(id)
          .map((entry) => [entry.uint32(fields.namedTensor.tensor), entry.string(fields.namedTensor.name) ?? '']),
      );
    return {
      key: table.string(fields.signature.key) ?? '',
      graph,
      inputs: names(fields.signature.inputs),
      outputs: names(fields.signature.outputs),
    };
  });
  return { graphs, signatures, description: root.string(fields.model.description) ?? '' };
}

function tensorOf(table: FlatTable, buffers: readonly (Uint8Array | undefined)[], budget: ReadBudget): TfliteTensor {
  const name = table.string(fields.tensor.name) ?? '';
  const dims = budget.dims(table.int32s(fields.tensor.shape) ?? []);
  const typeName = tensorTypes[table.int8(fields.tensor.type)] ?? '';
  const isHandle = typeName === 'resource' || typeName === 'variant';
  if (typeName === '') throw budget.invalid('type', `tensor '${name}' has an unknown element type`);
  const type = (isHandle ? 'int32' : typeName) as DataType;
  const stated = table.int32s(fields.tensor.signature);
  const open = stated?.length === dims.length ? stated : dims;
  const isVariable = table.bool(fields.tensor.isVariable);
  const bytes = isVariable || isHandle ? undefined : buffers[table.uint32(fields.tensor.buffer)];
  // A shape without dims belongs to a scalar, or to a value whose rank is not known: `has_rank` came late, so contents decide.
  const shape = dims.map((dim, axis): Dim => (open[axis]! >= 0 && dim >= 0 ? dim : axis === 0 ? 'batch' : null));
  const constant = bytes && contents(name, type, dims, bytes, table, budget);
  return {
    name,
    // Four-bit integers are widened: no kernel computes on them.
    type: constant?.dtype ?? type,
    shape: constant ? constant.dims : shape,
    quantisation: quantisationOf(table.table(fields.tensor.quantisation), type, dims.length),
    constant,
    isVariable,
    isHandle,
  };
}

function contents(
  name: string,
  type: DataType,
  dims: readonly number[],
  bytes: Uint8Array,
  table: FlatTable,
  budget: ReadBudget,
): Tensor | undefined {
  if (type === 'string') return undefined;
  const size = elementsOf(dims);
  if (dims.some((dim) => dim < 0)) throw budget.invalid('dims', `constant '${name}' has shape [${dims.join(', ')}]`);
  const sparsity = table.table(fields.tensor.sparsity);
  if (sparsity) {
    if (type === 'int4')
      throw new AuditError('sparse-weights', `this tflite model cannot be converted: '${name}' is sparse int4`, {
        kind: 'unsupported',
      });
    return Tensor.fromBytes(type, dims, densified(bytes, dims, bitsOf(type) / 8, sparsity, budget));
  }
  if (type === 'int4') {
    if (bytes.length < Math.ceil(size / 2)) throw budget.invalid('truncated', `'${name}' has ${bytes.length} bytes`);
    return widenInt4(bytes, dims);
  }
  try {
    return Tensor.fromBytes(type, dims, bytes);
  } catch (cause) {
    throw new AuditError(
      'tflite-contents',
      `not a readable tflite model: '${name}' has ${bytes.length} bytes for ${type}[${dims.join(', ')}]`,
      { cause },
    );
  }
}

function quantisationOf(table: FlatTable | undefined, type: DataType, rank: number): Quantisation | undefined {
  const bytes = table?.bytes(fields.quantisation.scale, 4);
  if (!table || bytes === undefined || bytes.length < 4 || type === 'float32' || type === 'bool') return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const scales = Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  const zeroBytes = table.bytes(fields.quantisation.zeroPoint, 8);
  const zeroView = zeroBytes && new DataView(zeroBytes.buffer, zeroBytes.byteOffset, zeroBytes.byteLength);
  const zeros = scales.map((_, i) =>
    zeroView && 8 * i + 8 <= zeroView.byteLength ? Number(zeroView.getBigInt64(8 * i, true)) : 0,
  );
  const axis = table.int32(fields.quantisation.axis);
  return { scales, zeros, axis: axis >= 0 && axis < Math.max(1, rank) ? axis : 0 };
}
