/** @file Images as the browser decodes them. */

/** Pixels as `ImageData` holds them: red, green, blue, alpha, row by row. */
export interface RgbaPixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** True where this host decodes images itself: pages and workers, not Node. */
export const decodesImages: boolean = typeof createImageBitmap === 'function' && typeof OffscreenCanvas === 'function';

/** Decodes an image file (JPEG, PNG, WebP … whatever the browser reads), EXIF orientation applied. Rejects where it is none. */
export async function decodeImage(file: Blob): Promise<RgbaPixels> {
  const bitmap = await createImageBitmap(file);
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d')!;
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  } finally {
    bitmap.close();
  }
}
