/** @file How each format is recognised: a table of signatures and structure checks, asked in order; the first answer counts. */
import type { ModelFormat } from '../formats.js';
import type { Confidence } from './finding.js';
import type { Probe } from './probe.js';
import { protobufKind } from './protobuf-kinds.js';

/** What a detector says. */
export interface Detection {
  readonly format: ModelFormat;
  readonly confidence: Confidence;
  readonly evidence: readonly string[];
  /** Nothing stands without its layers having been read: the structure alone is too common. */
  readonly mustRead?: boolean;
  readonly encrypted?: boolean;
}

type Detector = (probe: Probe) => Detection | undefined;

const observed = (format: ModelFormat, ...evidence: string[]): Detection => ({
  format,
  confidence: 'observed',
  evidence,
});
const derived = (format: ModelFormat, ...evidence: string[]): Detection => ({
  format,
  confidence: 'derived',
  evidence,
});

/** FlatBuffers with a file identifier at byte 4. */
export const flatbufferIdentifiers: readonly (readonly [identifier: string, format: ModelFormat])[] = [
  ['TFL3', 'tflite'],
  ['CIR0', 'circle'],
  ['ORTM', 'ort'],
  ['ODTC', 'ort-checkpoint'],
  ['ET12', 'executorch'],
  ['PTMF', 'pytorch-mobile'],
  ['MSL0', 'mindspore'],
  ['MSL1', 'mindspore'],
  ['MSL2', 'mindspore'],
];

const flatbuffer: Detector = (probe) => {
  const known = flatbufferIdentifiers.find(([identifier]) => probe.ascii(4, identifier));
  const fields = known ? probe.flatbufferFields() : 0;
  return known && fields > 0
    ? derived(known[1], `the identifier ${known[0]} at byte 4`, `a FlatBuffer whose root table holds ${fields} fields`)
    : undefined;
};

const TORCH_MAGIC = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/** Signatures in front of a file, each with what must follow. */
const signatures: readonly Detector[] = [
  (p) =>
    p.ascii(0, 'LITERTLM') && [8, 12, 16].every((at) => p.u32(at) >= 0 && p.u32(at) < 1000)
      ? observed('litert-lm', 'the signature LITERTLM', `version ${p.u32(8)}.${p.u32(12)}.${p.u32(16)}`)
      : undefined,
  (p) => {
    if (!p.ascii(0, 'GGUF')) return undefined;
    const [version, tensors, entries] = [p.u32(4), p.u64(8), p.u64(16)];
    return version >= 1 && version <= 3 && tensors >= 0 && tensors < 1e6 && entries > 0 && entries < 1e6
      ? observed('gguf', 'the signature GGUF', `version ${version} with ${tensors} tensors and ${entries} entries`)
      : undefined;
  },
  (p) =>
    p.ascii(0, 'CYPTRKNN')
      ? { ...derived('rknn', 'the signature CYPTRKNN of an encrypted model'), encrypted: true }
      : undefined,
  (p) => {
    const magic = ['RKNN', 'RKNX', 'VPMN'].find((each) => p.ascii(0, each) && p.u32(4) < 256 && p.size > 64);
    return magic ? derived('rknn', `the signature ${magic}`) : undefined;
  },
  (p) => {
    const magic = ['IMOD', 'PICO'].find((each) => p.ascii(0, each) && p.u32(4) > 0 && p.u32(4) <= 4096 && p.size > 256);
    return magic ? derived('om', `the signature ${magic}`, `a header of ${p.u32(4)} bytes`) : undefined;
  },
  (p) => (p.ascii(0, 'STEF') && p.size > 1024 ? derived('sensetime', 'the signature STEF') : undefined),
  (p) => {
    const magic = ['NETD', 'NETP', 'NR64'].find((each) => p.ascii(0, each) || p.ascii(4, each));
    return magic && p.size > 64 ? derived('dlc', `the signature ${magic}`) : undefined;
  },
  (p) =>
    p.bytes[0] === 0x80 && TORCH_MAGIC.every((byte, i) => p.bytes[2 + i] === byte)
      ? observed('pytorch', 'the number that PyTorch pickles in front of a checkpoint')
      : undefined,
  (p) => {
    const [magic, layers, blobs] = [p.u32(0), p.u32(4), p.u32(8)];
    return magic === 0x007685dd && layers > 0 && layers < 1e5 && blobs > 0 && blobs < 1e6
      ? { ...observed('ncnn-binary', 'the number 0x007685DD', `${layers} layers`), mustRead: true }
      : undefined;
  },
  (p) => {
    const kind = p.u32(0) === 0x01306b47 ? 'half floats' : p.u32(0) === 0x000d4b38 ? 'bytes' : undefined;
    return kind && p.size > 64 ? derived('ncnn-weights', `the flag of a block of ${kind}`) : undefined;
  },
  (p) =>
    p.bytes[1] === 0 && p.bytes[2] === 0xbc && p.bytes[3] === 0xfa && (p.bytes[0] === 2 || p.bytes[0] === 4)
      ? observed('tnn', 'the number 0xFABC in front of weights')
      : undefined,
  (p) =>
    p.u64(0) === 0x112 && p.u64(8) === 0 && p.u64(16) > 0 && p.u64(16) < 1e6
      ? observed('mxnet', 'the number 0x112 of a list of arrays', `${p.u64(16)} arrays`)
      : undefined,
  (p) => {
    const version = /^v?\d+\.\d+[\w.-]*/.exec(String.fromCharCode(...p.bytes.subarray(2, 18)))?.[0];
    const topology = p.u64(18);
    return p.u16(0) >= 0 && p.u16(0) <= 2 && version && topology > 0 && topology < p.size
      ? observed('paddle-lite', `written by version ${version}`, `a topology of ${topology} bytes`)
      : undefined;
  },
  (p) => {
    const entries = p.u32(0);
    return entries > 0 && entries < 1e5 && (p.u32(4) === 2 || p.u32(4) === 1) && p.u32(64) === 0xdeadbeef
      ? observed('coreml-package', 'the number 0xDEADBEEF of a weight file', `${entries} weights`)
      : undefined;
  },
  (p) =>
    p.extension === 'tmfile' && p.bytes[0]! < 4 && p.bytes[1] === 0 && p.bytes[3] === 0 && p.size > 64
      ? derived('tengine', 'the name .tmfile and a version in front')
      : undefined,
  (p) => {
    // A table file of TensorFlow's and of LevelDB: only what stands in its first entry tells them apart.
    const last = p.size - 8;
    const isTable = p.whole && p.u32(last) === 0x8b80fb57 && p.u32(last + 4) === 0xdb477524;
    return isTable && (p.extension === 'index' || p.ascii(3, '\x08\x01\x1a\x02'))
      ? derived('tf-checkpoint', 'the number in the last bytes of a table file', 'a name or header of a checkpoint')
      : undefined;
  },
];

