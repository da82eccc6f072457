/** @file Core ML's layers of neural networks (NeuralNetwork.proto): names by field number, weights and shapes. */
import type { ReadBudget } from './limits.js';
import type { AuditWeight } from './model.js';
import type { ProtoMessage } from './protobuf.js';
import { broadcast, concatenated, elementsOf, paddedCount, windowCount, type Shape } from './shape-rules.js';

/** Field number of a layer's settings → operator. */
export const coremlLayers: ReadonlyMap<number, string> = new Map(
  (
    '100:convolution 120:pooling 130:activation 140:innerProduct 150:embedding 160:batchnorm 165:mvn 170:l2normalize 175:softmax 180:lrn 190:crop 200:padding ' +
    '210:upsample 211:resizeBilinear 212:cropResize 220:unary 230:add 231:multiply 240:average 245:scale 250:bias 260:max 261:min 270:dot 280:reduce ' +
    '290:loadConstant 300:reshape 301:flatten 310:permute 320:concat 330:split 340:sequenceRepeat 345:reorganizeData 350:slice 400:simpleRecurrent 410:gru ' +
    '420:uniDirectionalLSTM 430:biDirectionalLSTM 500:custom 600:copy 605:branch 615:loop 620:loopBreak 625:loopContinue 660:clip 760:tanh 795:gelu ' +
    '880:addBroadcastable 890:divideBroadcastable 900:multiplyBroadcastable 905:subtractBroadcastable 920:tile 925:stack 930:gather 950:softmaxND 975:splitND ' +
    '980:concatND 985:transpose 995:sliceStatic 1000:sliceDynamic 1015:topK 1025:argMax 1040:embeddingND 1045:batchedMatmul 1065:getShape 1070:loadConstantND ' +
    '1100:broadcastToLike 1105:broadcastToStatic 1120:squeeze 1125:expandDims 1130:flattenTo2D 1140:reshapeStatic 1150:rankPreservingReshape 1155:constantPad ' +
    '1260:reduceMax 1265:reduceMin 1270:reduceSum 1280:reduceMean 1350:layerNormalization 1400:NonMaximumSuppression 1450:oneHot 1460:clampedReLU ' +
    '1465:pooling3d 1466:globalPooling3d 1470:sliceBySize 1471:convolution3d'
  )
    .split(' ')
    .map((each): [number, string] => [Number(each.slice(0, each.indexOf(':'))), each.slice(each.indexOf(':') + 1)]),
);

/** Stored numbers (WeightParams); none where the field is absent or empty. */
function stored(
  holder: ProtoMessage | undefined,
  field: number,
  name: string,
  expected: number,
  more: Partial<AuditWeight> = {},
): AuditWeight[] {
  const weight = holder?.message(field);
  if (weight === undefined) return [];
  const found = { name, learned: true, ...more };
  const sized = (size: number, dtype: string, bytes: Uint8Array): AuditWeight[] =>
    size === 0
      ? []
      : [{ ...found, size, dtype, bytes, shape: more.shape && elementsOf(more.shape) === size ? more.shape : [size] }];
  const floats = weight.fixed(1, 4);
  if (floats !== undefined && floats.length > 0) return sized(floats.length / 4, 'float32', floats);
  const halves = weight.bytes(2);
  if (halves !== undefined && halves.length > 0) return sized(Math.floor(halves.length / 2), 'float16', halves);
  const raw = weight.bytes(30) ?? weight.bytes(31);
  if (raw === undefined) return [];
  const bits = weight.message(40)?.int(1, 8) ?? 8;
  // Packed integers: what the layer needs, where bits do not fill the last byte.
  return sized(expected > 0 ? expected : Math.floor((raw.length * 8) / Math.max(1, bits)), `uint${bits}`, raw);
}

