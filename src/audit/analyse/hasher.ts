/** @file SHA-256 over several pieces: in plain JavaScript unless the caller brings a faster one. */
import { sha256 } from '@noble/hashes/sha2.js';

/** Takes bytes piece by piece. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  /** 64 hex digits; the last call. */
  hex(): string;
}

/** Starts a SHA-256. */
export type HasherFactory = () => Hasher;

const utf8 = new TextEncoder();

/** SHA-256 that runs anywhere. Node's own is about ten times as fast: pass `nativeHasher` of `cuttle/audit/node` there. */
export const portableHasher: HasherFactory = () => {
  const hash = sha256.create();
  return {
    update: (bytes) => hash.update(bytes),
    hex: () => Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, '0')).join(''),
  };
};

/** SHA-256 of lines of text. */
export function hashOfLines(lines: Iterable<string>, factory: HasherFactory): string {
  const hasher = factory();
  for (const line of lines) hasher.update(utf8.encode(`${line}\n`));
  return hasher.hex();
}
