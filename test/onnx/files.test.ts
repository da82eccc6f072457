/** @file Models on disk: external data, its refusals, atomic saving. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
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
import { encodeModel } from '../../src/onnx/index.js';
import { loadModel, saveModel } from '../../src/onnx/node.js';
import { fromOrt, toOrt } from './ort.js';
import { field } from './wire.js';

const root = mkdtempSync(join(tmpdir(), 'cuttle-onnx-'));
let folder = root;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'case-'));
});
afterAll(() => {
  rmSync(root, { recursive: true });
});

const ramp = (length: number, scale: number): Tensor =>
  Tensor.floats(Float32Array.from({ length }, (_, i) => i * scale));

function sampleModel(): Model {
  const inner = makeGraph({
    outputs: [{ name: 'z', type: tensorType('float32', [4]) }],
    nodes: [makeNode({ name: 'm', op: 'Mul', inputs: ['x', 'v'], outputs: ['z'] })],
    initializers: new Map([['v', ramp(4, 3)]]),
  });
  return makeModel(
    makeGraph({
      inputs: [
        { name: 'x', type: tensorType('float32', [4]) },
        { name: 'c', type: tensorType('bool', []) },
      ],
      outputs: [{ name: 'y', type: tensorType('float32', [4]) }],
      nodes: [
        makeNode({ name: 'a', op: 'Add', inputs: ['x', 'w'], outputs: ['h'] }),
        makeNode({
          name: 'if',
          op: 'If',
          inputs: ['c'],
          outputs: ['k'],
          attributes: new Map([
            ['then_branch', graphAttribute(inner)],
            ['else_branch', graphAttribute({ ...inner, nodes: [{ ...inner.nodes[0]!, op: 'Sub' }] })],
          ]),
        }),
        makeNode({ name: 's', op: 'Sum', inputs: ['h', 'k', 'tiny'], outputs: ['y'] }),
      ],
      initializers: new Map([
        ['w', ramp(4, 1)],
        ['tiny', Tensor.scalar('float32', 1)],
      ]),
    }),
  );
}

const failure = async (body: Promise<unknown>): Promise<CuttleError> =>
  body.then(
    () => {
      throw new Error('nothing was thrown');
    },
    (error: unknown) => {
      if (error instanceof CuttleError) return error;
      throw error;
    },
  );

describe('external data', () => {
  test('is written above the threshold, read back, and read by ONNX Runtime', async () => {
    const path = join(folder, 'm.onnx');
    const model = sampleModel();
    await saveModel(path, model, { externalDataThreshold: 16 });
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.onnx.data']);
    expect(statSync(join(folder, 'm.onnx.data')).size).toBe(4096 + 16); // the branches share one tensor
    const back = await loadModel(path);
    expect(back.graph.initializers.get('w')!.numbers()).toEqual([0, 1, 2, 3]);
    expect(Buffer.compare(encodeModel(back), encodeModel(model))).toBe(0);
    const session = await InferenceSession.create(path);
    const { y } = await session.run({ x: toOrt(ramp(4, 2)), c: toOrt(Tensor.scalar('bool', 1)) });
    expect(fromOrt(y as never).numbers()).toEqual([0, 1, 2, 3].map((i) => i * 2 + i + i * 2 * (i * 3) + 1));
    await session.release();
  });

  test('stays in one file below the threshold', async () => {
    await saveModel(join(folder, 'm.onnx'), sampleModel(), { externalDataThreshold: 1000 });
    expect(readdirSync(folder)).toEqual(['m.onnx']);
  });

  /** A file with one external weight [2] under these entries. */
  const withEntries = (entries: Record<string, string>): string => {
    const path = join(folder, 'e.onnx');
    const pairs = Object.entries(entries).map(([key, value]) =>
      field(13, 2, Buffer.concat([field(1, 2, Buffer.from(key)), field(2, 2, Buffer.from(value))])),
    );
    const tensor = Buffer.concat([
      field(1, 0, 2n),
      field(2, 0, 1n),
      field(8, 2, Buffer.from('w')),
      ...pairs,
      field(14, 0, 1n),
    ]);
    const graph = field(7, 2, field(5, 2, tensor));
    writeFileSync(path, Buffer.concat([field(1, 0, 10n), field(8, 2, field(2, 0, 18n)), graph]));
    return path;
  };

  test('may omit offset and length, and may stand in a folder below', async () => {
    writeFileSync(join(folder, 'w.bin'), Buffer.from(Float32Array.of(5, 6).buffer));
    const model = await loadModel(withEntries({ location: './w.bin' }));
    expect(model.graph.initializers.get('w')!.numbers()).toEqual([5, 6]);
  });

  test.each(['../w.bin', '/etc/passwd', 'a/../../w.bin', 'C:\\w.bin', '..\\w.bin', '', '.'])(
    'location %j is refused',
    async (location) => {
      const error = await failure(loadModel(withEntries({ location })));
      expect(error.kind).toBe('invalid');
      expect(error.code).toMatch(/^onnx\/external-(path|data)$/);
    },
  );

  test('a missing file is named', async () => {
    const error = await failure(loadModel(withEntries({ location: 'gone.bin' })));
    expect([error.kind, error.code]).toEqual(['invalid', 'onnx/external-missing']);
    expect(error.message).toContain('gone.bin');
  });

  test.each([
    [{ offset: '4' }, 'needs bytes 4 to 12'],
    [{ offset: '9007199254740000' }, 'needs bytes'],
    [{ length: '4' }, 'needs 8 bytes'],
    [{ offset: '-1' }, 'no byte count'],
    [{ offset: '1e9' }, 'no byte count'],
  ])('entries %j are refused', async (entries, text) => {
    writeFileSync(join(folder, 'w.bin'), new Uint8Array(8));
    const error = await failure(loadModel(withEntries({ location: 'w.bin', ...entries })));
    expect(error.kind).toBe('invalid');
    expect(error.message).toContain(text);
  });

  test('a checksum is verified where one is stated', async () => {
    const bytes = new Uint8Array(8);
    writeFileSync(join(folder, 'w.bin'), bytes);
    const checksum = createHash('sha1').update(bytes).digest('hex');
    await loadModel(withEntries({ location: 'w.bin', checksum }));
    const error = await failure(loadModel(withEntries({ location: 'w.bin', checksum: 'ab'.repeat(20) })));
    expect(error.code).toBe('onnx/external-checksum');
  });

  test('tensors that read one file over and over are refused', async () => {
    const graph = makeGraph({
      initializers: new Map(Array.from({ length: 4 }, (_, i) => [`w${i}`, ramp(1000 - i, 1)] as const)),
    });
    const bytes = encodeModel(makeModel(graph), {
      placeExternally: (_name, { bytes }) => ({ location: 'w.bin', offset: 0, length: bytes.length }),
    });
    writeFileSync(join(folder, 'm.onnx'), bytes);
    writeFileSync(join(folder, 'w.bin'), new Uint8Array(4000));
    expect((await failure(loadModel(join(folder, 'm.onnx')))).code).toBe('onnx/limit');
  });
});

