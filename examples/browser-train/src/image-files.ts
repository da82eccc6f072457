/** @file Image files as digits. */
import { digitFromInk, inkOfGray } from './ink.js';

/** Larger pictures are scaled down to this before their ink is looked for. */
const LARGEST_SIDE = 512;

/** A file that gave no digit, in a sentence for the visitor. */
export class ImageFileError extends Error {}

/** The digit in an image file, dark on light or light on dark. Throws ImageFileError where there is none. */
export async function digitFromFile(file: File): Promise<Uint8Array> {
  let picture: ImageBitmap;
  try {
    picture = await createImageBitmap(file);
  } catch (cause) {
    throw new ImageFileError(`${file.name} cannot be read as an image`, { cause });
  }
  const scale = Math.min(1, LARGEST_SIDE / Math.max(picture.width, picture.height));
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  const context = new OffscreenCanvas(width, height).getContext('2d')!;
  // Transparent paper is white paper.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
  picture.close();
  const { data } = context.getImageData(0, 0, width, height);
  const gray = new Uint8Array(width * height);
  for (let i = 0; i < gray.length; i++)
    gray[i] = Math.round(0.299 * data[4 * i]! + 0.587 * data[4 * i + 1]! + 0.114 * data[4 * i + 2]!);
  const digit = digitFromInk(inkOfGray({ data: gray, width, height }));
  if (digit === undefined) throw new ImageFileError(`${file.name} is blank`);
  return digit;
}
