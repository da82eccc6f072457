/** @file The lab's models: files named by their SHA-256, which is all that anyone can ask for. */
import { fileInfo, joinPath, readBytes, writeFileAtomic } from '../../platform/node/files.js';
import { sha256 } from '../../platform/node/hash.js';
import { LabError } from './errors.js';

/** Models in a folder. */
export class ModelStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Bytes of a model, `undefined` where it is not held. Throws LabError for a name that is no SHA-256. */
  async size(digest: string): Promise<number | undefined> {
    return (await fileInfo(this.#path(digest)))?.size;
  }

  /** Throws LabError 'lab/unknown' where it is not held, and what reading throws. */
  async read(digest: string): Promise<Uint8Array<ArrayBuffer>> {
    if ((await this.size(digest)) === undefined)
      throw new LabError('invalid', 'lab/unknown', `the lab holds no model ${digest}`);
    return await readBytes(this.#path(digest));
  }

  /** Keeps a model. Throws LabError where the bytes are not what their name says. */
  async put(digest: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(digest);
    const found = sha256(bytes);
    if (found !== digest)
      throw new LabError('invalid', 'lab/digest', `these bytes have the SHA-256 ${found}, not ${digest}`, {
        hint: 'Send the model again.',
      });
    await writeFileAtomic(path, bytes, { force: true });
  }

  #path(digest: string): string {
    if (!/^[0-9a-f]{64}$/.test(digest))
      throw new LabError('usage', 'lab/digest', 'a model is asked for by its SHA-256, 64 hex digits');
    return joinPath(this.#folder, `${digest}.model`);
  }
}
