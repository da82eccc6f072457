/** @file Finds the models in one file: as a whole, in disguise, inside other bytes; and says how sure that is. */
import { Inflate, Unzlib } from 'fflate';
import { CuttleError } from '../../ir/index.js';
import { joinBytes } from '../../platform/index.js';
import { isGzipHead } from '../archive/gzip.js';
import { defaultArchiveLimits } from '../archive/limits.js';
import { isTar } from '../archive/tar.js';
import { isZip, openZip } from '../archive/zip.js';
import { isZstdHead } from '../archive/zstd.js';
import { AuditError } from '../errors.js';
import { modelFormats } from '../formats.js';
import { isReadable, readAuditModel, type AuditModel, type ReadOptions } from '../read/index.js';
import { bytesSource, partOf, type ByteSource } from '../source.js';
import { base64Runs } from './base64.js';
import { candidates } from './carve.js';
import { detect, detectBundle, type Detection } from './detectors.js';
import type { Finding } from './finding.js';
import { unmasked } from './masks.js';
import { Probe } from './probe.js';
import { fieldsFrom, onnxFields, SeekBudget, spansAround, textLength, type Span } from './seek.js';
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
 * All models in a file. Archives (ZIP, TAR, gzip, zstd) are told only where they are a bundle by themselves, as `walkArchive` gives
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
  if (isGzipHead(head) || isZstdHead(head) || isTar(head)) return [];
  const held = await source.read(0, Math.min(source.size, source.size <= settings.maxModelBytes ? source.size : HEAD));
  const probe = new Probe(file.path, held, source.size);
  const first = identify(probe, 0, settings);
  if (first) return withFollowers(first, probe, source, settings);
  const hidden = unxored(probe, settings) ?? unpacked(probe, settings) ?? written(probe, settings);
  if (hidden) return [hidden];
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

/** What the bytes of a probe are, with its layers read where they can be: reading is the proof. `exact`: they end with the model. */
function identify(probe: Probe, offset: number, settings: Settings, exact = false): Finding | undefined {
  for (const detection of detect(probe)) {
    const finding = verified(detection, probe, offset, settings, exact);
    if (finding) return finding;
  }
  return undefined;
}

function verified(
  detection: Detection,
  probe: Probe,
  offset: number,
  settings: Settings,
  exact: boolean,
): Finding | undefined {
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
    const isEmpty = model.layers.length === 0 && !(format === 'onnx' && model.outputs.length > 0);
    if (isEmpty && detection.confidence !== 'observed') return undefined;
    return {
      ...base,
      // ONNX was cut where its fields end, text where it ends; the others have no end of their own.
      length:
        offset > 0 && !exact && format !== 'onnx' && probe.text === '' ? extentOf(model, probe.bytes) : probe.size,
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
    return [verified(found, whole, 0, settings, true) ?? plain];
  } catch (cause) {
    // A broken archive is the walk's to tell.
    if (!(cause instanceof AuditError)) throw cause;
    return [];
  }
}

/** Formats whose files end with their weights: what stands behind is something else. */
const ENDS_WITH_WEIGHTS: ReadonlySet<string> = new Set(['tflite', 'circle', 'ort']);

/** A model at the beginning of a file, and those packed behind it. */
async function withFollowers(
  first: Finding,
  probe: Probe,
  source: ByteSource,
  settings: Settings,
): Promise<readonly Finding[]> {
  if (!probe.whole || first.model === undefined || !ENDS_WITH_WEIGHTS.has(first.format)) return [first];
  const end = extentOf(first.model(), probe.bytes);
  if (source.size - end < 1024) return [first];
  const more = await carved(probe.path, source, settings, end);
  return more.length === 0 ? [first] : [{ ...first, length: more[0]!.offset, disguise: 'embedded' }, ...more];
}

async function carved(path: string, source: ByteSource, settings: Settings, start = 0): Promise<readonly Finding[]> {
  const places = await candidates(source, settings.maxCandidates, start);
  const found: Finding[] = [];
  const budget = new SeekBudget();
  const isFree = ({ offset, length }: Span): boolean =>
    offset >= start &&
    length > 0 &&
    length <= settings.maxModelBytes &&
    !found.some((other) => offset >= other.offset && offset < other.offset + other.length);
  // Archives first: they are met at their end, behind what lies in them uncompressed.
  for (const { offset } of places.filter(({ seek }) => seek === 'zip'))
    for (const span of await spansAround(source, offset, 'zip', budget)) {
      const finding =
        isFree(span) && budget.spendBytes(span.length) ? await bundleInside(path, source, span, settings) : undefined;
      if (finding) found.push(finding);
    }
  for (const { offset, seek } of places) {
    if (seek === 'zip' || !isFree({ offset, length: 1 })) continue;
    const spans = seek
      ? await spansAround(source, offset, seek, budget)
      : await spansAt(path, source, offset, settings, budget);
    for (const span of spans.filter(isFree)) {
      if (seek && !budget.spendBytes(span.length)) break;
      const probe = new Probe(path, await source.read(span.offset, span.length));
      const finding = identify(probe, span.offset, settings, seek !== undefined);
      if (finding === undefined) continue;
      found.push(finding);
      break;
    }
  }
  return found.sort((a, b) => a.offset - b.offset);
}

