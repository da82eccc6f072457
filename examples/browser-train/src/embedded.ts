/** @file The digits that come with the page. */
import { parseIdx } from 'cuttle/data';
import { SIDE, type Sample } from './samples.js';

/** The first `count` embedded digits, the ten classes in turn. Throws where the files cannot be fetched or read. */
export async function loadEmbedded(count: number): Promise<readonly Sample[]> {
  const [images, labels] = await Promise.all(['digits-images.idx', 'digits-labels.idx'].map(fetchIdx));
  return Array.from({ length: Math.min(count, labels!.length) }, (_, index) => ({
    pixels: images!.subarray(index * SIDE * SIDE, (index + 1) * SIDE * SIDE),
    label: labels![index]!,
    origin: 'embedded',
  }));
}

async function fetchIdx(name: string): Promise<Uint8Array> {
  const response = await fetch(new URL(name, document.baseURI));
  if (!response.ok) throw new Error(`${name} cannot be loaded (status ${response.status})`);
  return parseIdx(new Uint8Array(await response.arrayBuffer()), name).data as Uint8Array;
}
