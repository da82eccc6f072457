/** @file `audit/read`: models of many formats in one normal form. */
import { AuditError } from '../errors.js';
import { modelFormats, type ModelFormat } from '../formats.js';
import { readCaffe, readPrototxt } from './caffe.js';
import type { ReadLimits } from './limits.js';
import { readCoreml } from './coreml.js';
import { readGguf } from './gguf.js';
import { readKerasH5 } from './keras-h5.js';
import { readKerasV3 } from './keras-v3.js';
import { readMnn } from './mnn.js';
import { readGraphDef, readSavedModel } from './tensorflow.js';
import { readTfjs } from './tfjs.js';
import type { AuditModel } from './model.js';
import { readNcnn } from './ncnn.js';
import { readOnnx, readOrt } from './onnx.js';
import { readOrtCheckpoint } from './ort-checkpoint.js';
import { readPaddle, readPaddleLite } from './paddle.js';
import { readPytorch } from './pytorch.js';
import { readSafetensors } from './safetensors.js';
import { readTflite } from './tflite.js';

export { defaultReadLimits, type ReadLimits } from './limits.js';
export type {
  AuditLayer,
  AuditModel,
  AuditQuantisation,
  AuditSignature,
  AuditTensor,
  AuditTotals,
  AuditWeight,
  LayerFamily,
} from './model.js';

/** What may be known beside a model's own bytes. */
export interface ReadOptions {
  readonly limits?: ReadLimits;
  /** The other file of a pair: `.bin` of an ncnn network, `.caffemodel` beside `.prototxt` or the other way round. */
  readonly companion?: Uint8Array;
  /** Sizes of inputs that the file leaves open, by name (ncnn). */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
}

const ncnn = (bytes: Uint8Array, { companion, ...rest }: ReadOptions): AuditModel =>
  readNcnn(bytes, { ...rest, ...(companion ? { weights: companion } : {}) });

/** Formats whose layers are read. */
const readers: Readonly<Partial<Record<ModelFormat, (bytes: Uint8Array, options: ReadOptions) => AuditModel>>> = {
  tflite: (bytes, { limits }) => readTflite(bytes, limits),
  circle: (bytes, { limits }) => readTflite(bytes, limits, 'circle'),
  onnx: (bytes, { limits }) => readOnnx(bytes, limits),
  'ort-checkpoint': (bytes, { limits }) => readOrtCheckpoint(bytes, limits),
  ort: (bytes, { limits }) => readOrt(bytes, limits),
  caffe: readCaffe,
  'caffe-prototxt': readPrototxt,
  ncnn,
  'ncnn-binary': ncnn,
  mnn: (bytes, { limits }) => readMnn(bytes, limits),
  coreml: (bytes, { limits, companion }) => readCoreml(bytes, limits, companion),
  graphdef: (bytes, { limits }) => readGraphDef(bytes, limits),
  savedmodel: (bytes, { limits }) => readSavedModel(bytes, limits),
  'tfjs-layers': (bytes, { limits }) => readTfjs(bytes, limits),
  'tfjs-graph': (bytes, { limits }) => readTfjs(bytes, limits),
  'keras-h5': (bytes, { limits }) => readKerasH5(bytes, limits),
  keras: (bytes, { limits }) => readKerasV3(bytes, limits),
  safetensors: (bytes, { limits }) => readSafetensors(bytes, limits),
  gguf: (bytes, { limits }) => readGguf(bytes, limits),
  paddle: (bytes, { limits, companion }) => readPaddle(bytes, limits, companion),
  'paddle-lite': (bytes, { limits }) => readPaddleLite(bytes, limits),
  pytorch: (bytes, { limits }) => readPytorch(bytes, limits),
  torchscript: (bytes, { limits }) => readPytorch(bytes, limits, 'torchscript'),
  'pytorch-mobile': (bytes, { limits }) => readPytorch(bytes, limits, 'pytorch-mobile'),
};

/** Whether layers of models in this format are read. */
export function isReadable(format: ModelFormat): boolean {
  return readers[format] !== undefined;
}

/**
 * Reads a model into the normal form. Throws AuditError (or OnnxFormatError) of kind `invalid` where the bytes are no such model or
 * exceed a limit, and of kind `unsupported` where layers of the format are not read.
 */
export function readAuditModel(format: ModelFormat, bytes: Uint8Array, options: ReadOptions = {}): AuditModel {
  const reader = readers[format];
  if (reader === undefined)
    throw new AuditError('no-reader', `layers of ${modelFormats[format].title} files are not read`, {
      kind: 'unsupported',
    });
  return reader(bytes, options);
}
