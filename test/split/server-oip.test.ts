/** @file The Open Inference Protocol's messages: round trips in both forms, values that do not fit, hostile bytes. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CuttleError, Tensor, type DataType } from '../../src/ir/index.js';
import { bfloatOfNumber, halfOfNumber, numberOfBfloat, numberOfHalf } from '../../src/split/oip/half.js';
import {
  ModelInferRequestSchema,
  ModelInferResponseSchema,
  ModelMetadataResponseSchema,
} from '../../src/split/oip/gen/open-inference_pb.js';
import {
  inferRequest,
  metadataOfMessage,
  metadataToMessage,
  oipError,
  OipError,
  readServerReport,
  readSplitParameters,
  replyOfHttp,
  replyOfMessage,
  replyToHttp,
  replyToMessage,
  requestOfHttp,
  requestOfMessage,
  requestToHttp,
  requestToMessage,
  statedJsonBytes,
  STATUSES,
  statusOfGrpc,
  statusOfHttp,
  writeServerReport,
  writeSplitParameters,
  type InferReply,
  type InferRequest,
  type OipStatus,
} from '../../src/split/oip/index.js';

const floats = [0, -0, 1, -2.5, 65504, 1e-7];
const samples: readonly Tensor[] = [
  Tensor.of('bool', [3], [1, 0, 1]),
  Tensor.of('uint8', [2, 2], [0, 1, 254, 255]),
  Tensor.of('uint16', [2], [0, 65535]),
  Tensor.of('uint32', [2], [0, 4294967295]),
  Tensor.of('uint64', [2], BigUint64Array.of(0n, 2n ** 53n - 1n)),
  Tensor.of('int8', [2], [-128, 127]),
  Tensor.of('int16', [2], [-32768, 32767]),
  Tensor.of('int32', [2], [-2147483648, 2147483647]),
  Tensor.of('int64', [2], BigInt64Array.of(-(2n ** 53n) + 1n, 2n ** 53n - 1n)),
  Tensor.of('float16', [2], [0x3c00, 0xfbff]),
  Tensor.of('bfloat16', [2], [0x3f80, 0xc2f7]),
  Tensor.of('float32', [6], floats),
  Tensor.of('float64', [6], floats),
  Tensor.ofStrings([3], ['', 'naïve', '日本']),
  Tensor.of('float32', [], [3]),
  Tensor.of('float32', [0, 4], []),
];

const request: InferRequest = {
  model: 'net',
  version: '3',
  id: 'a "quoted" id',
  parameters: new Map<string, string | number | bigint | boolean>([
    ['text', 'x'],
    ['whole', 7n],
    ['real', 0.5],
    ['flag', false],
  ]),
  inputs: samples.map((tensor, index) => ({ name: `in/${index}`, tensor })),
  outputs: [{ name: 'y' }, { name: 'z' }],
};
const reply: InferReply = { ...request, outputs: request.inputs };

const plain = (tensor: Tensor) => ({
  dtype: tensor.dtype,
  dims: [...tensor.dims],
  data: tensor.strings ?? Array.from(tensor.bytes),
});
const listed = (tensor: Tensor): readonly unknown[] => Array.from(tensor.data as ArrayLike<number | bigint>);
const content = (list: readonly { name: string; tensor: Tensor }[]) =>
  list.map(({ name, tensor }) => [name, plain(tensor)]);

describe('forms', () => {
  test('a request survives protobuf', () => {
    const back = requestOfMessage(
      fromBinary(ModelInferRequestSchema, toBinary(ModelInferRequestSchema, requestToMessage(request))),
    );
    expect(content(back.inputs)).toEqual(content(request.inputs));
    expect({ ...back, inputs: [] }).toEqual({ ...request, inputs: [] });
  });

  test('a reply survives protobuf', () => {
    const back = replyOfMessage(
      fromBinary(ModelInferResponseSchema, toBinary(ModelInferResponseSchema, replyToMessage(reply))),
    );
    expect(content(back.outputs)).toEqual(content(reply.outputs));
    expect(back.parameters).toEqual(reply.parameters);
  });

  test.each([true, false])('a request survives HTTP, binary %s', (binary) => {
    const { bytes, jsonBytes } = requestToHttp(request, { binary });
    expect(jsonBytes !== undefined).toBe(binary);
    const back = requestOfHttp({ model: 'net', version: '3' }, bytes, jsonBytes);
    // -0 is a number that JSON text of a list does not keep.
    const numbers = (list: typeof back.inputs) =>
      list.map(({ name, tensor }) => [
        name,
        tensor.dtype,
        tensor.dims,
        tensor.strings ?? Array.from(tensor.data, Number),
      ]);
    const positive = (values: ReturnType<typeof numbers>) => JSON.stringify(values);
    expect(positive(numbers(back.inputs))).toBe(positive(numbers(request.inputs)));
    expect(back.outputs).toEqual([
      { name: 'y', binary },
      { name: 'z', binary },
    ]);
    expect(
      new Map([...back.parameters].map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value])),
    ).toEqual(new Map<string, unknown>([...request.parameters, ['whole', 7]]));
  });

  test('a reply survives HTTP, each tensor in the form that was asked for', () => {
    const asked = requestOfHttp(
      { model: 'net', version: '' },
      new TextEncoder().encode('{"inputs":[],"outputs":[{"name":"a","parameters":{"binary_data":true}},{"name":"b"}]}'),
      undefined,
    );
    const given: InferReply = {
      ...reply,
      outputs: [
        { name: 'a', tensor: Tensor.floats([NaN, 1]) },
        { name: 'b', tensor: Tensor.of('int64', [1], BigInt64Array.of(2n ** 53n - 1n)) },
      ],
    };
    const { bytes, jsonBytes } = replyToHttp(given, asked);
    const json = JSON.parse(new TextDecoder().decode(bytes.subarray(0, jsonBytes))) as {
      outputs: { parameters?: unknown; data?: unknown }[];
    };
    expect(json.outputs[0]!.parameters).toEqual({ binary_data_size: 8 });
    expect(json.outputs[1]!.data).toEqual([2 ** 53 - 1]);
    expect(content(replyOfHttp(bytes, jsonBytes).outputs)).toEqual(content(given.outputs));
    expect(() => replyToHttp(given, inferRequest('net', []))).toThrow(/'a' holds NaN/);
  });

  test('all outputs come as bytes where a request names none and wants that', () => {
    const { bytes, jsonBytes } = requestToHttp(inferRequest('net', []));
    const asked = requestOfHttp({ model: 'net', version: '' }, bytes, jsonBytes);
    expect(replyToHttp(reply, asked).jsonBytes).toBeGreaterThan(0);
  });

  test('typed contents are read, 16-bit floats are not', () => {
    const typed = (datatype: string, contents: object): Tensor =>
      requestOfMessage(
        fromBinary(
          ModelInferRequestSchema,
          toBinary(ModelInferRequestSchema, {
            ...requestToMessage(inferRequest('net', [])),
            inputs: [
              {
                $typeName: 'inference.ModelInferRequest.InferInputTensor',
                name: 'x',
                datatype,
                shape: [2n],
                parameters: {},
                contents,
              },
            ],
          } as never),
        ),
      ).inputs[0]!.tensor;
    const contents = (lists: object) => ({
      $typeName: 'inference.InferTensorContents',
      ...{ boolContents: [], intContents: [], int64Contents: [], uintContents: [], uint64Contents: [] },
      ...{ fp32Contents: [], fp64Contents: [], bytesContents: [] },
      ...lists,
    });
    expect(listed(typed('FP32', contents({ fp32Contents: [1, 2] })))).toEqual([1, 2]);
    expect(listed(typed('INT8', contents({ intContents: [-1, 2] })))).toEqual([-1, 2]);
    expect(listed(typed('UINT64', contents({ uint64Contents: [1n, 2n ** 64n - 1n] })))).toEqual([1n, 2n ** 64n - 1n]);
    expect(listed(typed('BOOL', contents({ boolContents: [true, false] })))).toEqual([1, 0]);
    const text = new TextEncoder().encode('hé');
    expect(typed('BYTES', contents({ bytesContents: [text, text] })).strings).toEqual(['hé', 'hé']);
    expect(() => typed('FP16', contents({ fp32Contents: [1, 2] }))).toThrow(/must be sent raw/);
    expect(() => typed('INT8', contents({ intContents: [1, 128] }))).toThrow(/cannot hold 128/);
    expect(() => typed('FP32', contents({ fp32Contents: [1] }))).toThrow(/takes 2 elements, not 1/);
    expect(() => typed('FP33', contents({}))).toThrow(/does not know/);
  });

  test('metadata survives protobuf', () => {
    const metadata = {
      ...{ name: 'net', versions: ['1', '2'], platform: 'onnx_onnxruntime' },
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
      outputs: [],
      parameters: new Map([['cuttle_cuts', 12n]]),
    };
    const bytes = toBinary(ModelMetadataResponseSchema, metadataToMessage(metadata));
    expect(metadataOfMessage(fromBinary(ModelMetadataResponseSchema, bytes))).toEqual(metadata);
  });
});

describe('16-bit floats', () => {
  test('every pattern comes back', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const half = numberOfHalf(bits);
      if (!Number.isNaN(half)) expect(halfOfNumber(half)).toBe(bits);
      const brain = numberOfBfloat(bits);
      if (!Number.isNaN(brain)) expect(bfloatOfNumber(brain)).toBe(bits);
    }
    expect(Number.isNaN(numberOfHalf(halfOfNumber(NaN)))).toBe(true);
    expect(Number.isNaN(numberOfBfloat(bfloatOfNumber(NaN)))).toBe(true);
  });

  test('numbers between two patterns go to the nearest, ties to even', () => {
    expect(halfOfNumber(1 + 2 ** -11)).toBe(0x3c00);
    expect(halfOfNumber(1 + 3 * 2 ** -11)).toBe(0x3c02);
    expect(halfOfNumber(65519.9)).toBe(0x7bff);
    expect(halfOfNumber(65520)).toBe(0x7c00);
    expect(halfOfNumber(2 ** -25)).toBe(0);
    expect(halfOfNumber(1 - 2 ** -13)).toBe(0x3c00);
    expect(bfloatOfNumber(1 + 2 ** -8)).toBe(0x3f80);
    expect(bfloatOfNumber(1 + 3 * 2 ** -8)).toBe(0x3f82);
  });
});

describe('what does not fit', () => {
  const body = (text: string) => () =>
    requestOfHttp({ model: 'm', version: '' }, new TextEncoder().encode(text), undefined);
  const input = (fields: string) => body(`{"inputs":[{"name":"x",${fields}}]}`);
  test.each([
    ['no JSON', body('{'), /not JSON/],
    ['no inputs', body('{}'), /malformed: inputs/],
    ['no data', input('"shape":[1],"datatype":"FP32"'), /has no data/],
    ['a fraction in an integer', input('"shape":[1],"datatype":"INT32","data":[1.5]'), /whole numbers/],
    ['an integer beyond 2^53', input('"shape":[1],"datatype":"INT64","data":[9007199254740993]'), /binary data/],
    ['text in a number', input('"shape":[1],"datatype":"FP32","data":["1"]'), /takes numbers/],
    ['a number in a boolean', input('"shape":[1],"datatype":"BOOL","data":[1]'), /takes true and false/],
    ['a negative dim', input('"shape":[-1],"datatype":"FP32","data":[1]'), /no possible shape/],
    ['a fractional dim', input('"shape":[0.5],"datatype":"FP32","data":[1]'), /no possible shape/],
    ['a huge shape', input('"shape":[1e9,1e9],"datatype":"FP32","data":[1]'), /no possible shape/],
    [
      'bytes that are not there',
      input('"shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}'),
      /0 are left/,
    ],
    ['deep nesting', input(`"shape":[1],"datatype":"FP32","data":${'['.repeat(70)}1${']'.repeat(70)}`), /too deeply/],
  ])('%s', (_, read, message) => {
    expect(read).toThrow(OipError);
    expect(read).toThrow(message);
  });

  test('nested data is read in row-major order', () => {
    const { inputs } = input('"shape":[2,2],"datatype":"UINT8","data":[[1,2],[3,4]]')();
    expect(listed(inputs[0]!.tensor)).toEqual([1, 2, 3, 4]);
  });

  test('null stands for what is left out', () => {
    const reply = { model_name: 'm', model_version: null, id: null, parameters: null };
    const outputs = [{ name: 'y', datatype: 'FP32', shape: [1], parameters: { note: null }, data: [1] }];
    const read = replyOfHttp(new TextEncoder().encode(JSON.stringify({ ...reply, outputs })), undefined);
    expect({ ...read, outputs: [] }).toEqual({ model: 'm', version: '', id: '', parameters: new Map(), outputs: [] });
    expect(body('{"id":null,"parameters":null,"outputs":null,"inputs":[]}')().inputs).toEqual([]);
  });

  test('bytes that belong to no tensor', () => {
    const { bytes, jsonBytes } = requestToHttp(inferRequest('m', [{ name: 'x', tensor: Tensor.floats([1]) }]));
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    expect(() => requestOfHttp({ model: 'm', version: '' }, longer, jsonBytes)).toThrow(/belong to no tensor/);
    expect(() => requestOfHttp({ model: 'm', version: '' }, bytes, bytes.length + 1)).toThrow(/but the body has/);
    expect(() => statedJsonBytes('-1')).toThrow(/no size/);
  });

  test.each(['FP32', 'BYTES'])('%s content of another size', (datatype) => {
    const message = { ...requestToMessage(inferRequest('m', [{ name: 'x', tensor: Tensor.floats([1]) }])) };
    message.inputs[0]!.datatype = datatype;
    message.rawInputContents = [new Uint8Array(5)];
    expect(() => requestOfMessage(message)).toThrow(OipError);
  });

  test('random bytes end in an error or in a request, never in anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.option(fc.nat(250), { nil: undefined }), (bytes, jsonBytes) => {
        const attempts = [
          () => requestOfHttp({ model: 'm', version: '' }, bytes, jsonBytes),
          () => replyOfHttp(bytes, jsonBytes),
          () => {
            let message;
            try {
              message = fromBinary(ModelInferRequestSchema, bytes);
            } catch {
              return;
            }
            requestOfMessage(message);
          },
        ];
        for (const attempt of attempts)
          try {
            attempt();
          } catch (error) {
            expect(error).toBeInstanceOf(OipError);
          }
      }),
      { numRuns: 500 },
    );
  });

  test('valid requests with flipped bytes end in an error or in a request', () => {
    const { bytes, jsonBytes } = requestToHttp(request);
    const message = toBinary(ModelInferRequestSchema, requestToMessage(request));
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), (at, value) => {
        for (const [source, read] of [
          [bytes, (b: Uint8Array) => requestOfHttp({ model: 'm', version: '' }, b, jsonBytes)],
          [message, (b: Uint8Array) => requestOfMessage(fromBinary(ModelInferRequestSchema, b))],
        ] as const) {
          const changed = Uint8Array.from(source);
          changed[at % changed.length] = value;
          try {
            read(changed);
          } catch (error) {
            // What protobuf itself refuses is its own error; the server answers it as 'invalid'.
            if (source === bytes) expect(error).toBeInstanceOf(OipError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('split parameters', () => {
  const design = {
    exits: [0, 2],
    policy: { kind: 'confidence', thresholds: [0.8, 0.9], temperatures: [1, 1.5, 2] },
    fallback: 'most-confident',
  } as const;

  test('come back', () => {
    const split = { cut: 4, framed: true, design, deadlineMs: 12, model: 'ab', client: 'phone' };
    expect(readSplitParameters(writeSplitParameters(split))).toEqual(split);
    expect(readServerReport(writeServerReport({ computeMs: 3, queueMs: 0, load: 1, batch: 8 }))).toEqual({
      ...{ computeMs: 3, queueMs: 0, load: 1, batch: 8 },
    });
    expect(readServerReport(new Map())).toBeUndefined();
  });

  test.each([
    ['cuttle_cut', 'three', /not a number/],
    ['cuttle_cut', -1n, /no cut/],
    ['cuttle_cut', 1.5, /no cut/],
    ['cuttle_packing', 'zip', /not known/],
    ['cuttle_packing', 'cutf1', /needs cuttle_cut/],
    ['cuttle_policy', '{', /not JSON/],
    ['cuttle_policy', '{"exits":[0]}', /policy/],
    ['cuttle_policy', '{"exits":[0],"policy":{"kind":"luck","thresholds":1},"fallback":"last"}', /policy/],
    ['cuttle_deadline_ms', true, /not a number/],
    ['cuttle_model', 7, /not text/],
  ])('%s = %s is refused', (name, value, message) => {
    expect(() => readSplitParameters(new Map([[name, value]]))).toThrow(message);
  });
});

describe('outcomes', () => {
  test('every outcome has codes that lead back to it or to one of the same gRPC code', () => {
    for (const name of Object.keys(STATUSES) as OipStatus[]) {
      const { http, grpc } = STATUSES[name];
      expect(statusOfHttp(http)).toBe(name);
      expect(STATUSES[statusOfGrpc(grpc)].grpc).toBe(grpc);
    }
    expect(statusOfHttp(418)).toBe('invalid');
    expect(statusOfHttp(599)).toBe('internal');
  });

  test('anything thrown becomes one', () => {
    class Unknown extends CuttleError {
      constructor() {
        super('unsupported', 'x/y', 'no kernel');
      }
    }
    expect(oipError(new Unknown()).status).toBe('unsupported');
    expect(oipError(new DOMException('gone', 'AbortError')).status).toBe('cancelled');
    expect(oipError('what').status).toBe('internal');
  });
});

// Types that ONNX has and the protocol has not are refused by name.
test.each(['complex64', 'float8e4m3fn', 'int4'] as DataType[])('%s cannot travel', (dtype) => {
  const tensor = Tensor.fromBytes(dtype, [2], new Uint8Array(dtype === 'complex64' ? 16 : dtype === 'int4' ? 1 : 2));
  expect(() => requestToMessage(inferRequest('m', [{ name: 'x', tensor }]))).toThrow(/cannot carry/);
});
