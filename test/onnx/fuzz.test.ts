/** @file Hostile bytes end in an error or in a model, never in a crash, a hang or another kind of exception. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CuttleError,
  graph as graphAttribute,
  makeGraph,
  makeModel,
  makeNode,
  Tensor,
  tensorType,
  type Model,
} from '../../src/ir/index.js';
import { decodeModel, decodeValue, encodeModel } from '../../src/onnx/index.js';
import { field, varint } from './wire.js';

const body = makeGraph({
  name: 'body',
  outputs: [{ name: 'z', type: tensorType('float32', ['n', 2]) }],
  nodes: [makeNode({ name: 'c', op: 'Constant', inputs: [], outputs: ['z'] })],
});

const seedModel: Model = makeModel(
  makeGraph({
    inputs: [{ name: 'x', type: tensorType('float32', ['batch', 3]) }],
    outputs: [{ name: 'y', type: { kind: 'sequence', element: tensorType('int64', [null]) } }],
    initializers: new Map<string, Tensor>([
      ['w', Tensor.floats([1, 2, 3], [3, 1])],
      ['i', Tensor.int64s([1, -1])],
      ['s', Tensor.ofStrings([2], ['a', 'b'])],
    ]),
    sparseInitializers: new Map([['sp', { values: Tensor.floats([1]), indices: Tensor.int64s([1]), dims: [3] }]]),
    nodes: [
      makeNode({
        name: 'if',
        op: 'If',
        inputs: ['x'],
        outputs: ['y'],
        attributes: new Map([
          ['then_branch', graphAttribute(body)],
          ['axes', { type: 'ints' as const, value: [1n, -1n] }],
          ['t', { type: 'tensor' as const, value: Tensor.scalar('float64', 2) }],
        ]),
      }),
    ],
  }),
  { metadata: new Map([['k', 'v']]) },
);
const seed = encodeModel(seedModel);

/** Decodes; an accepted model must also be writable. Anything but a CuttleError fails the test. */
function survives(bytes: Uint8Array): void {
  try {
    encodeModel(decodeModel(bytes));
  } catch (error) {
    if (!(error instanceof CuttleError)) throw error;
    expect(['invalid', 'unsupported']).toContain(error.kind);
    expect(error.message).not.toContain('\n');
    expect(error.message.length).toBeLessThan(600);
  }
}

describe('hostile files', () => {
  test('every truncation', () => {
    for (let length = 0; length < seed.length; length++) survives(seed.slice(0, length));
  });

  test('every single byte replaced', () => {
    for (let i = 0; i < seed.length; i++)
      for (const value of [0, 0x7f, 0x80, 0xff, seed[i]! ^ 1]) {
        const bytes = seed.slice();
        bytes[i] = value;
        survives(bytes);
      }
  });

  test('several bits flipped', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(7)), { minLength: 1, maxLength: 12 }), (flips) => {
        const bytes = seed.slice();
        for (const [at, bit] of flips) bytes[at]! ^= 1 << bit;
        survives(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  test('pieces moved, repeated and cut out', () => {
    fc.assert(
      fc.property(fc.nat(seed.length), fc.nat(seed.length), fc.nat(seed.length), (from, to, at) => {
        const piece = seed.subarray(Math.min(from, to), Math.max(from, to));
        survives(Uint8Array.from([...seed.subarray(0, at), ...piece, ...seed.subarray(at)]));
        survives(Uint8Array.from([...seed.subarray(0, Math.min(from, to)), ...seed.subarray(Math.max(from, to))]));
      }),
      { numRuns: 1500 },
    );
  });

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        survives(bytes);
        survives(Uint8Array.from([8, 10, ...bytes]));
        for (const kind of ['tensor', 'sequence', 'optional'] as const)
          try {
            decodeValue(bytes, kind);
          } catch (error) {
            if (!(error instanceof CuttleError)) throw error;
          }
      }),
      { numRuns: 2000 },
    );
  });

  test('well-formed wire data with arbitrary fields', () => {
    const { message } = fc.letrec<{ message: Uint8Array }>((tie) => ({
      message: fc
        .array(
          fc.oneof(
            { depthSize: 'small' },
            fc.tuple(fc.integer({ min: 1, max: 26 }), fc.bigInt(0n, 2n ** 64n - 1n)).map(([n, v]) => field(n, 0, v)),
            fc.tuple(fc.integer({ min: 1, max: 26 }), fc.uint8Array({ maxLength: 8 })).map(([n, v]) => field(n, 2, v)),
            fc.tuple(fc.integer({ min: 1, max: 26 }), tie('message')).map(([n, v]) => field(n, 2, v)),
          ),
          { maxLength: 6 },
        )
        .map((fields) => Uint8Array.from(Buffer.concat(fields))),
    }));
    const head = Buffer.concat([field(1, 0, 10n), field(8, 2, field(2, 0, 18n))]);
    fc.assert(
      fc.property(message, (graph) => {
        survives(Uint8Array.from(Buffer.concat([head, field(7, 2, graph)])));
      }),
      { numRuns: 3000 },
    );
  });

  test('a depth bomb of nested graphs and of nested types', () => {
    let graph: Uint8Array = new Uint8Array(0);
    let type: Uint8Array = new Uint8Array(0);
    for (let i = 0; i < 2000; i++) {
      graph = field(1, 2, field(5, 2, field(6, 2, graph)));
      type = field(4, 2, field(1, 2, type));
    }
    const head = Buffer.concat([field(1, 0, 10n), field(8, 2, field(2, 0, 18n))]);
    for (const bomb of [graph, field(11, 2, field(2, 2, type))])
      expect(() => decodeModel(Buffer.concat([head, field(7, 2, bomb)]))).toThrow(/nested more than/);
  });

  test('huge lengths and counts', () => {
    for (const length of [2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 64n - 1n])
      for (const number of [1, 5, 7, 8, 14, 25])
        survives(Buffer.concat([field(1, 0, 10n), varint(BigInt(number * 8 + 2)), varint(length), seed]));
  });
});
