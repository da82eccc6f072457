/** @file GGUF, the format of llama.cpp and its kin: entries about the model, then a table of tensors in blocks of their types. */
import { assembleModel, type FoundLayer } from './assemble.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel, AuditWeight, LayerFamily } from './model.js';
import { elementsOf } from './shape-rules.js';

/** Types of tensors by code: name, elements and bytes of a block (ggml's `ggml_type` and block structures). */
const types: ReadonlyMap<number, readonly [name: string, elements: number, bytes: number]> = new Map([
  [0, ['float32', 1, 4]],
  [1, ['float16', 1, 2]],
  [2, ['q4_0', 32, 18]],
  [3, ['q4_1', 32, 20]],
  [6, ['q5_0', 32, 22]],
  [7, ['q5_1', 32, 24]],
  [8, ['q8_0', 32, 34]],
  [9, ['q8_1', 32, 36]],
  [10, ['q2_k', 256, 84]],
  [11, ['q3_k', 256, 110]],
  [12, ['q4_k', 256, 144]],
  [13, ['q5_k', 256, 176]],
  [14, ['q6_k', 256, 210]],
  [15, ['q8_k', 256, 292]],
  [16, ['iq2_xxs', 256, 66]],
  [17, ['iq2_xs', 256, 74]],
  [18, ['iq3_xxs', 256, 98]],
  [19, ['iq1_s', 256, 50]],
  [20, ['iq4_nl', 32, 18]],
  [21, ['iq3_s', 256, 110]],
  [22, ['iq2_s', 256, 82]],
  [23, ['iq4_xs', 256, 136]],
  [24, ['int8', 1, 1]],
  [25, ['int16', 1, 2]],
  [26, ['int32', 1, 4]],
  [27, ['int64', 1, 8]],
  [28, ['float64', 1, 8]],
  [29, ['iq1_m', 256, 56]],
  [30, ['bfloat16', 1, 2]],
  [34, ['tq1_0', 256, 54]],
  [35, ['tq2_0', 256, 66]],
]);

/** Bytes of a plain entry by its type's code; 8 is a string, 9 a list. */
const widths: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 4],
  [5, 4],
  [6, 4],
  [7, 1],
  [10, 8],
  [11, 8],
  [12, 8],
]);

/** Reads a GGUF file of version 1 to 3. Throws AuditError where it is none, a tensor leaves it, or a limit is exceeded. */
export function readGguf(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('gguf', limits);
  const reader = new GgufReader(bytes, budget);
  const { metadata, version, tensors, alignment } = reader.header();
  const start = Math.ceil(reader.at / alignment) * alignment;
  const layers = new Map<string, AuditWeight[]>();
  for (const { name, shape, type, offset } of tensors) {
    const [dtype, elements, block] = types.get(type) ?? [`type ${type}`, 0, 0];
    const size = elementsOf(shape);
    const length = elements === 0 ? 0 : (size / elements) * block;
    const from = start + offset;
    if (!Number.isSafeInteger(from + length) || from + length > bytes.length)
      throw budget.invalid('truncated', `'${name}' ends at byte ${from + length} of ${bytes.length}`);
    const module = name.slice(0, Math.max(0, name.lastIndexOf('.'))) || name;
    const weight: AuditWeight = {
      name,
      shape,
      size,
      dtype,
      learned: true,
      ...(length > 0 ? { bytes: bytes.subarray(from, from + length) } : {}),
      ...(shape.length === 2 && name.endsWith('.weight') ? { layout: 'OI' } : {}),
    };
    const known = layers.get(module);
    if (known) known.push(weight);
    else layers.set(module, [weight]);
  }
  if (layers.size === 0) throw budget.invalid('empty', 'it holds no tensor');
  return assembleModel(
    {
      format: 'gguf',
      name: metadata['general.name'],
      version: String(version),
      inputs: [],
      outputs: [],
      layers: [...layers].map(([name, weights]): FoundLayer => {
        const family = familyOf(name, weights);
        return {
          name,
          op: family === 'embedding' ? 'token table' : 'tensors',
          family,
          inputs: [],
          outputs: [],
          weights,
          macs: family === 'dense' ? null : 0,
        };
      }),
      metadata,
      notes: ['it holds parameters and the name of an architecture: how they are wired, and MACs, are not known'],
    },
    budget,
  );
}

