/** @file What a model is fed, by the shapes and types of its inputs: an image, a spectrogram, a sound, tokens, a series, a vector. */
import type { AuditModel, AuditTensor } from '../read/model.js';
import type { Modality } from './analysis.js';

export interface ImageSize {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

export type InputKind =
  | ({ readonly kind: 'image'; readonly batch: boolean } & ImageSize)
  | { readonly kind: 'spectrogram' | 'series'; readonly steps: number; readonly bins: number }
  | { readonly kind: 'waveform'; readonly samples: number }
  | { readonly kind: 'tokens' }
  | { readonly kind: 'vector'; readonly size: number }
  | { readonly kind: 'unknown' };

/** Bins of mel filters, cepstra and Fourier transforms that speech and sound models are fed. */
const SPECTRAL: ReadonlySet<number> = new Set([
  10, 12, 13, 20, 26, 32, 39, 40, 64, 80, 96, 120, 128, 129, 161, 201, 257, 513,
]);
/** Dims of readings of motion sensors: one, two or three of three axes each. */
const MOTION: ReadonlySet<number> = new Set([3, 6, 9]);

const INTEGER = /^u?int(32|64)$/;

/** Height, width and channels of a tensor that may be an image, channels last or first; `undefined` for all others. */
export function imageSize({ shape }: AuditTensor): ImageSize | undefined {
  if (shape === null || (shape.length !== 4 && shape.length !== 3)) return undefined;
  const [a, b, c] = shape.slice(-3).map((dim) => dim ?? 0) as [number, number, number];
  // An open height or width stands for any size.
  const first = shape.slice(-3);
  if (isDepth(c) && (first[0] === null || a >= 8) && (first[1] === null || b >= 8) && (c < a || a === 0))
    return { height: a, width: b, channels: c };
  if (isDepth(a) && (first[1] === null || b >= 8) && (first[2] === null || c >= 8))
    return { height: b, width: c, channels: a };
  return undefined;
}

const isDepth = (channels: number): boolean => channels === 1 || channels === 3 || channels === 4 || channels === 6;

/** What one input is. Names help only where the shape leaves a choice. */
export function inputKind(input: AuditTensor, model: AuditModel): InputKind {
  const { shape, dtype, name } = input;
  const isText = /token|ids?\b|input_?ids|mask|segment|word|char|text|sentence/i.test(name);
  if (dtype !== null && (INTEGER.test(dtype) || dtype === 'string')) {
    const readsTable = model.layers.some(({ family }) => family === 'embedding');
    return (shape === null || shape.length <= 2) && (readsTable || isText || dtype === 'string')
      ? { kind: 'tokens' }
      : { kind: 'unknown' };
  }
  if (shape === null) return { kind: 'unknown' };
  const known = shape.map((dim) => dim ?? 1);
  const image = imageSize(input);
  if (image && image.channels === 1) {
    const { height, width } = image;
    const isFlat = height !== width && (SPECTRAL.has(width) || SPECTRAL.has(height)) && Math.min(height, width) < 130;
    const isLine = (height === 32 || height === 48) && width >= 2 * height;
    if (isFlat && !isLine)
      return {
        kind: 'spectrogram',
        steps: SPECTRAL.has(width) ? height : width,
        bins: SPECTRAL.has(width) ? width : height,
      };
  }
  if (image && (image.height >= 8 || image.height === 0)) return { kind: 'image', batch: shape.length === 4, ...image };
  const dims = known.filter((dim, i) => !(i === 0 && dim === 1));
  const axes = dims.filter((dim) => dim !== 1);
  const last = axes.at(-1) ?? 1;
  if (axes.length <= 1) {
    const isSound = last >= 4000 || /audio|wave|pcm|samples|sound/i.test(name);
    if (isSound) return { kind: 'waveform', samples: last };
    return { kind: 'vector', size: last };
  }
  if (axes.length === 2) {
    if (MOTION.has(last) && axes[0]! >= 16) return { kind: 'series', steps: axes[0]!, bins: last };
    // Bins usually stand last; in front of time they are many.
    if (SPECTRAL.has(last) || (SPECTRAL.has(axes[0]!) && axes[0]! >= 40)) {
      const bins = SPECTRAL.has(last) ? last : axes[0]!;
      return { kind: 'spectrogram', steps: bins === last ? axes[0]! : last, bins };
    }
    return { kind: 'series', steps: axes[0]!, bins: last };
  }
  return { kind: 'unknown' };
}

/** The modality that inputs speak for, and the input that does. */
export function modalityOf(
  model: AuditModel,
): { readonly modality: Modality; readonly input: AuditTensor; readonly kind: InputKind } | undefined {
  const order: readonly (readonly [InputKind['kind'], Modality])[] = [
    ['image', 'vision'],
    ['tokens', 'text'],
    ['waveform', 'audio'],
    ['spectrogram', 'audio'],
    ['series', 'sensor'],
    ['vector', 'other'],
  ];
  // What a recurrent network is handed back from its last run says nothing of what it works on.
  const given = model.inputs.filter(
    ({ name }) => !/^(h|c|hn|cn|h0|c0)$|state|hidden|cache|past_key|labels?$/i.test(name),
  );
  const kinds = given.map((input) => ({ input, kind: inputKind(input, model) }));
  for (const [kind, modality] of order) {
    const found = kinds.find((each) => each.kind.kind === kind);
    if (found) return { modality, ...found };
  }
  return undefined;
}