const safetensors: Detector = (p) => {
  const length = p.u64(0);
  if (p.bytes[8] !== 0x7b || length < 2 || length > Math.min(p.bytes.length - 8, 1 << 26)) return undefined;
  const header = parsedJson(new TextDecoder().decode(p.bytes.subarray(8, 8 + length)));
  if (!isRecord(header)) return undefined;
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return tensors.length > 0 &&
    tensors.every(([, each]) => isRecord(each) && 'dtype' in each && 'shape' in each && 'data_offsets' in each)
    ? observed('safetensors', `a header that names ${tensors.length} tensors`)
    : undefined;
};

const hdf5: Detector = (p) => {
  if (!p.ascii(0, '\x89HDF\r\n\x1a\n')) return undefined;
  const has = (word: string): boolean => findAscii(p.bytes, word) >= 0;
  if (has('model_config') && has('keras_version'))
    return observed('keras-h5', 'an HDF5 signature', 'the attributes model_config and keras_version');
  return has('keras_version') || has('layer_names') || (has('layers') && has('vars'))
    ? observed('hdf5', 'an HDF5 signature', 'groups and attributes that Keras writes')
    : undefined;
};

const jsonModels: Detector = (p) => {
  const head = p.text.trimStart();
  // Networks whose layers stand in code: a list of named weights and the files with their numbers.
  if (head.startsWith('['))
    return /"dtype"\s*:/.test(head) && /"shape"\s*:/.test(head) && /^\[\s*\{\s*"(weights|paths)"\s*:\s*\[/.test(head)
      ? derived('tfjs-weights', 'a manifest of weights as TensorFlow.js writes it, without a topology')
      : undefined;
  if (!head.startsWith('{')) return undefined;
  if (/"modelTopology"\s*:/.test(head) || /"format"\s*:\s*"(graph|layers)-model"/.test(head)) {
    const graph = /"format"\s*:\s*"graph-model"/.test(head) || /"node"\s*:\s*\[/.test(head);
    return observed(graph ? 'tfjs-graph' : 'tfjs-layers', 'a topology as TensorFlow.js writes it');
  }
  if (/"nodes"\s*:\s*\[/.test(head) && /"op"\s*:/.test(head) && p.whole && findAscii(p.bytes, '"arg_nodes"') >= 0)
    return observed('mxnet', 'a JSON of nodes, arg_nodes and operators');
  if (/"fileFormatVersion"/.test(head) && /"rootModelIdentifier"/.test(head))
    return observed('coreml-package', 'a manifest that names a root model');
  return /"layers"\s*:\s*\[/.test(head) && /"(storage|shape)"\s*:/.test(head) && /espresso/.test(p.path)
    ? derived('coreml-compiled', 'a JSON of layers, named espresso')
    : undefined;
};

const textModels: Detector = (p) => {
  const { text } = p;
  if (/^7767517\r?\n\s*\d+\s+\d+/.test(text))
    return { ...observed('ncnn', 'the number 7767517 in the first line'), mustRead: true };
  if (/^"?1\s+\d+\s+1\s+42066247(70|72)\s*,?"?/.test(text))
    return observed('tnn', 'the number 4206624770 in the first line');
  if (/^\s*(<\?xml[^>]*>\s*)?<net\s[^>]*version="\d+"/.test(text) && /<layers>/.test(text))
    return observed('openvino', 'a <net> with <layers>');
  if (/^program\(\d+\.\d+\)/.test(text) && /\bfunc\s/.test(text))
    return observed('coreml-compiled', 'a program in MIL');
  if (/(^|\n)\s*node\s*\{/.test(text) && /\bcalculator\s*:/.test(text))
    return observed('mediapipe-graph', 'nodes with calculators');
  if (/(^|\n)\s*layers?\s*\{/.test(text) && /\b(bottom|top)\s*:\s*"/.test(text) && /\btype\s*:/.test(text))
    return { ...observed('caffe-prototxt', 'layers with bottoms and tops'), mustRead: true };
  return undefined;
};

const protobuf: Detector = (p) => {
  // All of these begin with a field 1, or with the layers of an old Caffe network.
  const first = p.bytes[0];
  if (first !== 0x08 && first !== 0x0a && first !== 0x12 && first !== 0x22) return undefined;
  const kind = p.message && protobufKind(p.message);
  return kind && { ...derived(kind.format, kind.evidence), mustRead: kind.format === 'caffe' };
};

const bareFlatbuffer: Detector = (p) => {
  // MNN has no identifier, nor had early TensorFlow Lite: what its tables hold must tell.
  const fields = p.whole && p.size > 64 && p.u32(0) < 1 << 16 ? p.flatbufferFields() : 0;
  if (fields < 2) return undefined;
  const root = p.u32(0);
  const vtable = root - (p.u32(root) | 0);
  const version = p.u16(vtable + 4) > 0 ? p.u32(root + p.u16(vtable + 4)) : 0;
  if (version === 3) return { ...derived('tflite', 'a FlatBuffer of version 3 without an identifier'), mustRead: true };
  return { ...derived('mnn', 'a FlatBuffer with lists of operators and of values'), mustRead: true };
};

/** Bundles by the names of their entries. */
const archives: readonly (readonly [
  format: ModelFormat,
  evidence: string,
  fits: (names: readonly string[]) => boolean,
])[] = [
  [
    'pytorch-mobile',
    'a data.pkl and a bytecode.pkl',
    (n) => has(n, /(^|\/)data\.pkl$/) && has(n, /(^|\/)bytecode\.pkl$/),
  ],
  [
    'torchscript',
    'a data.pkl, constants.pkl and code',
    (n) => has(n, /(^|\/)data\.pkl$/) && has(n, /(^|\/)(constants\.pkl|code\/)/),
  ],
  [
    'pytorch',
    'a data.pkl with numbered tensors',
    (n) => has(n, /(^|\/)data\.pkl$/) && has(n, /(^|\/)(data\/\d+|version)$/),
  ],
  [
    'keras',
    'a config.json, metadata.json and model.weights.h5',
    (n) => has(n, /^config\.json$/) && has(n, /^model\.weights\.h5$/),
  ],
  [
    'dlc',
    'a model with its params or dlc.metadata',
    (n) => has(n, /^model$/) && has(n, /^(model\.params|dlc\.metadata)$/),
  ],
  [
    'coreml-package',
    'a Manifest.json and com.apple.CoreML',
    (n) => has(n, /(^|\/)Manifest\.json$/) && has(n, /com\.apple\.CoreML\//),
  ],
  [
    'mediapipe-task',
    'TFLite models and nothing that an app has',
    (n) =>
      has(n, /\.(tflite|lite)$/) &&
      n.every((each) => /\.(tflite|lite|binarypb|spm|txt|pbtxt|json|model|bin)$|\/$|^[A-Z_]+$/.test(each)) &&
      n.length <= 64,
  ],
];

const has = (names: readonly string[], pattern: RegExp): boolean => names.some((name) => pattern.test(name));

/** Which bundle an archive is by the names of its entries; `undefined` for any other archive. */
export function detectBundle(names: readonly string[]): Detection | undefined {
  const found = archives.find(([, , fits]) => fits(names));
  return found && derived(found[0], `an archive with ${found[1]}`);
}

const detectors: readonly Detector[] = [
  flatbuffer,
  ...signatures,
  safetensors,
  hdf5,
  jsonModels,
  textModels,
  protobuf,
  bareFlatbuffer,
];

/** All that detectors say of a file, in order; empty where none knows it. */
export function* detect(probe: Probe): Generator<Detection> {
  for (const detector of detectors) {
    const found = detector(probe);
    if (found) yield found;
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Where an ASCII word first stands; -1 where it does not. */
function findAscii(bytes: Uint8Array, word: string): number {
  const first = word.charCodeAt(0);
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let i = 1;
    while (i < word.length && bytes[at + i] === word.charCodeAt(i)) i++;
    if (i === word.length) return at;
  }
  return -1;
}
