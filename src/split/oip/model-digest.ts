/** @file Which model this is: what device and server compare before they compute two halves of it. */
import type { Model } from '../../ir/index.js';
import { encodeModel } from '../../onnx/index.js';

/**
 * SHA-256 (hex) of a model as Cuttle writes it, so that two files of the same content count as equal. Undefined in pages
 * without Web Crypto (those not served over HTTPS or from this machine).
 */
export async function modelDigest(model: Model): Promise<string | undefined> {
  const { subtle } = globalThis.crypto as { readonly subtle?: SubtleCrypto };
  if (subtle === undefined) return undefined;
  const digest = new Uint8Array(await subtle.digest('SHA-256', encodeModel(model) as Uint8Array<ArrayBuffer>));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
