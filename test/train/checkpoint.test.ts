/** @file Checkpoint files: exact round trip, and refusal of every damaged one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Tensor } from '../../src/ir/index.js';
import { CheckpointError, decodeCheckpoint, encodeCheckpoint, type Checkpoint } from '../../src/train/index.js';

const checkpoint: Checkpoint = {
  iteration: 12,
  epoch: 1,
  stepInEpoch: 2,
  fingerprint: '{"seed":1}',
  extra: { history: [{ loss: 0.5 }] },
  tensors: new Map<string, Tensor>([
    ['a', Tensor.floats([1, -0, NaN, 1e-40], [2, 2])],
    ['b', Tensor.of('int64', [3], [1, 2, -3])],
    ['empty', Tensor.floats([], [0, 4])],
    ['scalar', Tensor.scalar('float32', 7)],
  ]),
};

describe('checkpoints', () => {
  it('come back bit for bit', () => {
    const { tensors, ...info } = decodeCheckpoint(encodeCheckpoint(checkpoint));
    expect(info).toMatchObject({ iteration: 12, epoch: 1, stepInEpoch: 2, fingerprint: '{"seed":1}' });
    expect(info.extra).toEqual(checkpoint.extra);
    expect([...tensors.keys()]).toEqual([...checkpoint.tensors.keys()]);
    for (const [name, tensor] of tensors) {
      const original = checkpoint.tensors.get(name)!;
      expect([tensor.dtype, tensor.dims]).toEqual([original.dtype, original.dims]);
      expect(Buffer.from(tensor.bytes).equals(Buffer.from(original.bytes))).toBe(true);
    }
  });

  it('are refused when cut anywhere', () => {
    const bytes = encodeCheckpoint(checkpoint);
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeCheckpoint(bytes.slice(0, length))).toThrow(CheckpointError);
  });

  it('are refused when any bit flips', () => {
    const bytes = encodeCheckpoint(checkpoint);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        const broken = bytes.slice();
        broken[at]! ^= 1 << bit;
        expect(() => decodeCheckpoint(broken)).toThrow(CheckpointError);
      }),
    );
  });

  it('are refused when they are something else, or from a later version', () => {
    expect(() => decodeCheckpoint(new Uint8Array(100))).toThrow(/no Cuttle checkpoint/);
    const later = encodeCheckpoint(checkpoint);
    later[8] = 9;
    expect(() => decodeCheckpoint(later)).toThrow(/version 9/);
  });
});