/** The weights of a layer. */
export function coremlWeights(op: string, s: ProtoMessage, budget: ReadBudget): AuditWeight[] {
  switch (op) {
    case 'convolution': {
      const [outputs, inputs] = [s.int(1), s.int(2)];
      const area = pair(s.ints(20), 3);
      // A transposed one is stored input channels first.
      const shape = s.bool(60)
        ? [inputs, Math.floor(outputs / Math.max(1, s.int(10, 1))), ...area]
        : [outputs, inputs, ...area];
      const size = elementsOf(budget.dims(shape));
      const layout = s.bool(60) ? 'IOHW' : 'OIHW';
      return [...stored(s, 90, 'weight', size, { shape, layout }), ...stored(s, 91, 'bias', outputs)];
    }
    case 'innerProduct': {
      const shape = budget.dims([s.int(2), s.int(1)]);
      return [
        ...stored(s, 20, 'weight', elementsOf(shape), { shape, layout: 'OI' }),
        ...stored(s, 21, 'bias', s.int(2)),
      ];
    }
    case 'embedding':
    case 'embeddingND': {
      const shape = budget.dims([s.int(2), s.int(1)]);
      return [...stored(s, 20, 'weight', elementsOf(shape), { shape }), ...stored(s, 21, 'bias', s.int(2))];
    }
    case 'batchedMatmul':
      return [...stored(s, 8, 'weight', s.int(5) * s.int(6)), ...stored(s, 9, 'bias', s.int(6))];
    case 'batchnorm':
      return ['gamma', 'beta', 'mean', 'variance'].flatMap((name, i) => stored(s, 15 + i, name, s.int(1)));
    case 'scale':
      return [...stored(s, 2, 'scale', 0), ...stored(s, 5, 'bias', 0)];
    case 'bias':
      return stored(s, 2, 'bias', 0);
    case 'layerNormalization':
      return [...stored(s, 3, 'gamma', 0), ...stored(s, 4, 'beta', 0)];
    case 'activation':
      return [
        ...stored(s.message(25), 1, 'alpha', 0),
        ...stored(s.message(71), 1, 'alpha', 0),
        ...stored(s.message(71), 2, 'beta', 0),
      ];
    case 'loadConstant':
    case 'loadConstantND':
      return stored(s, 2, 'value', 0, { learned: false });
    case 'simpleRecurrent':
      return recurrent(s, [30, 31, 32]);
    case 'gru':
      return recurrent(s, [30, 31, 32, 50, 51, 52, 70, 71, 72]);
    case 'uniDirectionalLSTM':
    case 'biDirectionalLSTM':
      return s
        .messages(20)
        .flatMap((each) => recurrent(each, [1, 2, 3, 4, 20, 21, 22, 23, 40, 41, 42, 43, 60, 61, 62]));
    default:
      return [];
  }
}

function recurrent(s: ProtoMessage, fields: readonly number[]): AuditWeight[] {
  return fields.flatMap((field) => stored(s, field, `weights ${field}`, 0));
}

function pair(list: readonly number[], fallback: number): readonly [number, number] {
  return [list[0] ?? fallback, list[1] ?? list[0] ?? fallback];
}

/** Positions of a window over height and width: `valid` with explicit borders, or `same`. */
function windows(
  s: ProtoMessage,
  size: readonly [number, number],
  kernel: readonly [number, number],
  stride: readonly [number, number],
  dilation: readonly [number, number],
  fields: { readonly valid: number; readonly same: number; readonly ceil: boolean },
): readonly [number, number] {
  const borders = s.message(fields.valid)?.message(1)?.messages(10) ?? [];
  const counted = (axis: 0 | 1): number => {
    if (s.has(fields.same)) return paddedCount(size[axis], kernel[axis], stride[axis], dilation[axis], 'SAME');
    const pad = (borders[axis]?.int(1) ?? 0) + (borders[axis]?.int(2) ?? 0);
    return windowCount(
      size[axis],
      { kernel: kernel[axis], stride: stride[axis], dilation: dilation[axis], pad },
      fields.ceil,
    );
  };
  return [counted(0), counted(1)];
}

