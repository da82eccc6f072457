/** @file A model in the form that a configuration asks for: precision, batch, resolution. */
import { requiredInputs, type DataType, type Model, type Tensor } from '../../ir/index.js';
import { encodeModel } from '../../onnx/index.js';
import {
  bindDims,
  costOf,
  foldBatchNorm,
  quantisableActivations,
  quantise,
  quantiseDynamic,
  toHalf,
  withInputSizes,
} from '../../passes/index.js';
import { measureRanges, syntheticFeeds } from '../../runtime/index.js';
import { CuttleError } from '../../ir/index.js';
import type { Configuration, Precision } from './configuration.js';

/** Calibration samples for static quantisation: batches of feeds, readable more than once. */
export type CalibrationBatches = () =>
  AsyncIterable<Readonly<Record<string, Tensor>>> | Iterable<Readonly<Record<string, Tensor>>>;

/** A model ready to be measured. */
export interface Variant {
  readonly model: Model;
  readonly bytes: Uint8Array;
  readonly inputs: Readonly<Record<string, { readonly dtype: DataType; readonly dims: readonly number[] }>>;
  readonly macs: number;
  readonly params: number;
  readonly peakActivationBytes: number;
}

/** A precision that changes nothing in a model: it has no layer that could take it. Exit code 4. */
export class PrecisionError extends CuttleError {
  constructor(precision: Precision) {
    super('unsupported', 'measure/precision', `no layer of the model can be put into ${precision}`, {
      hint: 'Convolutions and matrix products with constant float32 weights can be quantised; any float32 network can be halved.',
    });
  }
}

/**
 * The model in another precision, its inputs and outputs unchanged. Static quantisation measures its ranges on `calibration`;
 * where omitted, on noise: times are those of the quantised network then, its answers are not. Throws PrecisionError, and what
 * the passes and the runtime throw.
 */
export async function inPrecision(
  model: Model,
  precision: Precision,
  calibration?: CalibrationBatches,
  symbols: Readonly<Record<string, number>> = {},
): Promise<Model> {
  if (precision === 'fp32') return model;
  const result = await converted(model, precision, calibration, symbols);
  if (!result.changed) throw new PrecisionError(precision);
  return result.model;
}

async function converted(
  model: Model,
  precision: Exclude<Precision, 'fp32'>,
  calibration: CalibrationBatches | undefined,
  symbols: Readonly<Record<string, number>>,
): Promise<{ readonly model: Model; readonly changed: boolean }> {
  if (precision === 'fp16') return toHalf(model);
  const folded = foldBatchNorm(model).model;
  if (precision === 'int8-dynamic') return quantiseDynamic(folded);
  const values = quantisableActivations(folded);
  if (values.length === 0) return { model, changed: false };
  const batches = calibration?.() ?? [syntheticFeeds(folded, symbols)];
  return quantise(folded, { ranges: await measureRanges(folded, values, batches) });
}

/**
 * The model as a configuration asks for it, in its precision already. `symbols` give sizes to symbolic dims other than the
 * batch. Throws FixedSizeError where the model cannot take the size, and what the passes throw.
 */
export function variantOf(
  model: Model,
  { batch, resolution }: Pick<Configuration, 'batch' | 'resolution'>,
  symbols: Readonly<Record<string, number>> = {},
): Variant {
  const [height, width] = resolution ?? [];
  const asked = {
    ...(batch !== batchOf(model) && { batch }),
    ...(height !== undefined && width !== undefined && { resolution: [height, width] as const }),
  };
  const sized = withInputSizes(bindDims(model, symbols).model, asked);
  const feeds = syntheticFeeds(sized, symbols);
  const { total } = costOf(sized, { unknownOps: 'skip', symbols });
  return {
    ...{ model: sized, bytes: encodeModel(sized) },
    inputs: Object.fromEntries(
      Object.entries(feeds).map(([name, { dtype, dims }]) => [name, { dtype, dims: [...dims] }]),
    ),
    ...{ macs: total.macs, params: total.params, peakActivationBytes: total.peakActivationBytes },
  };
}

/** The batch that a model states; `undefined` where it takes any, or says nothing. */
function batchOf(model: Model): number | undefined {
  const type = requiredInputs(model.graph)[0]?.type;
  const first = type?.kind === 'tensor' ? type.shape?.[0] : undefined;
  return typeof first === 'number' ? first : undefined;
}