/** How much from an offset a model may take that begins there. */
async function spansAt(
  path: string,
  source: ByteSource,
  offset: number,
  settings: Settings,
  budget: SeekBudget,
): Promise<readonly Span[]> {
  const left = source.size - offset;
  const first = new Probe(path, await source.read(offset, Math.min(left, 4096)), left);
  const format = [...detect(first)][0]?.format;
  const digits = first.bytes[0]! >= 0x30 && first.bytes[0]! <= 0x39;
  if (digits && format === undefined) return [{ offset, length: await textLength(source, offset, left) }];
  if (format !== undefined)
    return [{ offset, length: first.text === '' ? left : await textLength(source, offset, left) }];
  // ONNX inside other bytes ends where they go on: its fields are cut at the first that is none of a model's.
  const { length, seen } = await fieldsFrom(source, offset, Math.min(left, settings.maxModelBytes), onnxFields, budget);
  return seen.has(7) ? [{ offset, length }] : [];
}

/** A bundle inside other bytes. */
async function bundleInside(
  path: string,
  source: ByteSource,
  { offset, length }: Span,
  settings: Settings,
): Promise<Finding | undefined> {
  const [found] = await bundle(path, partOf(source, offset, length), settings);
  return found && { ...found, offset, disguise: 'embedded' };
}

/** A model behind one repeated byte: its signature gives the byte away, reading proves it. */
function unxored(probe: Probe, settings: Settings): Finding | undefined {
  if (!probe.whole) return undefined;
  for (const [key, plain] of unmasked(probe.bytes)) {
    const found = identify(new Probe(probe.path, plain), 0, settings);
    if (found?.model !== undefined)
      return {
        ...found,
        evidence: [
          `every byte is combined with 0x${key.toString(16).padStart(2, '0')} by exclusive or`,
          ...found.evidence,
        ],
        disguise: 'xor',
      };
  }
  return undefined;
}

/** A model written as text, in base64. */
function written(probe: Probe, settings: Settings): Finding | undefined {
  for (const { offset, length, head, bytes } of base64Runs(probe)) {
    if (!isPromising(probe.path, head)) continue;
    const found = identify(new Probe(probe.path, bytes()), 0, settings);
    if (found) return { ...found, offset, length, evidence: ['text in base64', ...found.evidence], disguise: 'base64' };
  }
  return undefined;
}

/** A model in a bare zlib stream, or in deflated data without any frame. */
function unpacked(probe: Probe, settings: Settings): Finding | undefined {
  if (!probe.whole) return undefined;
  const [method, flags] = [probe.bytes[0]!, probe.bytes[1]!];
  const zlib = (method & 0x0f) === 8 && method <= 0x78 && ((method << 8) | flags) % 31 === 0 && !(flags & 0x20);
  // A block with codes of its own, of which there are not too many: nothing else is worth the trial.
  const deflate = !zlib && (method & 6) === 4 && method >> 3 < 30 && (flags & 0x1f) < 30 && probe.text === '';
  if (!zlib && !deflate) return undefined;
  const plain = inflated(probe, settings.maxUnpackedBytes, deflate);
  const found = plain && identify(new Probe(probe.path, plain), 0, settings);
  return (
    found && {
      ...found,
      length: probe.size,
      evidence: [zlib ? 'a zlib stream' : 'deflated data', ...found.evidence],
      disguise: zlib ? 'zlib' : 'deflate',
    }
  );
}

function inflated({ path, bytes }: Probe, most: number, raw: boolean): Uint8Array | undefined {
  const chunks: Uint8Array[] = [];
  let total = 0;
  const take = (chunk: Uint8Array): void => {
    total += chunk.length;
    if (total <= most) chunks.push(chunk);
  };
  const stream = raw ? new Inflate(take) : new Unzlib(take);
  try {
    for (let at = 0; at < bytes.length && total <= most; at += 1 << 16) {
      stream.push(bytes.subarray(at, at + (1 << 16)), at + (1 << 16) >= bytes.length);
      // Much looks like deflated data for a while; nothing that no detector hopes for is worth more.
      if (raw && at === 0 && bytes.length > 1 << 16 && !isPromising(path, joinBytes(chunks))) return undefined;
    }
  } catch {
    // It is no such stream, or a broken one: nothing to find.
    return undefined;
  }
  return total > most ? undefined : joinBytes(chunks);
}

/** Whether a detector knows the first bytes of a file whose end is not known, or may know it whole. */
function isPromising(path: string, head: Uint8Array): boolean {
  const probe = new Probe(path, head, head.length + 1);
  if (!detect(probe).next().done) return true;
  // Messages and tables without a signature are known only whole.
  const isMessage = [0x08, 0x0a, 0x12, 0x22].includes(head[0]!);
  return isMessage || (probe.u32(0) >= 4 && probe.u32(0) < 1 << 16);
}

/** A finding in one line: what, where, how sure. */
export function describeFinding({ format, path, offset, confidence }: Finding): string {
  return `${modelFormats[format].title} in '${path}'${offset > 0 ? ` at byte ${offset}` : ''} (${confidence})`;
}
