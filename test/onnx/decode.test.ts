/** @file Decoding and encoding: every typed-data field, sub-graphs, functions, types, names, limits, foreign files. */
import { describe, expect, test } from 'vitest';
import {
  dataTypes,
  GraphBuilder,
  graph as graphAttribute,
  makeGraph,
  makeModel,
  makeNode,
  Tensor,
  tensorType,
  type Attribute,
  type DataType,
  type Model,
  type ModelFunction,
  type ValueType,
} from '../../src/ir/index.js';
import {
  decodeModel,
  decodeValue,
  encodeModel,
  encodeTensorFile,
  OnnxFormatError,
  OnnxUnsupportedError,
  type OnnxLimits,
} from '../../src/onnx/index.js';
import { field, packed, varint } from './wire.js';

const reload = (model: Model): Model => decodeModel(encodeModel(model));

/** A file with one initializer whose TensorProto consists of these fields. */
function fileWithTensor(...fields: Uint8Array[]): Uint8Array {
  const tensor = field(5, 2, Buffer.concat([field(8, 2, Buffer.from('w')), ...fields]));
  return Buffer.concat([field(1, 0, 10n), field(8, 2, field(2, 0, 18n)), field(7, 2, tensor)]);
}

const decodeWeight = (...fields: Uint8Array[]): Tensor =>
  decodeModel(fileWithTensor(...fields)).graph.initializers.get('w')!;