function familyOf(name: string, weights: readonly AuditWeight[]): LayerFamily {
  if (/embd|embed/.test(name)) return 'embedding';
  if (/norm|(^|\.)ln_/.test(name)) return 'normalisation';
  const most = Math.max(...weights.map(({ shape }) => shape.length));
  return most > 2 ? 'convolution' : most === 2 ? 'dense' : 'other';
}

interface GgufTensor {
  readonly name: string;
  /** Rows first: the file lists the innermost dim first. */
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

class GgufReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #budget: ReadBudget;
  /** Counts have 32 bits in version 1. */
  #isOld = false;
  at = 0;

  constructor(bytes: Uint8Array, budget: ReadBudget) {
    if (bytes.length > budget.limits.maxFileBytes) throw budget.invalid('limit', `it has ${bytes.length} bytes`);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = budget;
  }

  header(): {
    readonly version: number;
    readonly metadata: Readonly<Record<string, string>>;
    readonly tensors: readonly GgufTensor[];
    readonly alignment: number;
  } {
    if (this.#u32() !== 0x46554747) throw this.#budget.invalid('signature', 'no signature GGUF');
    const version = this.#u32();
    if (version < 1 || version > 3) throw this.#budget.invalid('version', `version ${version}`);
    this.#isOld = version === 1;
    const [tensorCount, entries] = [this.#count(), this.#count()];
    this.#budget.spend(tensorCount + entries);
    const metadata: Record<string, string> = {};
    for (let i = 0; i < entries; i++) {
      const key = this.#string();
      const value = this.#value(this.#u32(), 0);
      if (value !== undefined) metadata[key] = value;
    }
    const tensors: GgufTensor[] = [];
    for (let i = 0; i < tensorCount; i++) {
      const name = this.#string();
      const rank = this.#u32();
      if (rank > this.#budget.limits.maxRank) throw this.#budget.invalid('limit', `'${name}' has ${rank} dims`);
      const shape = Array.from({ length: rank }, () => this.#count()).reverse();
      tensors.push({ name, shape: this.#budget.dims(shape), type: this.#u32(), offset: this.#u64() });
    }
    const alignment = Number(metadata['general.alignment'] ?? 32);
    return { version, metadata, tensors, alignment: alignment >= 1 && alignment <= 65536 ? alignment : 32 };
  }

  /** An entry as text; `undefined` for lists, of which only the length is kept. */
  #value(type: number, depth: number): string | undefined {
    const at = this.at;
    if (type === 8) return this.#string();
    if (type === 9) {
      if (depth > 4) throw this.#budget.invalid('limit', 'lists are nested too deep');
      const inner = this.#u32();
      const count = this.#count();
      this.#budget.spend(1);
      const width = widths.get(inner);
      if (width !== undefined) this.#skip(count * width);
      else {
        this.#budget.spend(count);
        for (let i = 0; i < count; i++) this.#value(inner, depth + 1);
      }
      return depth === 0 ? `${count} items` : undefined;
    }
    const width = widths.get(type);
    if (width === undefined) throw this.#budget.invalid('type', `an entry of type ${type}`);
    this.#skip(width);
    return String(this.#plain(type, at));
  }

  #plain(type: number, at: number): number | bigint | boolean {
    const view = this.#view;
    switch (type) {
      case 0:
        return view.getUint8(at);
      case 1:
        return view.getInt8(at);
      case 2:
        return view.getUint16(at, true);
      case 3:
        return view.getInt16(at, true);
      case 4:
        return view.getUint32(at, true);
      case 5:
        return view.getInt32(at, true);
      case 6:
        return view.getFloat32(at, true);
      case 7:
        return view.getUint8(at) !== 0;
      case 10:
        return view.getBigUint64(at, true);
      case 11:
        return view.getBigInt64(at, true);
      default:
        return view.getFloat64(at, true);
    }
  }

  #string(): string {
    const length = this.#count();
    const at = this.#skip(length);
    const shown = Math.min(length, this.#budget.limits.maxNameLength);
    this.#budget.spend(1 + (shown >>> 5));
    return utf8.decode(this.#bytes.subarray(at, at + shown));
  }

  #count(): number {
    return this.#isOld ? this.#u32() : this.#u64();
  }

  #u32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  #u64(): number {
    const value = this.#view.getBigUint64(this.#skip(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#budget.invalid('limit', `a count of ${value}`);
    return Number(value);
  }

  #skip(length: number): number {
    const at = this.at;
    if (!(length <= this.#bytes.length - at)) throw this.#budget.invalid('truncated', 'it ends within its header');
    this.at += length;
    return at;
  }
}

const utf8 = new TextDecoder();
