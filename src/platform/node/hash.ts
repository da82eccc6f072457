/** @file SHA-256 of bytes and of files, SHA-1 where a format asks for it. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** SHA-256 of bytes or UTF-8 text, as 64 hex digits. */
export function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

/** SHA-256 of a file, read in chunks, as 64 hex digits. */
export async function sha256OfFile(path: string): Promise<string> {
  return hashOfFile('sha256', path);
}

/** SHA-1 of a file, as 40 hex digits: ONNX states it for external data. A checksum, no protection against forgery. */
export async function sha1OfFile(path: string): Promise<string> {
  return hashOfFile('sha1', path);
}

/** A SHA-256 that is fed as bytes come. */
export interface RunningHash {
  update(bytes: Uint8Array): void;
  /** 64 hex digits; the last call. */
  hex(): string;
}

/** Begins a SHA-256. */
export function openSha256(): RunningHash {
  const hash = createHash('sha256');
  return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
}

async function hashOfFile(algorithm: string, path: string): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>)
    hash.update(chunk);
  return hash.digest('hex');
}

/** Whether two secrets are equal; how long it takes says nothing of where they differ. */
export function sameSecret(known: string, given: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(known), digest(given));
}

/** A secret that cannot be guessed: 192 random bits, safe in addresses. */
export function randomToken(): string {
  return randomBytes(24).toString('base64url');
}
