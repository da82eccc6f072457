/** @file Heads take the width that the network can afford, unless one is asked for. */
import { expect, test } from 'vitest';
import { attachFittingExits, findCandidates } from '../../src/exits/index.js';
import { buildArchitecture } from '../../src/zoo/index.js';

const candidatesOf = (name: string) =>
  findCandidates(buildArchitecture(name, { classes: 10, input: [3, 32, 32], seed: 0 }));

test.each([
  ['resnet-8', 16],
  ['resnet-20', 32],
  ['resnet-56', 64],
])('%s gets MSDNet heads of %d channels: the widest within a tenth of its MACs', (name, width) => {
  const candidates = candidatesOf(name);
  const { info } = attachFittingExits(candidates, candidates.all, { kind: 'msdnet' }, 0);
  const share = (exits: typeof info.exits): number => Math.max(...exits.map((exit) => exit.head.macs)) / info.macs;
  expect(info.exits[0]!.head.width).toBe(width);
  expect(share(info.exits)).toBeLessThanOrEqual(0.1);
  const wider = attachFittingExits(candidates, candidates.all, { kind: 'msdnet', width: 2 * width }, 0);
  expect(share(wider.info.exits)).toBeGreaterThan(0.1);
});

test('a stated width is taken as it is; heads without convolutions have none', () => {
  const candidates = candidatesOf('resnet-8');
  const [first] = candidates.all;
  expect(attachFittingExits(candidates, [first!], { kind: 'msdnet', width: 128 }, 0).info.exits[0]!.head.width).toBe(
    128,
  );
  expect(attachFittingExits(candidates, [first!], { kind: 'pool' }, 0).info.exits[0]!.head.width).toBe(0);
});
