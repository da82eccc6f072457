/** @file Networks whose weights stand in a file of their own: the pair is found in the app and read together. */
import { CuttleError } from '../../ir/index.js';
import { walkArchive, type ArchiveFile, type WalkOptions } from '../archive/index.js';
import type { Finding } from '../find/index.js';
import type { ModelFormat } from '../formats.js';
import { readAuditModel, type AuditModel } from '../read/index.js';
import type { ByteSource } from '../source.js';

/** Gives a file that lies beside the audited one, or `undefined`. */
export type OpenSibling = (name: string) => Promise<(ByteSource & AsyncDisposable) | undefined>;

/** What the weights of a network are called: its own path without the ending, and another. */
const endings: Readonly<Partial<Record<ModelFormat, { readonly own: RegExp; readonly other: string }>>> = {
  ncnn: { own: /\.(param|txt)$/i, other: '.bin' },
  'ncnn-binary': { own: /\.param\.bin$/i, other: '.bin' },
  paddle: { own: /\.pdmodel$/i, other: '.pdiparams' },
  // The weights of an ML program stand in its package.
  coreml: { own: /[^/!]+\.mlmodel$/i, other: 'weights/weight.bin' },
  'caffe-prototxt': { own: /\.(prototxt|txt)$/i, other: '.caffemodel' },
};

interface Pending {
  readonly index: number;
  readonly format: ModelFormat;
  readonly bytes: Uint8Array;
}

export interface CompanionOptions extends Omit<WalkOptions, 'visit'> {
  /** Weights larger than this are not read. */
  readonly maxBytes: number;
  readonly openSibling?: OpenSibling;
}

/** Networks are small; a larger one is no plain description. */
const MAX_NETWORK_BYTES = 8 * 2 ** 20;
/** Pairs of one app that are read. */
const MAX_PAIRS = 256;

/** Remembers networks without weights, then looks for these. */
export class CompanionSearch {
  readonly #source: ByteSource;
  readonly #path: string;
  readonly #options: CompanionOptions;
  /** By the path at which the weights would be. */
  readonly #pending = new Map<string, Pending>();

  /** For an app `source` whose paths begin with `path`. */
  constructor(source: ByteSource, path: string, options: CompanionOptions) {
    this.#source = source;
    this.#path = path;
    this.#options = options;
  }

  /** Hears of each finding; `index` is given back with the pair. */
  async note(index: number, { format, offset, path, disguise }: Finding, { source }: ArchiveFile): Promise<void> {
    const ending = endings[format];
    if (ending === undefined || offset > 0 || disguise !== undefined || !ending.own.test(path)) return;
    if (source.size > MAX_NETWORK_BYTES || this.#pending.size >= MAX_PAIRS) return;
    const bytes = (await source.read(0, source.size)).slice();
    this.#pending.set(path.replace(ending.own, ending.other), { index, format, bytes });
  }

  /** Reads every network whose weights are there and fit, and tells it. Costs nothing where none was heard of. */
  async readPairs(tell: (index: number, model: AuditModel) => void): Promise<void> {
    const take = async (path: string, source: ByteSource): Promise<void> => {
      const wanted = this.#pending.get(path);
      if (wanted === undefined || source.size > this.#options.maxBytes) return;
      this.#pending.delete(path);
      const companion = await source.read(0, source.size);
      try {
        tell(wanted.index, readAuditModel(wanted.format, wanted.bytes, { companion }));
      } catch (cause) {
        // Weights of something else that is called alike: the network alone was read already.
        if (!(cause instanceof CuttleError) || cause.kind === 'failed' || cause.kind === 'usage') throw cause;
      }
    };
    if (this.#pending.size === 0) return;
    const { openSibling } = this.#options;
    for (const path of [...this.#pending.keys()]) {
      if (openSibling === undefined || path.includes('!/')) continue;
      const sibling = await openSibling(path);
      if (sibling === undefined) continue;
      await using held = sibling;
      await take(path, held);
    }
    if ([...this.#pending.keys()].every((path) => !path.includes('!/'))) return;
    await walkArchive(this.#source, this.#path, { ...this.#options, visit: ({ path, source }) => take(path, source) });
  }
}
