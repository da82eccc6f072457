import { expect, test } from 'vitest';
import { joinBytes } from '../../src/platform/index.js';

test('pieces become one array in order; a single one is shared', () => {
  const piece = Uint8Array.of(1, 2);
  expect(joinBytes([piece, new Uint8Array(0), Uint8Array.of(3)])).toEqual(Uint8Array.of(1, 2, 3));
  expect(joinBytes([piece])).toBe(piece);
  expect(joinBytes([])).toEqual(new Uint8Array(0));
});
