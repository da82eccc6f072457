/** @file Images for the page: the embedded digits, or what the camera sees. */
import { parseIdx, preprocessPixels, type Preprocessing } from 'cuttle/data';
import type { Tensor } from 'cuttle/ir';

export const SIDE = 28;

/** One image as bytes, white ink on black; its class where it is known. */
export interface Frame {
  readonly pixels: Uint8Array;
  readonly label: number | undefined;
}

/** The first `count` embedded digits. Throws where they cannot be fetched. */
export async function sampleFrames(count: number): Promise<readonly Frame[]> {
  const [images, labels] = await Promise.all(['digits-images.idx', 'digits-labels.idx'].map(idx));
  return Array.from({ length: count }, (_, i) => ({
    pixels: images!.slice(i * SIDE * SIDE, (i + 1) * SIDE * SIDE),
    label: labels![i]!,
  }));
}

async function idx(name: string): Promise<Uint8Array> {
  const response = await fetch(new URL(name, document.baseURI));
  if (!response.ok) throw new Error(`${name} cannot be loaded (status ${response.status})`);
  return parseIdx(new Uint8Array(await response.arrayBuffer()), name).data as Uint8Array;
}

/** Frames of the camera, square and grey, dark ink made white, until the signal aborts. Throws where it is not allowed. */
export async function* cameraFrames(video: HTMLVideoElement, signal: AbortSignal): AsyncGenerator<Frame> {
  const media = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  try {
    video.srcObject = media;
    await video.play();
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    const context = canvas.getContext('2d', { willReadFrequently: true })!;
    while (!signal.aborted) {
      const side = Math.min(video.videoWidth, video.videoHeight);
      const [x, y] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
      context.drawImage(video, x, y, side, side, 0, 0, SIDE, SIDE);
      const { data } = context.getImageData(0, 0, SIDE, SIDE);
      const grey = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => 255 - data[4 * i + 1]!);
      yield { pixels: grey, label: undefined };
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  } finally {
    for (const track of media.getTracks()) track.stop();
    video.srcObject = null;
  }
}

/** A frame as the network's input. */
export function inputOf(frame: Frame, preprocessing: Preprocessing): Tensor {
  return preprocessPixels({ width: SIDE, height: SIDE, data: rgbaOf(frame) }, preprocessing);
}

/** A frame as a picture for a canvas. */
export function rgbaOf({ pixels }: Frame): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(4 * pixels.length);
  pixels.forEach((value, i) => rgba.set([value, value, value, 255], 4 * i));
  return rgba;
}
