/** @file The models that are served: loaded at the start, replaced when their files change, kept while requests use them. */
import { OipError } from '../oip/status.js';
import type { Engine } from './engine.js';
import type { ModelCard } from './model-card.js';
import { findModels, RepositoryError, type FoundModel } from './repository-scan.js';

/** A model that is ready. */
export interface ServedModel {
  readonly name: string;
  readonly version: string;
  /** Under which the engines know this state of the file. */
  readonly key: string;
  readonly card: ModelCard;
}

/** What happened to a model. */
export interface RepositoryEvents {
  onLoaded?(model: ServedModel, ms: number, replaced: boolean): void;
  onFailed?(found: Pick<FoundModel, 'name' | 'version' | 'path'>, error: unknown): void;
  onRemoved?(model: ServedModel): void;
  /** This state of a file gets no new requests any more: it was replaced or removed. */
  onRetired?(model: ServedModel): void;
}

interface Entry {
  readonly model: ServedModel;
  readonly stamp: string;
  users: number;
  /** Another one has taken its place: it goes when its last user has. */
  retired: boolean;
}

/** Models by name and version. */
export class Repository {
  readonly #paths: readonly string[];
  readonly #engines: readonly Engine[];
  readonly #events: RepositoryEvents;
  readonly #now: () => number;
  /** By `name/version`. */
  readonly #entries = new Map<string, Entry>();
  /** Stamps of files that could not be loaded: they are tried again when they change. */
  readonly #failed = new Map<string, string>();
  /** Stamps seen by the last look: a file is loaded when two looks agree, so that none is read half-written. */
  readonly #seen = new Map<string, string>();
  #generation = 0;
  #looking: Promise<void> | undefined;

  constructor(paths: readonly string[], engines: readonly Engine[], now: () => number, events: RepositoryEvents = {}) {
    this.#paths = paths;
    this.#engines = engines;
    this.#now = now;
    this.#events = events;
  }

  /** Loads everything there is. Throws RepositoryError where that is nothing, and what loading a named file throws. */
  async open(): Promise<void> {
    const found = await findModels(this.#paths);
    if (found.length === 0) throw new RepositoryError(`there is no model in ${this.#paths.join(', ')}`);
    let failure: unknown;
    for (const model of found) {
      this.#seen.set(keyOf(model), model.stamp);
      await this.#load(model).catch((error: unknown) => (failure ??= error));
    }
    if (this.#entries.size === 0) throw failure;
  }

  /** Looks at the files again: loads what is new or has changed, lets go of what is gone. One look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** All models that are ready. */
  list(): readonly ServedModel[] {
    return [...this.#entries.values()].map(({ model }) => model);
  }

  /** Names and versions whose files could not be loaded and that nothing older stands in for. */
  get unavailable(): number {
    return [...this.#failed.keys()].filter((key) => !this.#entries.has(key)).length;
  }

  /** A model, the newest version where none is named. Throws OipError 'not-found'. */
  find(name: string, version: string): ServedModel {
    return this.#entry(name, version).model;
  }

  /** As `find`; the model stays loaded until `release` is called. */
  acquire(name: string, version: string): { readonly model: ServedModel; release(): void } {
    const entry = this.#entry(name, version);
    entry.users++;
    let released = false;
    return {
      model: entry.model,
      release: () => {
        if (released) return;
        released = true;
        entry.users--;
        if (entry.retired && entry.users === 0) void this.#unload(entry);
      },
    };
  }

  /** Versions of a model, ascending. */
  versions(name: string): readonly string[] {
    return this.list()
      .filter((model) => model.name === name)
      .map(({ version }) => version)
      .sort((a, b) => Number(a) - Number(b));
  }

  #entry(name: string, version: string): Entry {
    const versions = this.versions(name);
    if (versions.length === 0)
      throw new OipError('not-found', `there is no model '${name.slice(0, 128)}'`, {
        hint: `This server has: ${[...new Set(this.list().map((model) => model.name))].slice(0, 20).join(', ')}.`,
      });
    const entry = this.#entries.get(`${name}/${version === '' ? versions.at(-1)! : version}`);
    if (entry === undefined)
      throw new OipError('not-found', `model '${name}' has no version '${version.slice(0, 32)}'`, {
        hint: `It has: ${versions.join(', ')}.`,
      });
    return entry;
  }

  async #look(): Promise<void> {
    const found = await findModels(this.#paths);
    const present = new Set(found.map(keyOf));
    for (const model of found) {
      const key = keyOf(model);
      const settled = this.#seen.get(key) === model.stamp;
      this.#seen.set(key, model.stamp);
      if (!settled || this.#entries.get(key)?.stamp === model.stamp || this.#failed.get(key) === model.stamp) continue;
      await this.#load(model).catch(() => undefined);
    }
    for (const [key, entry] of this.#entries) {
      if (present.has(key)) continue;
      this.#entries.delete(key);
      this.#retire(entry);
      this.#events.onRemoved?.(entry.model);
    }
    for (const key of [...this.#failed.keys(), ...this.#seen.keys()])
      if (!present.has(key)) {
        this.#failed.delete(key);
        this.#seen.delete(key);
      }
  }

  async #load(found: FoundModel): Promise<void> {
    const id = keyOf(found);
    const key = `${id}#${++this.#generation}`;
    const started = this.#now();
    try {
      const cards = await Promise.allSettled(this.#engines.map((engine) => engine.load({ key, path: found.path })));
      const failed = cards.find((card) => card.status === 'rejected');
      if (failed !== undefined) {
        await Promise.allSettled(this.#engines.map((engine) => engine.unload(key)));
        throw failed.reason;
      }
      const [first] = cards as readonly PromiseFulfilledResult<ModelCard>[];
      const model: ServedModel = { name: found.name, version: found.version, key, card: first!.value };
      const before = this.#entries.get(id);
      this.#entries.set(id, { model, stamp: found.stamp, users: 0, retired: false });
      this.#failed.delete(id);
      this.#events.onLoaded?.(model, this.#now() - started, before !== undefined);
      if (before !== undefined) this.#retire(before);
    } catch (error) {
      this.#failed.set(id, found.stamp);
      this.#events.onFailed?.(found, error);
      throw error;
    }
  }

  #retire(entry: Entry): void {
    entry.retired = true;
    this.#events.onRetired?.(entry.model);
    if (entry.users === 0) void this.#unload(entry);
  }

  async #unload({ model: { key } }: Entry): Promise<void> {
    await Promise.allSettled(this.#engines.map((engine) => engine.unload(key)));
  }
}

const keyOf = ({ name, version }: Pick<FoundModel, 'name' | 'version'>): string => `${name}/${version}`;
