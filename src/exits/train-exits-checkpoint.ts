/** @file Checkpoints of exit training in groups: which group is under way, and what the finished ones learned. */
import { Tensor } from '../ir/index.js';
import { CheckpointError, decodeCheckpoint, encodeCheckpoint, type CheckpointStore } from '../train/index.js';

export interface GroupCheckpoints {
  /** The group to go on with, counted from 0. */
  readonly group: number;
  /** Weights of the groups before it. */
  readonly finished: ReadonlyMap<string, Tensor>;
  /** Where the loop of the present group keeps its own state. */
  readonly store: CheckpointStore;
  /** Records the weights so far and goes to the next group; after the last one the checkpoint is cleared. */
  finish(group: number, finished: ReadonlyMap<string, Tensor>, last: boolean): Promise<void>;
}

const INNER = 'loop state';
const DONE = 'done/';

/** Splits one checkpoint store among groups that train one after another. Throws CheckpointError where it does not fit. */
export async function groupCheckpoints(outer: CheckpointStore, fingerprint: string): Promise<GroupCheckpoints> {
  let group = 0;
  let finished: ReadonlyMap<string, Tensor> = new Map();
  let inner: Uint8Array | undefined;
  const bytes = await outer.load();
  if (bytes !== undefined) {
    const saved = decodeCheckpoint(bytes);
    if (saved.fingerprint !== fingerprint)
      throw new CheckpointError(
        'the checkpoint was made with other options or other data',
        'Use the options that it was made with, or delete it to start anew.',
      );
    group = saved.epoch;
    inner = saved.tensors.get(INNER)?.bytes;
    finished = new Map(
      [...saved.tensors]
        .filter(([name]) => name.startsWith(DONE))
        .map(([name, tensor]) => [name.slice(DONE.length), tensor]),
    );
  }
  const first = group;

  const save = async (): Promise<void> => {
    const tensors = new Map<string, Tensor>();
    for (const [name, tensor] of finished) tensors.set(`${DONE}${name}`, tensor);
    if (inner) tensors.set(INNER, Tensor.fromBytes('uint8', [inner.byteLength], inner));
    await outer.save(encodeCheckpoint({ iteration: 0, epoch: group, stepInEpoch: 0, fingerprint, extra: {}, tensors }));
  };
  return {
    group: first,
    finished,
    store: {
      load: async () => inner,
      async save(state) {
        inner = state;
        await save();
      },
      async clear() {
        inner = undefined;
      },
    },
    async finish(done, weights, last) {
      group = done + 1;
      finished = new Map(weights);
      inner = undefined;
      await (last ? outer.clear() : save());
    },
  };
}