describe('saving', () => {
  test('never overwrites unless told to', async () => {
    const path = join(folder, 'm.onnx');
    await saveModel(path, sampleModel());
    const before = readFileSync(path);
    const changed = { ...sampleModel(), doc: 'changed' };
    expect((await failure(saveModel(path, changed))).kind).toBe('usage');
    expect(readFileSync(path)).toEqual(before);
    await saveModel(path, changed, { force: true });
    expect((await loadModel(path)).doc).toBe('changed');
    expect(readdirSync(folder)).toEqual(['m.onnx']);
  });

  test('an existing data file is not overwritten either, and no model is left', async () => {
    writeFileSync(join(folder, 'm.onnx.data'), 'mine');
    const error = await failure(saveModel(join(folder, 'm.onnx'), sampleModel(), { externalDataThreshold: 1 }));
    expect(error.kind).toBe('usage');
    expect(existsSync(join(folder, 'm.onnx'))).toBe(false);
    expect(readFileSync(join(folder, 'm.onnx.data'), 'utf8')).toBe('mine');
  });
});

describe('loading', () => {
  test('weights share the buffer of the file', async () => {
    const path = join(folder, 'big.onnx');
    const initializers = new Map(
      Array.from({ length: 4 }, (_, i) => [`w${i}`, Tensor.floats(new Float32Array(250_000).fill(i))] as const),
    );
    await saveModel(path, makeModel(makeGraph({ initializers })));
    const model = await loadModel(path);
    const buffers = new Set([...model.graph.initializers.values()].map((tensor) => tensor.bytes.buffer));
    expect(buffers.size).toBe(1);
    expect([...buffers][0]!.byteLength).toBe(statSync(path).size);
  });

  test('a missing file, a folder and a file over the limit are refused by name', async () => {
    expect((await failure(loadModel(join(folder, 'none.onnx')))).kind).toBe('invalid');
    expect((await failure(loadModel(folder))).kind).toBe('invalid');
    const path = join(folder, 'm.onnx');
    await saveModel(path, sampleModel());
    const error = await failure(loadModel(path, { limits: { maxFileBytes: 100 } }));
    expect(error.code).toBe('onnx/limit');
    expect(error.message).toContain('m.onnx');
  });
});
