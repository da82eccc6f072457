/** @file Decoding a whole image source: several files at once, bad ones named and counted. */
import { sampleBytes, type ImageDataset } from './dataset.js';
import { arrangeImages, type Arrangement, type ArrangedImage, type PartName } from './arrange.js';
import { openDecoder, type DecodedImage, type DecodeOptions, type ImageDecoder } from './decode.js';
import { DataError, type BadFile } from './errors.js';
import { type ImageSource } from './image-source.js';
import { type RawData } from './parts.js';
import { type ImageForm } from './resize.js';
import { chooseStratified } from './split.js';

/** Decodes in flight. Eight keep two to four cores busy; measured 2.4, 2.9 and 3.1 thousand images/s at 2, 4 and 8. */
const IN_FLIGHT = 8;
/** Decoded images are held in memory; more than this is refused with advice. */
const MAX_DECODED_BYTES = 24 * 2 ** 30;
const PROGRESS_EVERY = 256;

export interface ReadImagesOptions extends DecodeOptions {
  /** At most this many images of each part, every class in proportion, chosen by seed. */
  readonly limit?: number;
  readonly seed: number;
  /** Stop at the first bad file, or count them. */
  readonly onBad: 'count' | 'stop';
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Reads every image of a source. Files that cannot be decoded are left out and named in `bad`. Throws DataError where
 * `onBad` is 'stop' and a file is bad, where none is good, or where sizes differ and no size is given.
 */
export async function readImages(source: ImageSource, name: string, options: ReadImagesOptions): Promise<RawData> {
  const arrangement = arrangeImages(source.names, source.path);
  const selected = select(arrangement, options);
  const bad: BadFile[] = [...source.bad];
  if (options.onBad === 'stop' && bad.length > 0) throw stopAt(bad[0]!);
  const decode = await openDecoder();
  const store = await decodeInto(source, selected, bad, decode, options);
  const parts: Partial<Record<PartName, ImageDataset>> = {};
  for (const part of ['train', 'val', 'test', 'all'] as const) {
    const dataset = store?.part(part, name, arrangement.classes);
    if (dataset) parts[part] = dataset;
  }
  if (Object.keys(parts).length === 0)
    throw new DataError('all-bad', `none of the ${selected.length} images in ${source.path} can be read`, { bad });
  bad.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return { parts, bad, notes: arrangement.notes };
}

function select(arrangement: Arrangement, { limit, seed }: ReadImagesOptions): readonly ArrangedImage[] {
  if (limit === undefined) return arrangement.images;
  const chosen: ArrangedImage[] = [];
  for (const part of ['train', 'val', 'test', 'all'] as const) {
    const images = arrangement.images.filter((image) => image.part === part);
    const labels = Int32Array.from(images, ({ label }) => label);
    for (const index of chooseStratified(labels, arrangement.classes.length, limit, seed)) chosen.push(images[index]!);
  }
  return chosen;
}

async function decodeInto(
  source: ImageSource,
  selected: readonly ArrangedImage[],
  bad: BadFile[],
  decode: ImageDecoder,
  options: ReadImagesOptions,
): Promise<ImageStore | undefined> {
  const { signal, onBad, onProgress } = options;
  const byEntry = new Map(selected.map((image) => [image.entry, image]));
  let store: ImageStore | undefined;
  let failure: Error | undefined;
  let done = 0;
  const inFlight = new Set<Promise<void>>();
  const handle = async (image: ArrangedImage, name: string, load: Promise<Uint8Array>): Promise<void> => {
    try {
      const decoded = await decode(await load, {
        size: options.size,
        channels: options.channels ?? store?.form.channels,
      });
      store ??= new ImageStore(decoded, name, selected);
      store.put(image, decoded, name);
    } catch (cause) {
      if (cause instanceof DataError || signal?.aborted) failure ??= cause as Error;
      else {
        const reason: BadFile = { name, reason: reasonOf(cause) };
        bad.push(reason);
        if (onBad === 'stop') failure ??= stopAt(reason, cause);
      }
    }
    done++;
    if (done % PROGRESS_EVERY === 0 || done === selected.length) onProgress?.(done, selected.length);
  };
  for await (const file of source.read(new Set(byEntry.keys()), signal)) {
    if (failure !== undefined) break;
    const image = byEntry.get(file.entry)!;
    const contents = file.load();
    if (source.sequential) await contents.catch(() => undefined);
    const task = handle(image, file.name, contents).then(() => void inFlight.delete(task));
    inFlight.add(task);
    // The first good image decides the form of all, so nothing runs beside it.
    if (store === undefined) await task;
    else if (inFlight.size >= IN_FLIGHT) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  signal?.throwIfAborted();
  if (failure !== undefined) throw failure;
  return store;
}

/** Pixels of all parts, allocated once; positions follow the order of the selection, so decoding order does not matter. */
class ImageStore {
  readonly form: ImageForm & { readonly channels: 1 | 3 };
  readonly #first: string;
  readonly #place = new Map<number, number>();
  readonly #parts = new Map<PartName, { pixels: Uint8Array; labels: Int32Array; filled: Uint8Array }>();

  constructor(first: DecodedImage, firstName: string, selected: readonly ArrangedImage[]) {
    this.form = { height: first.height, width: first.width, channels: first.channels === 1 ? 1 : 3 };
    this.#first = firstName;
    const bytes = sampleBytes(this.form);
    if (bytes * selected.length > MAX_DECODED_BYTES)
      throw new DataError(
        'too-large',
        `${selected.length} images of ${first.height}×${first.width} take ${Math.round((bytes * selected.length) / 2 ** 30)} GiB decoded`,
        { hint: 'Give a smaller --size, or a --limit on the number of images.' },
      );
    const counts = new Map<PartName, number>();
    for (const { entry, part } of selected) {
      const place = counts.get(part) ?? 0;
      this.#place.set(entry, place);
      counts.set(part, place + 1);
    }
    for (const [part, count] of counts)
      this.#parts.set(part, {
        pixels: new Uint8Array(count * bytes),
        labels: new Int32Array(count),
        filled: new Uint8Array(count),
      });
  }

