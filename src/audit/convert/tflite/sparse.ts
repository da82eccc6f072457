/** @file TensorFlow Lite's sparse tensors (`SparsityParameters` of its schema) with their zeros put back. */
import type { FlatTable } from '../../read/flatbuffer.js';
import type { ReadBudget } from '../../read/limits.js';
import { elementsOf, rowMajor } from '../../read/shape-rules.js';

/** Field ids of SparsityParameters, DimensionMetadata and the vectors of indices. */
const fields = {
  sparsity: { order: 0, blocks: 1, dimensions: 2 },
  dimension: { format: 0, size: 1, segmentsType: 2, segments: 3, indicesType: 4, indices: 5 },
  vector: { values: 0 },
} as const;

/** Bytes of an index by the union's type: int32, uint16, uint8. */
const indexBytes: Readonly<Record<number, 1 | 2 | 4>> = { 1: 4, 2: 2, 3: 1 };

/** One step from the whole tensor to an element: all places of an axis, or those that are listed. */
interface Level {
  /** Places, where all of them are stored. */
  readonly size: number;
  /** Where the list of each place before begins, and the places themselves. */
  readonly listed?: { readonly segments: readonly number[]; readonly indices: readonly number[] };
  /** What a place adds to the element's position. */
  readonly stride: number;
}

/**
 * The numbers of a sparse tensor in their dense places, `width` bytes each; the others are zero. Throws AuditError where the
 * description contradicts the shape or the number of stored numbers, or where the result exceeds the limit of unpacked bytes.
 */
export function densified(
  bytes: Uint8Array,
  dims: readonly number[],
  width: number,
  sparsity: FlatTable,
  budget: ReadBudget,
): Uint8Array {
  const size = elementsOf(dims) * width;
  if (size > budget.limits.maxUnpackedBytes) throw budget.invalid('limit', `a sparse tensor unpacks to ${size} bytes`);
  const levels = levelsOf(dims, sparsity, budget);
  const dense = new Uint8Array(size);
  const place = (level: number, before: number, at: number): void => {
    budget.spend(1);
    const each = levels[level];
    if (each === undefined) {
      const from = before * width;
      if (from + width > bytes.length || (at + 1) * width > size)
        throw budget.invalid('sparse', 'its stored numbers do not fit its shape');
      for (let b = 0; b < width; b++) dense[at * width + b] = bytes[from + b]!;
      return;
    }
    const { listed, stride } = each;
    if (listed === undefined) {
      for (let i = 0; i < each.size; i++) place(level + 1, before * each.size + i, at + i * stride);
      return;
    }
    const [first, end] = [listed.segments[before], listed.segments[before + 1]];
    if (first === undefined || end === undefined || first < 0 || end > listed.indices.length)
      throw budget.invalid('sparse', 'a list of places leaves its table');
    for (let i = first; i < end; i++) {
      const index = listed.indices[i]!;
      if (index < 0 || index >= each.size) throw budget.invalid('sparse', `place ${index} of ${each.size}`);
      place(level + 1, i, at + index * stride);
    }
  };
  place(0, 0, 0);
  return dense;
}

function levelsOf(dims: readonly number[], sparsity: FlatTable, budget: ReadBudget): readonly Level[] {
  const order = sparsity.int32s(fields.sparsity.order) ?? [];
  const blocks = sparsity.int32s(fields.sparsity.blocks) ?? [];
  const tables = sparsity.tables(fields.sparsity.dimensions);
  if (order.length !== tables.length || order.length !== dims.length + blocks.length)
    throw budget.invalid('sparse', `${tables.length} levels for ${dims.length} axes and ${blocks.length} blocks`);
  const sizes = tables.map((table) => table.int32(fields.dimension.size));
  const strides = rowMajor(dims);
  // A block steps along its axis by elements; the axis itself then steps by blocks.
  const blockSizes = dims.map(() => 1);
  order.forEach((axis, level) => {
    const blocked = blocks[axis - dims.length];
    if (blocked !== undefined && blocked in dims) blockSizes[blocked] = Math.max(1, sizes[level]!);
  });
  return tables.map((table, level): Level => {
    const axis = order[level]!;
    const original = axis < dims.length ? axis : blocks[axis - dims.length];
    if (original === undefined || !(original in dims)) throw budget.invalid('sparse', `level ${level} is of no axis`);
    const stride = strides[original]! * (axis < dims.length ? blockSizes[original]! : 1);
    if (table.int8(fields.dimension.format) === 0) {
      if (sizes[level]! < 0) throw budget.invalid('sparse', `level ${level} has ${sizes[level]} places`);
      return { size: sizes[level]!, stride };
    }
    const listed = {
      segments: indices(table, fields.dimension.segmentsType, fields.dimension.segments, budget),
      indices: indices(table, fields.dimension.indicesType, fields.dimension.indices, budget),
    };
    // Listed axes need not state a size.
    const full = axis < dims.length ? Math.ceil(dims[original]! / blockSizes[original]!) : blockSizes[original]!;
    return { size: full, stride, listed };
  });
}

function indices(table: FlatTable, typeField: number, field: number, budget: ReadBudget): readonly number[] {
  const width = indexBytes[table.uint8(typeField)];
  const bytes = width && table.table(field)?.bytes(fields.vector.values, width);
  if (!width || bytes === undefined) throw budget.invalid('sparse', 'a list of places is missing');
  budget.spend(bytes.length / width);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / width }, (_, i) =>
    width === 4 ? view.getInt32(4 * i, true) : width === 2 ? view.getUint16(2 * i, true) : bytes[i]!,
  );
}
