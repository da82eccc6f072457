/** @file Tells what a file that is not ONNX seems to be, so that the error can say so. */
import { OnnxFormatError } from './errors.js';

const ascii = (bytes: Uint8Array, offset: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (bytes[offset + i] !== text.charCodeAt(i)) return false;
  return true;
};

/** Signatures of the files that people most often mistake for ONNX models. */
const SIGNATURES: readonly { readonly what: string; readonly at: number; readonly magic: string }[] = [
  {
    what: 'a ZIP archive (a PyTorch checkpoint, a Keras file or a CoreML package may be one)',
    at: 0,
    magic: 'PK\x03\x04',
  },
  { what: 'a TensorFlow Lite model', at: 4, magic: 'TFL3' },
  { what: 'an ONNX Runtime (.ort) model', at: 4, magic: 'ORTM' },
  { what: 'an HDF5 file (a Keras model may be one)', at: 0, magic: '\x89HDF' },
  { what: 'a gzip archive', at: 0, magic: '\x1f\x8b\x08' },
  { what: 'a GGUF model', at: 0, magic: 'GGUF' },
  { what: 'a safetensors file', at: 8, magic: '{"' },
  { what: 'a Python pickle (an old PyTorch checkpoint may be one)', at: 0, magic: '\x80\x02' },
  { what: 'a PNG image', at: 0, magic: '\x89PNG' },
  { what: 'a JPEG image', at: 0, magic: '\xff\xd8\xff' },
  { what: 'a PDF file', at: 0, magic: '%PDF' },
  { what: 'a Git LFS pointer, not the file itself', at: 0, magic: 'version https://git-lfs' },
];

/** What the bytes seem to be where they are plainly not ONNX, as a noun phrase; `undefined` where they may be ONNX. */
export function recogniseForeign(bytes: Uint8Array): string | undefined {
  for (const { what, at, magic } of SIGNATURES) if (ascii(bytes, at, magic)) return what;
  // A model starts with a small field tag and holds zero or control bytes early; text holds none.
  const head = bytes.subarray(0, 256);
  const isText = head.every((byte) => byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);
  return isText && bytes.length >= 4 ? 'a text file' : undefined;
}

/** Throws OnnxFormatError where the bytes are empty or of another known format. */
export function refuseForeign(bytes: Uint8Array): void {
  const hint = 'Give a model in ONNX format (a .onnx file).';
  if (bytes.length === 0) throw new OnnxFormatError('not-onnx', 'the file is empty', { hint });
  const foreign = recogniseForeign(bytes);
  if (foreign !== undefined) throw new OnnxFormatError('not-onnx', `not an ONNX model, but ${foreign}`, { hint });
}