const failure = (body: () => unknown): OnnxFormatError | OnnxUnsupportedError => {
  try {
    body();
  } catch (error) {
    if (error instanceof OnnxFormatError || error instanceof OnnxUnsupportedError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('typed data fields', () => {
  const dims = (...sizes: number[]): Uint8Array => Buffer.concat(sizes.map((size) => field(1, 0, BigInt(size))));
  const dtype = (name: DataType): Uint8Array => field(2, 0, BigInt(dataTypes[name].code));

  test('float_data is shared and exact', () => {
    const values = Float32Array.from([1.5, -2.25, 1e-30, Infinity]);
    const file = fileWithTensor(dims(4), dtype('float32'), field(4, 2, Buffer.from(values.buffer)));
    const weight = decodeModel(file).graph.initializers.get('w')!;
    expect(weight.data).toEqual(values);
    expect(weight.bytes.buffer).toBe(file.buffer);
  });

  test('double_data and complex128', () => {
    const values = Float64Array.from([Math.PI, -0, 1e300, 5]);
    const bytes = field(10, 2, Buffer.from(values.buffer));
    expect(decodeWeight(dims(4), dtype('float64'), bytes).data).toEqual(values);
    expect(decodeWeight(dims(2), dtype('complex128'), bytes).data).toEqual(values);
  });

  test.each([
    ['int32', [-1, 0, 127, 2 ** 31 - 1, -(2 ** 31)]],
    ['int16', [-1, -32768, 32767]],
    ['uint16', [0, 65535]],
    ['int8', [-128, 127, -1]],
    ['uint8', [0, 200, 255]],
    ['bool', [0, 1, 1]],
    ['float16', [0x3c00, 0xbc00, 0x7c00]],
    ['bfloat16', [0x3f80, 0xff80]],
    ['float8e4m3fn', [0x38, 0xff]],
  ] as const)('int32_data as %s', (name, values) => {
    const tensor = decodeWeight(dims(values.length), dtype(name), packed(5, values));
    expect(Array.from(tensor.data as ArrayLike<number>)).toEqual([...values]);
  });

  test('int32_data as int4 holds two elements in each entry', () => {
    const tensor = decodeWeight(dims(3), dtype('int4'), packed(5, [0x21, 0x0f]));
    expect([...tensor.bytes]).toEqual([0x21, 0x0f]);
  });

  test('int64_data keeps 64 bits', () => {
    const values = [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 300n, 2n ** 35n + 5n];
    expect(decodeWeight(dims(6), dtype('int64'), packed(7, values)).data).toEqual(BigInt64Array.from(values));
  });

  test('uint64_data, as uint32 too', () => {
    const values = [0n, 2n ** 64n - 1n, 2n ** 32n];
    expect(decodeWeight(dims(3), dtype('uint64'), packed(11, values)).data).toEqual(BigUint64Array.from(values));
    expect(decodeWeight(dims(1), dtype('uint32'), packed(11, [2n ** 32n - 1n])).data).toEqual(
      Uint32Array.of(2 ** 32 - 1),
    );
  });

  test('lists in several chunks are joined', () => {
    expect(decodeWeight(dims(3), dtype('int32'), packed(5, [1, 2]), packed(5, [300])).numbers()).toEqual([1, 2, 300]);
  });

  test('string_data keeps bytes that are not UTF-8', () => {
    const file = fileWithTensor(
      dims(2),
      dtype('string'),
      field(6, 2, Buffer.from('héé')),
      field(6, 2, Uint8Array.of(0xff, 0x41, 0xc3)),
    );
    const strings = decodeModel(file).graph.initializers.get('w')!;
    expect(strings.strings![0]).toBe('héé');
    const written = decodeModel(encodeModel(decodeModel(file))).graph.initializers.get('w')!;
    expect(written.strings).toEqual(strings.strings);
    expect(Buffer.from(encodeModel(decodeModel(file))).includes(Buffer.of(0xff, 0x41, 0xc3))).toBe(true);
  });

  test.each([
    ['too few bytes', [dims(4), dtype('float32'), field(9, 2, new Uint8Array(12))]],
    ['too many bytes', [dims(2), dtype('float32'), field(9, 2, new Uint8Array(12))]],
    ['too few strings', [dims(2), dtype('string'), field(6, 2, Buffer.from('a'))]],
  ])('%s are refused by the name of the tensor', (_what, fields) => {
    const error = failure(() => decodeWeight(...fields));
    expect(error.code).toBe('onnx/tensor-size');
    expect(error.message).toContain("'w'");
  });

  test('a list that ends within a number is refused', () => {
    const error = failure(() => decodeWeight(dims(2), dtype('int64'), field(7, 2, Uint8Array.of(1, 0x80))));
    expect(error.code).toBe('onnx/truncated');
  });

  test('dims that overflow are refused without allocating', () => {
    const error = failure(() =>
      decodeWeight(dims(2 ** 31, 2 ** 31, 2 ** 31), dtype('float32'), field(9, 2, new Uint8Array(4))),
    );
    expect(error.code).toBe('onnx/dims');
    expect(failure(() => decodeWeight(field(1, 0, -1n), dtype('float32'))).code).toBe('onnx/dims');
  });

  test('an unknown element type is unsupported, by its number', () => {
    const error = failure(() => decodeWeight(dims(1), field(2, 0, 77n)));
    expect([error.kind, error.code]).toEqual(['unsupported', 'onnx/dtype']);
    expect(error.message).toContain('77');
  });
});

describe('structure', () => {
  const everyAttribute: [string, Attribute][] = [
    ['float', { type: 'float', value: 0.5 }],
    ['int', { type: 'int', value: 2n ** 63n - 1n }],
    ['string', { type: 'string', value: 'grüß \udc80' }],
    ['tensor', { type: 'tensor', value: Tensor.int64s([1, -2]) }],
    ['floats', { type: 'floats', value: [1, -0.25] }],
    ['none', { type: 'ints', value: [] }],
    ['ints', { type: 'ints', value: [1n, -1n] }],
    ['strings', { type: 'strings', value: ['a', ''] }],
    ['tensors', { type: 'tensors', value: [Tensor.scalar('uint8', 3)] }],
    ['type', { type: 'type', value: tensorType('int4', [null, 'n', 3]) }],
    ['types', { type: 'types', value: [{ kind: 'sequence', element: tensorType('string') }] }],
    ['graphs', { type: 'graphs', value: [makeGraph({ name: 'inner' })] }],
    ['reference', { type: 'reference', value: 'outer', of: 'ints' }],
    [
      'sparse',
      {
        type: 'sparse-tensor',
        value: { values: Tensor.floats([1, 2]), indices: Tensor.int64s([0, 7]), dims: [3, 3] },
      },
    ],
    [
      'sparses',
      {
        type: 'sparse-tensors',
        value: [{ values: Tensor.floats([]), indices: Tensor.int64s([]), dims: [3] }],
      },
    ],
  ];

  test('every attribute type survives', () => {
    const node = makeNode({ name: 'n', op: 'Any', inputs: [''], outputs: ['y'], attributes: new Map(everyAttribute) });
    const back = reload(makeModel(makeGraph({ nodes: [node] }))).graph.nodes[0]!;
    expect([...back.attributes.keys()]).toEqual(everyAttribute.map(([name]) => name));
    for (const [name, attribute] of everyAttribute)
      expect(plain(back.attributes.get(name)), name).toEqual(plain(attribute));
  });

  test.each<ValueType>([
    tensorType('float32'),
    tensorType('bfloat16', []),
    tensorType('float32', ['batch', 3, null, 0]),
    { kind: 'sparse-tensor', dtype: 'float64', shape: [2] },
    { kind: 'sequence', element: { kind: 'optional', element: tensorType('bool', [1]) } },
    { kind: 'sequence', element: undefined },
    { kind: 'map', key: 'int64', value: { kind: 'sequence', element: tensorType('string', []) } },
  ])('type %j survives', (type) => {
    const graph = makeGraph({ inputs: [{ name: 'x', type }], types: new Map([['h', type]]) });
    const back = reload(makeModel(graph)).graph;
    expect(back.inputs).toEqual([{ name: 'x', type }]);
    expect(back.types.get('h')).toEqual(type);
  });

  test('model fields, functions, sparse initializers and sub-graphs survive', () => {
    const body = makeGraph({
      name: 'body',
      outputs: [{ name: 'z', type: undefined }],
      nodes: [makeNode({ name: 'deep', op: 'Neg', inputs: ['x'], outputs: ['z'] })],
      initializers: new Map([['inner', Tensor.floats([1])]]),
    });
    const fn: ModelFunction = {
      name: 'Twice',
      domain: 'own',
      overload: 'v2',
      inputs: ['a'],
      outputs: ['b'],
      attributes: ['alpha'],
      attributeDefaults: new Map([['beta', { type: 'float', value: 2 }]]),
      nodes: [makeNode({ name: 'sum', op: 'Add', inputs: ['a', 'a'], outputs: ['b'] })],
      opsets: new Map([['', 18]]),
      doc: 'doubles',
    };
    const model = makeModel(
      makeGraph({
        name: 'main',
        doc: 'graph doc',
        sparseInitializers: new Map([['s', { values: Tensor.floats([5]), indices: Tensor.int64s([2]), dims: [4] }]]),
        nodes: [
          makeNode({
            name: 'branch',
            op: 'If',
            inputs: ['c'],
            outputs: ['y'],
            doc: 'node doc',
            attributes: new Map([['then_branch', graphAttribute(body)]]),
          }),
          makeNode({ name: 'call', op: 'Twice', domain: 'own', overload: 'v2', inputs: ['y'], outputs: ['o'] }),
        ],
      }),
      {
        metadata: new Map([
          ['key', 'värde'],
          ['empty', ''],
        ]),
        modelVersion: -5n,
        domain: 'dom',
        doc: 'doc',
        producer: { name: 'p', version: '1' },
        opsets: new Map([
          ['', 18],
          ['own', 1],
        ]),
        functions: [fn],
      },
    );
    const back = reload(model);
    expect(plain(back)).toEqual(plain(model));
  });

  test('missing and repeated node names become unique', () => {
    const nodes = ['', 'a', 'a', '', 'Relu_0'].map((name, index) =>
      makeNode({ name, op: 'Relu', inputs: ['x'], outputs: [`y${index}`] }),
    );
    const names = reload(makeModel(makeGraph({ nodes }))).graph.nodes.map((node) => node.name);
    expect(names).toEqual(['Relu_0_1', 'a', 'Relu_2', 'Relu_3', 'Relu_0']);
  });

  test('domain ai.onnx is the empty one', () => {
    const model = makeModel(
      makeGraph({ nodes: [makeNode({ name: 'n', op: 'Relu', domain: 'ai.onnx', inputs: ['x'], outputs: ['y'] })] }),
      { opsets: new Map([['ai.onnx', 17]]) },
    );
    const back = reload(model);
    expect(back.opsets).toEqual(new Map([['', 17]]));
    expect(back.graph.nodes[0]!.domain).toBe('');
  });

  test('a lone tensor is a file too', () => {
    const { name, value } = decodeValue(encodeTensorFile('t', Tensor.floats([1, 2])), 'tensor');
    expect(name).toBe('t');
    expect(value.kind === 'tensor' && value.tensor.numbers()).toEqual([1, 2]);
  });

  test('a 100 MB model loads without copying its weights', () => {
    const b = new GraphBuilder();
    for (let i = 0; i < 25; i++) b.parameter(`w${i}`, Tensor.floats(new Float32Array(1_000_000).fill(i)));
    b.alias('w3', 'y');
    const bytes = encodeModel(makeModel(b.graph('big', ['y'])));
    expect(bytes.length).toBeGreaterThan(100_000_000);
    const before = process.memoryUsage().arrayBuffers;
    const model = decodeModel(bytes);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5_000_000);
    for (const tensor of model.graph.initializers.values()) expect(tensor.bytes.buffer).toBe(bytes.buffer);
    expect(model.graph.initializers.get('w7')!.data[12345]).toBe(7);
  });
});

describe('refusals', () => {
  const relu = makeModel(
    makeGraph({
      inputs: [{ name: 'x', type: tensorType('float32', [1]) }],
      outputs: [{ name: 'y', type: undefined }],
      nodes: [makeNode({ name: 'n', op: 'Relu', inputs: ['x'], outputs: ['y'] })],
    }),
  );
  const good = encodeModel(relu);

  test.each([
    ['nothing', new Uint8Array(0), 'the file is empty'],
    ['text', Buffer.from('layers:\n  - conv\n'.repeat(10)), 'a text file'],
    ['JSON', Buffer.from('{"model": 1, "nodes": []}'), 'a text file'],
    ['ZIP', Buffer.from('PK\x03\x04rest', 'latin1'), 'a ZIP archive'],
    ['TFLite', Buffer.from('\x1c\0\0\0TFL3\0\0', 'latin1'), 'a TensorFlow Lite model'],
    ['HDF5', Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), 'an HDF5 file'],
    ['an LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid'), 'a Git LFS pointer'],
  ])('%s is named', (_what, bytes, name) => {
    const error = failure(() => decodeModel(bytes));
    expect([error.kind, error.code]).toEqual(['invalid', 'onnx/not-onnx']);
    expect(error.message).toContain(name);
  });

  test.each([
    [6, 'opset 6'],
    [99, 'opset 99'],
  ])('opset %i is unsupported', (version, text) => {
    const error = failure(() => reload({ ...relu, opsets: new Map([['', version]]) }));
    expect([error.kind, error.code]).toEqual(['unsupported', 'onnx/opset']);
    expect(error.message).toContain(text);
    expect(error.hint).toBeDefined();
  });

  test('a newer IR version is unsupported', () => {
    expect(failure(() => reload({ ...relu, irVersion: 40 })).kind).toBe('unsupported');
  });

  test('an opaque type is unsupported', () => {
    const type = field(2, 2, field(7, 2, field(2, 2, Buffer.from('T'))));
    const graph = field(7, 2, field(11, 2, Buffer.concat([field(1, 2, Buffer.from('x')), type])));
    const file = Buffer.concat([field(1, 0, 10n), field(8, 2, field(2, 0, 18n)), graph]);
    expect(failure(() => decodeModel(file)).code).toBe('onnx/type');
  });

  test('external data without a reader is refused', () => {
    const bytes = encodeModel(makeModel(makeGraph({ initializers: new Map([['w', Tensor.floats([1])]]) })), {
      placeExternally: () => ({ location: 'w.bin', offset: 0, length: 4 }),
    });
    const error = failure(() => decodeModel(bytes));
    expect(error.code).toBe('onnx/external-data');
    expect(error.message).toContain('w.bin');
    expect(decodeModel(bytes, { externalData: () => new Uint8Array(4) }).graph.initializers.get('w')!.size).toBe(1);
  });

  test('a source name stands before the message', () => {
    expect(failure(() => decodeModel(good.subarray(0, 30), { source: 'm.onnx' })).message).toMatch(/^m\.onnx: /);
  });

  const limited = (limits: Partial<OnnxLimits>, model: Model): string =>
    failure(() => decodeModel(encodeModel(model), { limits })).code;

  test('every limit holds', () => {
    expect(limited({ maxFileBytes: 10 }, relu)).toBe('onnx/limit');
    expect(limited({ maxMessages: 3 }, relu)).toBe('onnx/limit');
    expect(limited({ maxListItems: 1 }, relu)).toBe('onnx/limit');
    expect(limited({ maxNameLength: 3 }, relu)).toBe('onnx/limit');
    const ranked = makeModel(makeGraph({ initializers: new Map([['w', Tensor.of('float32', [1, 1, 1], [0])]]) }));
    expect(limited({ maxRank: 2 }, ranked)).toBe('onnx/limit');
    const nested = (depth: number): Model => {
      let graph = makeGraph({});
      for (let i = 1; i < depth; i++)
        graph = makeGraph({
          nodes: [
            makeNode({
              name: 'if',
              op: 'If',
              inputs: [],
              outputs: [],
              attributes: new Map([['then_branch', graphAttribute(graph)]]),
            }),
          ],
        });
      return makeModel(graph);
    };
    expect(reload(nested(32)).graph.nodes.length).toBe(1);
    expect(failure(() => reload(nested(33))).code).toBe('onnx/limit');
    expect(failure(() => reload(nested(60))).code).toBe('onnx/limit');
  });

  test('millions of empty messages are refused before they are made', () => {
    const nodes = Buffer.alloc(20_000_000);
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = 0x0a; // field 1 of GraphProto, length 0
    const file = Buffer.concat([field(1, 0, 10n), field(8, 2, field(2, 0, 18n)), field(7, 2, nodes)]);
    expect(failure(() => decodeModel(file)).code).toBe('onnx/limit');
  });

  test('lengths beyond the file, endless numbers and foreign wire types are refused', () => {
    const start = field(1, 0, 10n);
    const huge = Buffer.concat([start, varint(58n), varint(2n ** 40n)]);
    expect(failure(() => decodeModel(huge)).code).toBe('onnx/truncated');
    const endless = Buffer.concat([start, Buffer.from([0x08, ...new Array<number>(12).fill(0xff)])]);
    expect(failure(() => decodeModel(endless)).code).toBe('onnx/malformed');
    expect(failure(() => decodeModel(Buffer.concat([start, Buffer.from([0x3b])]))).code).toBe('onnx/malformed');
    const unpacked = fileWithTensor(field(2, 0, 1n), Buffer.from([0x25, 0, 0, 0, 0]));
    expect(failure(() => decodeModel(unpacked)).code).toBe('onnx/malformed');
  });
});

/** Plain data for deep comparison: tensors by type, dims and bytes; maps by entries. */
function plain(value: unknown): unknown {
  if (value instanceof Tensor) {
    const { dtype, dims, bytes, strings } = value as Tensor;
    return { dtype, dims, bytes: [...bytes], strings };
  }
  if (value instanceof Map)
    return [...(value as ReadonlyMap<unknown, unknown>)].map(([key, entry]) => [key, plain(entry)] as const);
  if (Array.isArray(value)) return (value as readonly unknown[]).map((entry) => plain(entry));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value as Record<string, unknown>).map(([key, entry]) => [key, plain(entry)]),
    );
  return value;
}
