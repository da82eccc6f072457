/** @file Shape rules of signal processing. */
import { addDims, dataTypeOfCode, divDims, intOf, subDims, type Dim } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import {
  axisOf,
  dimsAt,
  dtypeOf,
  hasInput,
  numbersAt,
  requireRank,
  shapeOf,
  single,
  type RuleTable,
} from './support.js';

const half = (length: Dim): Dim => addDims(divDims(length, 2), 1);

/** DFT-17 (axis as attribute) and 20 (axis as input 2): real and imaginary parts stand in the last dim. */
const dft: InferRule = (context) => {
  const { node, inputs, opset } = context;
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the input', x, 2);
  const dtype = dtypeOf(inputs[0]);
  if (x === undefined) return single(dtype, undefined);
  const given = opset < 20 ? intOf(node, 'axis', 1) : hasInput(node, 2) ? numbersAt(context, 2)?.[0] : -2;
  const onesided = intOf(node, 'onesided', 0) === 1;
  const inverse = intOf(node, 'inverse', 0) === 1;
  const last: Dim = onesided && inverse ? 1 : 2;
  if (given === undefined) return single(dtype, [...x.slice(0, -1).map(() => null), last]);
  const axis = axisOf(node, given, x.length);
  const length = hasInput(node, 1) ? (dimsAt(context, 1)?.[0] ?? null) : x[axis]!;
  return single(dtype, x.with(axis, onesided && !inverse ? half(length) : length).with(-1, last));
};

/** STFT-17: signal [batch, length, 1 or 2] → [batch, frames, bins, 2]. */
const stft: InferRule = (context) => {
  const { node, inputs, symbol } = context;
  const x = shapeOf(inputs[0]);
  requireRank(node, 'the signal', x, 2, 3);
  const step = numbersAt(context, 1)?.[0];
  const length: Dim = hasInput(node, 3) ? (dimsAt(context, 3)?.[0] ?? null) : (shapeOf(inputs[2])?.[0] ?? null);
  if (step !== undefined && step < 1) throw new ShapeError(node, `frame_step is ${step}`);
  const frames = step === undefined ? null : addDims(divDims(subDims(x?.[1] ?? null, length), step), 1);
  const bins = intOf(node, 'onesided', 1) === 1 ? half(length) : length;
  return single(dtypeOf(inputs[0]), [x?.[0] ?? null, frames ?? symbol('frames'), bins, 2]);
};

/** MelWeightMatrix-17: [⌊dft_length / 2⌋ + 1, num_mel_bins]. */
const melWeights: InferRule = (context) => {
  const bins = dimsAt(context, 0)?.[0] ?? null;
  return single(dataTypeOfCode(intOf(context.node, 'output_datatype', 1)), [
    half(dimsAt(context, 1)?.[0] ?? null),
    bins,
  ]);
};

export const signalShapes: RuleTable = { DFT: dft, STFT: stft, MelWeightMatrix: melWeights };