/** Shape of the first result: channel, height, width and what stands before them; `undefined` where no rule knows it. */
export function coremlShape(op: string, s: ProtoMessage, inputs: readonly Shape[]): Shape | undefined {
  const input = inputs[0];
  if (op === 'loadConstant' || op === 'loadConstantND') return s.ints(1);
  if (input === undefined) return undefined;
  const rest = input.slice(0, -3);
  const [channels, height, width] = [input.at(-3) ?? 1, input.at(-2) ?? 1, input.at(-1) ?? 1];
  switch (op) {
    case 'convolution': {
      const [kernel, stride, dilation] = [pair(s.ints(20), 3), pair(s.ints(30), 1), pair(s.ints(40), 1)];
      if (!s.bool(60))
        return [
          ...rest,
          s.int(1),
          ...windows(s, [height, width], kernel, stride, dilation, { valid: 50, same: 51, ceil: false }),
        ];
      const given = s.ints(100);
      if (given.length === 2) return [...rest, s.int(1), ...given];
      if (s.has(51)) return [...rest, s.int(1), height * stride[0], width * stride[1]];
      const borders = s.message(50)?.message(1)?.messages(10) ?? [];
      const grown = [height, width].map(
        (size, i) =>
          (size - 1) * stride[i]! +
          dilation[i]! * (kernel[i]! - 1) +
          1 -
          (borders[i]?.int(1) ?? 0) -
          (borders[i]?.int(2) ?? 0),
      );
      return [...rest, s.int(1), ...grown];
    }
    case 'pooling': {
      if (s.bool(60)) return [...rest, channels, 1, 1];
      const includeLast = s.message(32);
      if (includeLast) {
        const pads = includeLast.ints(10);
        const [kernel, stride] = [pair(s.ints(10), 3), pair(s.ints(20), 1)];
        const counted = (size: number, i: number): number =>
          windowCount(size, { kernel: kernel[i]!, stride: stride[i]!, pad: 2 * (pads[i] ?? 0) }, true);
        return [...rest, channels, counted(height, 0), counted(width, 1)];
      }
      return [
        ...rest,
        channels,
        ...windows(s, [height, width], pair(s.ints(10), 3), pair(s.ints(20), 1), [1, 1], {
          valid: 30,
          same: 31,
          ceil: false,
        }),
      ];
    }
    case 'innerProduct':
      return input.length === 1
        ? [s.int(2)]
        : input.length === 3
          ? [s.int(2), 1, 1]
          : [...input.slice(0, -1), s.int(2)];
    case 'flatten':
      return [...rest, channels * height * width, 1, 1];
    case 'reshape':
      return s.ints(1);
    case 'concat':
      return concatenated(inputs, input.length >= 3 ? -3 : 0);
    case 'concatND':
      return concatenated(inputs, s.int(1));
    case 'upsample': {
      const [byHeight, byWidth] = pair(s.ints(1), 1);
      return [...rest, channels, height * byHeight, width * byWidth];
    }
    case 'padding': {
      const borders = s.message(10)?.messages(10) ?? [];
      const grown = (size: number, i: number): number => size + (borders[i]?.int(1) ?? 0) + (borders[i]?.int(2) ?? 0);
      return [...rest, channels, grown(height, 0), grown(width, 1)];
    }
    case 'add':
    case 'multiply':
    case 'average':
    case 'max':
    case 'min':
    case 'addBroadcastable':
    case 'multiplyBroadcastable':
    case 'subtractBroadcastable':
    case 'divideBroadcastable':
      return inputs.reduce<Shape | undefined>((shape, next) => shape && broadcast(shape, next), input);
    case 'activation':
    case 'batchnorm':
    case 'softmax':
    case 'softmaxND':
    case 'scale':
    case 'bias':
    case 'lrn':
    case 'mvn':
    case 'l2normalize':
    case 'unary':
    case 'copy':
    case 'clip':
    case 'clampedReLU':
    case 'gelu':
    case 'tanh':
    case 'layerNormalization':
      return input;
    default:
      return undefined;
  }
}