  put(image: ArrangedImage, decoded: DecodedImage, name: string): void {
    const { height, width } = this.form;
    if (decoded.height !== height || decoded.width !== width)
      throw new DataError(
        'sizes-differ',
        `images differ in size: ${this.#first} is ${width}×${height}, ${name} is ${decoded.width}×${decoded.height} (width×height)`,
        { hint: 'Give one size for all, e.g. --size 224x224.' },
      );
    const part = this.#parts.get(image.part)!;
    const place = this.#place.get(image.entry)!;
    part.pixels.set(decoded.pixels, place * sampleBytes(this.form));
    part.labels[place] = image.label;
    part.filled[place] = 1;
  }

  /** The part without the places that bad files left open; `undefined` where nothing is in it. */
  part(part: PartName, name: string, classes: readonly string[]): ImageDataset | undefined {
    const stored = this.#parts.get(part);
    if (stored === undefined) return undefined;
    const bytes = sampleBytes(this.form);
    const { pixels, labels, filled } = stored;
    let size = 0;
    for (let i = 0; i < filled.length; i++) {
      if (filled[i] === 0) continue;
      if (size !== i) {
        pixels.copyWithin(size * bytes, i * bytes, (i + 1) * bytes);
        labels[size] = labels[i]!;
      }
      size++;
    }
    if (size === 0) return undefined;
    return {
      name: `${name}/${part}`,
      classes,
      size,
      ...this.form,
      labels: labels.subarray(0, size),
      pixels: pixels.subarray(0, size * bytes),
    };
  }
}

function stopAt(bad: BadFile, cause?: unknown): DataError {
  return new DataError('bad-file', `${bad.name} cannot be used: ${bad.reason}`, {
    cause,
    bad: [bad],
    hint: 'Repair or remove the file, or count bad files instead of stopping.',
  });
}

function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/\s+/g, ' ').trim().slice(0, 160);
}
