/** @file Finds the models in one file: as a whole, in disguise, inside other bytes; and says how sure that is. */
import { Unzlib } from 'fflate';
import { CuttleError } from '../../ir/index.js';
import { isGzipHead } from '../archive/gzip.js';
import { defaultArchiveLimits } from '../archive/limits.js';
import { isTar } from '../archive/tar.js';
import { isZip, openZip } from '../archive/zip.js';
import { AuditError } from '../errors.js';
import { modelFormats } from '../formats.js';
import { isReadable, readAuditModel, type AuditModel, type ReadOptions } from '../read/index.js';
import { bytesSource, type ByteSource } from '../source.js';
import { candidateOffsets } from './carve.js';
import { detect, detectBundle, type Detection } from './detectors.js';
import type { Finding } from './finding.js';
import { Probe } from './probe.js';
import { suspectEncrypted } from './statistics.js';

/** A file to look into: its bytes, or access to them. */
export type FileToSearch = { readonly path: string } & (
  { readonly bytes: Uint8Array } | { readonly source: ByteSource }
);

export interface FindOptions {
  /** Models larger than this are recognised by their first bytes, and not read. */
  readonly maxModelBytes?: number;
  /** Places inside a file at which a model may begin that are tried. */
  readonly maxCandidates?: number;
  /** Bytes that compressed contents may grow to. */
  readonly maxUnpackedBytes?: number;
  readonly read?: ReadOptions;
}

const HEAD = 1 << 20;

interface Settings {
  readonly maxModelBytes: number;
  readonly maxCandidates: number;
  readonly maxUnpackedBytes: number;
  readonly read: ReadOptions;
}

/**
 * All models in a file. Archives (ZIP, TAR, gzip) are told only where they are a bundle by themselves, as `walkArchive` gives
 * their files one by one. Never throws for what the bytes hold; throws what the source throws.
 */
export async function findModels(file: FileToSearch, options: FindOptions = {}): Promise<readonly Finding[]> {
  const settings: Settings = {
    maxModelBytes: options.maxModelBytes ?? 128 << 20,
    maxCandidates: options.maxCandidates ?? 256,
    maxUnpackedBytes: options.maxUnpackedBytes ?? 128 << 20,
    read: options.read ?? {},
  };
  const source = 'source' in file ? file.source : bytesSource(file.bytes);
  if (source.size < 8) return [];
  const head = await source.read(0, Math.min(512, source.size));
  if (isZip(head)) return bundle(file.path, source, settings);
  if (isGzipHead(head) || isTar(head)) return [];
  const held = await source.read(0, Math.min(source.size, source.size <= settings.maxModelBytes ? source.size : HEAD));
  const probe = new Probe(file.path, held, source.size);
  const whole = identify(probe, 0, settings) ?? unxored(probe, settings) ?? unpacked(probe, settings);
  if (whole) return [whole];
  const inside = await carved(file.path, source, settings);
  if (inside.length > 0) return inside;
  const suspicion = suspectEncrypted(probe);
  return suspicion
    ? [
        {
          format: 'unknown',
          path: file.path,
          offset: 0,
          length: source.size,
          confidence: 'suspected',
          evidence: suspicion.evidence,
          disguise: 'encrypted',
        },
      ]
    : [];
}

/** What the bytes of a probe are, with its layers read where they can be: reading is the proof. */
function identify(probe: Probe, offset: number, settings: Settings): Finding | undefined {
  for (const detection of detect(probe)) {
    const finding = verified(detection, probe, offset, settings);
    if (finding) return finding;
  }
  return undefined;
}

function verified(detection: Detection, probe: Probe, offset: number, settings: Settings): Finding | undefined {
  const { format, evidence } = detection;
  const base = {
    format,
    path: probe.path,
    offset,
    ...(detection.encrypted ? { disguise: 'encrypted' as const } : offset > 0 ? { disguise: 'embedded' as const } : {}),
  };
  const plain: Finding = { ...base, length: probe.size, confidence: detection.confidence, evidence };
  if (!isReadable(format) || !probe.whole) return detection.mustRead && probe.whole ? undefined : plain;
  try {
    const model = readAuditModel(format, probe.bytes, settings.read);
    // Structure alone, with nothing in it, is what other files have too.
    if (model.layers.length === 0 && detection.confidence !== 'observed') return undefined;
    return {
      ...base,
      // ONNX was cut where its fields end; the others have no end of their own.
      length: offset > 0 && format !== 'onnx' ? extentOf(model, probe.bytes) : probe.size,
      confidence: 'observed',
      evidence: [...evidence, `${model.layers.length} layers with ${model.totals.storedParams} parameters were read`],
      model: () => model,
    };
  } catch (cause) {
    if (!(cause instanceof CuttleError)) throw cause;
    if (detection.mustRead || offset > 0) return undefined;
    if (cause.kind === 'unsupported') return { ...plain, evidence: [...evidence, cause.message] };
    return {
      ...plain,
      confidence: detection.confidence === 'observed' ? 'derived' : 'suspected',
      evidence: [...evidence, `it could not be read: ${cause.message}`],
    };
  }
}

/** The end of the last weight: where a model inside another file certainly reaches. */
function extentOf(model: AuditModel, bytes: Uint8Array): number {
  let end = 64;
  for (const { weights } of model.layers)
    for (const weight of weights)
      if (weight.bytes?.buffer === bytes.buffer)
        end = Math.max(end, weight.bytes.byteOffset - bytes.byteOffset + weight.bytes.byteLength);
  return Math.min(end, bytes.length);
}

