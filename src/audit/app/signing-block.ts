/** @file The APK Signing Block (Android's signature schemes v2, v3, v3.1): which schemes, and their signers' certificates. */
import { ByteView } from '../byte-view.js';
import { AuditError } from '../errors.js';
import { type ByteSource } from '../source.js';
import { readCertificate, type Certificate } from './certificate.js';

export type SignatureScheme = 'v1' | 'v2' | 'v3' | 'v3.1';

export interface Signature {
  readonly scheme: SignatureScheme;
  /** The first certificate of each signer. */
  readonly certificates: readonly Certificate[];
}

const schemes: Readonly<Record<number, SignatureScheme>> = { 0x7109871a: 'v2', 0xf05368c0: 'v3', 0x1b93ad61: 'v3.1' };
const MAGIC = 'APK Sig Block 42';
const MAX_BLOCK = 64 * 2 ** 20;
const MAX_SIGNERS = 10;

/** Signatures before the central directory; none where there is no block. Throws AuditError where the block is broken. */
export async function readSigningBlock(source: ByteSource, directoryOffset: number): Promise<readonly Signature[]> {
  if (directoryOffset < 32) return [];
  const foot = new ByteView(await source.read(directoryOffset - 24, 24), 'signing-block');
  if (new TextDecoder().decode(foot.slice(8, 16)) !== MAGIC) return [];
  const size = foot.u64(0);
  if (size < 24 || size > MAX_BLOCK || size + 8 > directoryOffset)
    throw new AuditError('signing-block', `the signing block states ${size} bytes`);
  const view = new ByteView(await source.read(directoryOffset - size, size - 24), 'signing-block');
  const signatures: Signature[] = [];
  for (let at = 0; at + 12 <= view.size;) {
    const length = view.u64(at);
    const scheme = schemes[view.u32(at + 8)];
    if (length < 4) throw view.error(`a pair of ${length} bytes`);
    const value = view.slice(at + 12, length - 4);
    if (scheme !== undefined) signatures.push({ scheme, certificates: await certificatesOf(value) });
    at += 8 + length;
  }
  return signatures;
}

async function certificatesOf(value: Uint8Array): Promise<readonly Certificate[]> {
  const found: Certificate[] = [];
  for (const signer of prefixed(prefixed(value)[0])) {
    if (found.length >= MAX_SIGNERS)
      throw new AuditError('signing-block', `there are more than ${MAX_SIGNERS} signers`);
    // signer: signed data, …; signed data: digests, certificates, …
    const certificates = prefixed(prefixed(prefixed(signer, 1)[0], 2)[1]);
    if (certificates[0] !== undefined) found.push(await readCertificate(certificates[0]));
  }
  return found;
}

/** Parts, each with its length in four bytes in front; the first `most` of them. */
function prefixed(bytes: Uint8Array | undefined, most = Infinity): readonly Uint8Array[] {
  if (bytes === undefined) return [];
  const view = new ByteView(bytes, 'signing-block');
  const parts: Uint8Array[] = [];
  for (let at = 0; at < view.size && parts.length < most;) {
    const part = view.slice(at + 4, view.u32(at));
    parts.push(part);
    at += 4 + part.length;
  }
  return parts;
}
