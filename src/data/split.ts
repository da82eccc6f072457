/** @file Dividing a data set into parts by seed: every class in proportion, and equal pictures never on both sides. */
import { createRandom } from '../platform/random.js';
import { classCounts, samplePixels, type ImageDataset } from './dataset.js';

/** Positions of the two parts of a data set, each ascending. */
export interface Division {
  readonly taken: Uint32Array;
  readonly left: Uint32Array;
}

/**
 * Takes about `fraction` of every class (at least one image of each class that has two) by seed. Images with equal
 * pixels stay together, so that a duplicated file can never be trained on and tested on.
 */
export function divide(dataset: ImageDataset, fraction: number, seed: number): Division {
  const copies = duplicateGroups(dataset);
  const order = createRandom(seed).shuffle(Uint32Array.from({ length: dataset.size }, (_, i) => i));
  const counts = classCounts(dataset.labels, dataset.classes.length);
  const wanted = Array.from(counts, (count) =>
    count < 2 ? 0 : Math.min(count - 1, Math.max(1, Math.round(count * fraction))),
  );
  const side = new Uint8Array(dataset.size);
  const decided = new Uint8Array(dataset.size);
  for (const index of order) {
    if (decided[index]) continue;
    const group = copies.get(index) ?? [index];
    const take = fraction > 0 && wanted[dataset.labels[index]!]! > 0;
    for (const member of group) {
      decided[member] = 1;
      side[member] = take ? 1 : 0;
      if (take) wanted[dataset.labels[member]!]!--;
    }
  }
  return { taken: positions(side, 1), left: positions(side, 0) };
}

/** Up to `limit` positions, every class in proportion, chosen by seed; ascending. */
export function chooseStratified(labels: Int32Array, classes: number, limit: number, seed: number): Uint32Array {
  if (limit >= labels.length) return Uint32Array.from({ length: labels.length }, (_, i) => i);
  const order = createRandom(seed).shuffle(Uint32Array.from({ length: labels.length }, (_, i) => i));
  const counts = classCounts(labels, classes);
  const quota = largestRemainders(counts, limit);
  const side = new Uint8Array(labels.length);
  for (const index of order)
    if (quota[labels[index]!]! > 0) {
      quota[labels[index]!]!--;
      side[index] = 1;
    }
  return positions(side, 1);
}

/** How many test images are, pixel for pixel, also among the training images. */
export function sharedImages(train: ImageDataset, test: ImageDataset): number {
  const seen = new Map<number, number[]>();
  for (let i = 0; i < train.size; i++) {
    const hash = hashBytes(samplePixels(train, i));
    const same = seen.get(hash);
    if (same) same.push(i);
    else seen.set(hash, [i]);
  }
  let shared = 0;
  for (let i = 0; i < test.size; i++) {
    const pixels = samplePixels(test, i);
    if (seen.get(hashBytes(pixels))?.some((other) => equalBytes(pixels, samplePixels(train, other)))) shared++;
  }
  return shared;
}

/** For every image that has a twin: all positions with the same pixels. */
function duplicateGroups(dataset: ImageDataset): ReadonlyMap<number, readonly number[]> {
  const byHash = new Map<number, number[]>();
  for (let i = 0; i < dataset.size; i++) {
    const hash = hashBytes(samplePixels(dataset, i));
    const same = byHash.get(hash);
    if (same) same.push(i);
    else byHash.set(hash, [i]);
  }
  const groups = new Map<number, number[]>();
  for (const candidates of byHash.values()) {
    if (candidates.length < 2) continue;
    // A shared hash may be chance: pictures count as equal only byte for byte.
    let rest = candidates;
    while (rest.length > 1) {
      const first = samplePixels(dataset, rest[0]!);
      const same = rest.filter((other) => equalBytes(first, samplePixels(dataset, other)));
      if (same.length > 1) for (const member of same) groups.set(member, same);
      rest = rest.filter((other) => !same.includes(other));
    }
  }
  return groups;
}

/** 52 bits of two multiplicative hashes, as one number that a Map holds cheaply; over words where the bytes allow. */
function hashBytes(bytes: Uint8Array): number {
  const words =
    bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0
      ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
      : bytes;
  let low = 0x811c9dc5;
  let high = 0x2f0b4c47;
  for (let i = 0; i < words.length; i++) {
    low = Math.imul(low ^ words[i]!, 0x01000193);
    high = Math.imul(high ^ (words[i]! >>> 7) ^ low, 0x5bd1e995);
  }
  return (low >>> 0) + ((high >>> 12) & 0xfffff) * 0x100000000;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function positions(side: Uint8Array, value: number): Uint32Array {
  let count = 0;
  for (let i = 0; i < side.length; i++) if (side[i] === value) count++;
  const found = new Uint32Array(count);
  for (let i = 0, at = 0; i < side.length; i++) if (side[i] === value) found[at++] = i;
  return found;
}

/** Integer shares of `total` in proportion to `counts`, by largest remainder. */
function largestRemainders(counts: Int32Array, total: number): Int32Array {
  const sum = counts.reduce((a, b) => a + b, 0);
  const exact = Array.from(counts, (count) => (count * total) / sum);
  const shares = Int32Array.from(exact, Math.floor);
  const order = exact.map((_, i) => i).sort((a, b) => (exact[b]! % 1) - (exact[a]! % 1) || a - b);
  for (let rest = total - shares.reduce((a, b) => a + b, 0), i = 0; rest > 0; i++, rest--) shares[order[i]!]!++;
  return shares;
}