async function bundle(path: string, source: ByteSource, settings: Settings): Promise<readonly Finding[]> {
  try {
    const { entries } = await openZip(source, defaultArchiveLimits, path);
    const found = detectBundle(entries.map(({ name }) => name));
    if (found === undefined) return [];
    const plain: Finding = { ...found, path, offset: 0, length: source.size };
    if (!isReadable(found.format) || source.size > settings.maxModelBytes) return [plain];
    const whole = new Probe(path, await source.read(0, source.size));
    return [verified(found, whole, 0, settings) ?? plain];
  } catch (cause) {
    // A broken archive is the walk's to tell.
    if (!(cause instanceof AuditError)) throw cause;
    return [];
  }
}

async function carved(path: string, source: ByteSource, settings: Settings): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  let free = 0;
  for (const offset of await candidateOffsets(source, settings.maxCandidates)) {
    if (offset < free) continue;
    const left = source.size - offset;
    const first = new Probe(path, await source.read(offset, Math.min(left, 4096)), left);
    const format = [...detect(first)][0]?.format;
    // ONNX inside other bytes ends where they go on: its fields are cut at the first that is none of a model's.
    const length =
      format === undefined ? await onnxLength(source, offset, Math.min(left, settings.maxModelBytes)) : left;
    if (length === 0 || length > settings.maxModelBytes) continue;
    const finding = identify(new Probe(path, await source.read(offset, length)), offset, settings);
    if (finding === undefined) continue;
    found.push(finding);
    free = offset + finding.length;
  }
  return found;
}

/** Fields of ONNX's ModelProto with their wire types. */
const MODEL_FIELDS: ReadonlyMap<number, number> = new Map([
  [1, 0],
  [2, 2],
  [3, 2],
  [4, 2],
  [5, 0],
  [6, 2],
  [7, 2],
  [8, 2],
  [14, 2],
]);

/** How far fields of a ModelProto reach from `offset`; 0 where none stand there. */
async function onnxLength(source: ByteSource, offset: number, most: number): Promise<number> {
  let at = 0;
  let sawGraph = false;
  for (let fields = 0; fields < 4096 && at < most; fields++) {
    const bytes = await source.read(offset + at, Math.min(22, most - at));
    const [tag, tagBytes] = shortVarint(bytes, 0);
    const wire = MODEL_FIELDS.get(tag >>> 3);
    const [value, valueBytes] = shortVarint(bytes, tagBytes);
    if (tagBytes === 0 || valueBytes === 0 || wire === undefined || wire !== (tag & 7)) break;
    const next = at + tagBytes + valueBytes + (wire === 2 ? value : 0);
    if (next > most) break;
    sawGraph ||= tag >>> 3 === 7;
    at = next;
  }
  return sawGraph ? at : 0;
}

function shortVarint(bytes: Uint8Array, at: number): readonly [value: number, bytes: number] {
  let value = 0;
  for (let i = 0; i < 10 && at + i < bytes.length; i++) {
    value += (bytes[at + i]! & 0x7f) * 2 ** (7 * i);
    if (bytes[at + i]! < 0x80) return [value, i + 1];
  }
  return [0, 0];
}

/** TensorFlow Lite behind one repeated byte: its identifier gives the byte away, reading proves it. */
function unxored(probe: Probe, settings: Settings): Finding | undefined {
  if (!probe.whole) return undefined;
  const key = (probe.bytes[4] ?? 0) ^ 0x54;
  const isHidden = [...'TFL3'].every((sign, i) => (probe.bytes[4 + i]! ^ key) === sign.charCodeAt(0));
  if (key === 0 || !isHidden) return undefined;
  const plain = probe.bytes.map((byte) => byte ^ key);
  const found = identify(new Probe(probe.path, plain), 0, settings);
  return (
    found && {
      ...found,
      evidence: [
        `every byte is combined with 0x${key.toString(16).padStart(2, '0')} by exclusive or`,
        ...found.evidence,
      ],
      disguise: 'xor',
    }
  );
}

/** A model in a bare zlib stream. */
function unpacked(probe: Probe, settings: Settings): Finding | undefined {
  const [method, flags] = [probe.bytes[0]!, probe.bytes[1]!];
  if (!probe.whole || (method & 0x0f) !== 8 || method > 0x78 || ((method << 8) | flags) % 31 !== 0 || flags & 0x20)
    return undefined;
  const plain = inflated(probe.bytes, settings.maxUnpackedBytes);
  const found = plain && identify(new Probe(probe.path, plain), 0, settings);
  return found && { ...found, length: probe.size, evidence: ['a zlib stream', ...found.evidence], disguise: 'zlib' };
}

function inflated(bytes: Uint8Array, most: number): Uint8Array | undefined {
  const chunks: Uint8Array[] = [];
  let total = 0;
  const stream = new Unzlib((chunk) => {
    total += chunk.length;
    if (total <= most) chunks.push(chunk);
  });
  try {
    for (let at = 0; at < bytes.length && total <= most; at += 1 << 16)
      stream.push(bytes.subarray(at, at + (1 << 16)), at + (1 << 16) >= bytes.length);
  } catch {
    // It is no zlib stream, or a broken one: nothing to find.
    return undefined;
  }
  if (total > most) return undefined;
  const joined = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}

/** A finding in one line: what, where, how sure. */
export function describeFinding({ format, path, offset, confidence }: Finding): string {
  return `${modelFormats[format].title} in '${path}'${offset > 0 ? ` at byte ${offset}` : ''} (${confidence})`;
}
