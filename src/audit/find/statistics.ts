/** @file What names and statistics suggest of a file that no detector knows. */
import type { Probe } from './probe.js';

/** Shannon entropy in bits per byte; 8 for random bytes. */
export function entropyOf(bytes: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (let i = 0; i < bytes.length; i++) counts[bytes[i]!]!++;
  let entropy = 0;
  for (const count of counts) {
    if (count === 0) continue;
    const share = count / bytes.length;
    entropy -= share * Math.log2(share);
  }
  return entropy;
}

/** Endings that hardly anything but a model has. */
const MODEL_NAME =
  /\.(tflite|tfl|onnx|ort|caffemodel|mnn|ncnn|pte|ptl|pth|mlmodel|tmfile|tnnmodel|tnnproto|rknn|dlc|nb|gguf|safetensors|pdmodel|pdiparams|h5|keras|ms|feathermodel|xnn|rapidnet|rpnmodel|androidmodel|frozen|uls|lite|litertlm)(\.(enc|encrypted|crypt|bin|dat|aes|e))?$/i;
/** Endings that models share with other files: something else in the name must speak for one. */
const GENERIC_NAME = /(\.(pb|bin|dat|data|model|enc|bytes|param|params|weights|net|e|md|mp)|(^|\/)[^./]+)$/i;
const MODEL_WORD =
  /(model|detect|recogni|track|landmark|segment|classif|face|facial|gesture|ocr|asr|neural|cnn|lstm|yolo|mobilenet|resnet|saved_?model)/i;

/** First bytes of files that are compressed and look random for that reason. */
const COMPRESSED: readonly string[] = [
  '\x89PNG',
  '\xff\xd8\xff',
  'GIF8',
  'RIFF',
  'PK',
  '\x1f\x8b',
  'BZh',
  '\xfd7zXZ',
  '7z\xbc\xaf',
  '\x28\xb5\x2f\xfd',
  '\x04"M\x18',
  'OggS',
  'fLaC',
  'ID3',
  '\xff\xfb',
  'wOF2',
  'wOFF',
  'Rar!',
  '%PDF',
  '\x78\x9c',
  '\x78\xda',
  '\x78\x01',
  'dex\n',
  '\x7fELF',
  'MZ',
  'LZIP',
  '\x1aE\xdf\xa3',
];

/** Bits per byte above which bytes are compressed or encrypted: weights as floats stay below. */
const RANDOM = 7.5;
/** The same where only a word in the name speaks for a model. */
const VERY_RANDOM = 7.95;
const SAMPLE = 1 << 18;
const SMALLEST = 4096;

interface Suspicion {
  readonly evidence: readonly string[];
}

/** Why a file that no detector knows may be an encrypted or obfuscated model; `undefined` where nothing says so. */
export function suspectEncrypted(probe: Probe): Suspicion | undefined {
  if (probe.size < SMALLEST || probe.text !== '') return undefined;
  if (COMPRESSED.some((magic) => probe.ascii(0, magic)) || probe.ascii(4, 'ftyp')) return undefined;
  const named = MODEL_NAME.test(probe.path);
  const worded = GENERIC_NAME.test(probe.path) && MODEL_WORD.test(probe.path);
  if (!named && !worded) return undefined;
  const entropy = entropyOf(probe.bytes.subarray(0, SAMPLE));
  if (entropy <= (named ? RANDOM : VERY_RANDOM)) return undefined;
  return {
    evidence: [
      named ? 'a name that models have' : 'a word in the name that models have',
      `entropy of ${entropy.toFixed(2)} bits per byte`,
      'no known signature: encrypted or obfuscated',
    ],
  };
}
