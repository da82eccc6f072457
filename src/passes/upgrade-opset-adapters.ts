/** @file How each operator changed between opsets 7 and 21, as a table: an adapter, or "compatible". */
import {
  dataTypes,
  floatOf,
  intOf,
  intsOf,
  string,
  stringOf,
  int,
  Tensor,
  type Attribute,
  type Node,
} from '../ir/index.js';
import {
  changed,
  floatConstant,
  helper,
  OpsetUpgradeError,
  type Adapter,
  type AdapterContext,
} from './upgrade-opset-context.js';

/** An integer-list attribute that becomes an input at position `at`; an absent or empty one leaves the input out. */
const intsToInput =
  (attribute: string, at: number): Adapter =>
  (node, context) => {
    const values = intsOf(node, attribute, undefined);
    if (values === undefined || values.length === 0) return [changed(node, {}, { drop: [attribute] })];
    const inputs = padded(node.inputs, at);
    inputs[at] = context.constant(`${node.name}_${attribute}`, Tensor.int64s(values));
    return [changed(node, { inputs }, { drop: [attribute] })];
  };

const refused =
  (why: string): Adapter =>
  (node, context) => {
    throw new OpsetUpgradeError(node, context.version, why);
  };

/** Clip-6 → 11: bounds become inputs; the defaults, the largest float32 values, mean no bound. */
const clip: Adapter = (node, context) => {
  const bound = (name: string): string => {
    const value = floatOf(node, name, undefined);
    if (value === undefined) return '';
    const dtype = context.floatType(node, node.inputs[0]!);
    return context.constant(`${node.name}_${name}`, floatConstant(dtype, value));
  };
  return [changed(node, { inputs: [node.inputs[0]!, bound('min'), bound('max')] }, { drop: ['min', 'max'] })];
};

/** Pad-2 → 11: pads and value become inputs. */
const pad: Adapter = (node, context) => {
  const value = stringOf(node, 'mode', 'constant') === 'constant' ? floatOf(node, 'value', 0) : 0;
  const pads = context.constant(`${node.name}_pads`, Tensor.int64s(intsOf(node, 'pads', [])));
  const filler =
    value === 0
      ? ''
      : context.constant(`${node.name}_value`, floatConstant(context.floatType(node, node.inputs[0]!), value));
  return [changed(node, { inputs: [node.inputs[0]!, pads, filler] }, { drop: ['pads', 'value'] })];
};

/** Slice-1 → 10: starts, ends and axes become inputs. */
const slice: Adapter = (node, context) => {
  const input = (name: string): string => {
    const attribute = node.attributes.get(name);
    // Read as bigint: the ends of open slices are INT64_MAX, which a number cannot hold.
    if (attribute?.type !== 'ints') return '';
    const values = Tensor.of('int64', [attribute.value.length], BigInt64Array.from(attribute.value));
    return context.constant(`${node.name}_${name}`, values);
  };
  const inputs = [node.inputs[0]!, input('starts'), input('ends'), input('axes')];
  return [changed(node, { inputs }, { drop: ['starts', 'ends', 'axes'] })];
};

/** Dropout-7 → 10: the mask, until now of the data's type, is bool. */
const dropoutMask: Adapter = (node, context) => {
  const mask = node.outputs[1] ?? '';
  if (mask === '') return [node];
  const raw = context.fresh(`${mask}_bool`);
  const { code } = dataTypes[context.floatType(node, node.inputs[0]!)];
  return [
    changed(node, { outputs: [node.outputs[0]!, raw] }),
    helper(node, context, 'Cast', [raw], { to: code }, mask),
  ];
};

/** Dropout-10 → 12: the ratio becomes an input. Without the third input it stays the inference form. */
const dropoutRatio: Adapter = (node, context) => {
  const ratio = context.constant(`${node.name}_ratio`, Tensor.scalar('float32', floatOf(node, 'ratio', 0.5)));
  return [changed(node, { inputs: [node.inputs[0]!, ratio] }, { drop: ['ratio'] })];
};

/** Softmax, LogSoftmax and Hardmax-11 → 13: they worked on the input flattened to a matrix, now along one axis. */
const alongFlattened: Adapter = (node, context) => {
  const axis = intOf(node, 'axis', 1);
  const rank = context.type(node.inputs[0]!)?.shape?.length;
  if (rank !== undefined && (axis < 0 ? axis + rank : axis) === rank - 1)
    return [changed(node, {}, { set: { axis: int(-1) } })];
  const shape = helper(node, context, 'Shape', [node.inputs[0]!]);
  const flat = helper(node, context, 'Flatten', [node.inputs[0]!], { axis });
  const result = context.fresh(`${node.outputs[0]!}_flat`);
  return [
    shape,
    flat,
    changed(node, { inputs: [flat.outputs[0]!], outputs: [result] }, { set: { axis: int(-1) } }),
    helper(node, context, 'Reshape', [result, shape.outputs[0]!], {}, node.outputs[0]),
  ];
};

/** TopK-1 → 10: k becomes an input. */
const topK: Adapter = (node, context) => {
  const k = context.constant(`${node.name}_k`, Tensor.int64s([intOf(node, 'k', 0)]));
  return [changed(node, { inputs: [node.inputs[0]!, k] }, { drop: ['k'] })];
};

/** Upsample-7 → 9: scales become an input. */
const upsampleScales: Adapter = (node, context) => {
  const scales = node.attributes.get('scales');
  const values = scales?.type === 'floats' ? scales.value : [];
  const input = context.constant(`${node.name}_scales`, Tensor.floats(values));
  return [changed(node, { inputs: [node.inputs[0]!, input] }, { drop: ['scales'] })];
};

/** Upsample-9 → Resize-10; where the upgrade goes on, the next adapter does it, knowing that the operator enlarges. */
const upsampleToResize: Adapter = (node, context) =>
  context.target === context.version ? [changed(node, { op: 'Resize' })] : [node];

/** Upsample-9 → Resize-11. Its scales are at least 1, so that the neighbour taken is the lower one. */
const upsampleForms: Adapter = (node, context) => [
  withForms(node, context, stringOf(node, 'mode', 'nearest') === 'nearest' ? 'floor' : undefined),
];

/**
 * Resize-10 → 11: the operator had one way to place samples, which is now called asymmetric. Which neighbour it took
 * was not specified; ONNX Runtime takes the lower one where it enlarges and the upper one where it shrinks.
 */
const resizeForms: Adapter = (node, context) => {
  const scales = context.constantOf(node.inputs[1] ?? '')?.numbers();
  const nearest = stringOf(node, 'mode', 'nearest') === 'nearest';
  const shrinks = scales?.some((scale) => scale < 1) ?? false;
  if (nearest && scales === undefined)
    throw new OpsetUpgradeError(node, context.version, 'its scales are not constant, so that its rounding is unknown');
  if (nearest && shrinks && scales!.some((scale) => scale > 1))
    throw new OpsetUpgradeError(node, context.version, 'it enlarges one axis and shrinks another');
  return [withForms(node, context, nearest ? (shrinks ? 'ceil' : 'floor') : undefined)];
};

/** A Resize-11 that works as Resize-10 did. */
function withForms(node: Node, context: AdapterContext, rounding: string | undefined): Node {
  const roi = context.constant(`${node.name}_roi`, Tensor.floats([]));
  const set: Record<string, Attribute> = { coordinate_transformation_mode: string('asymmetric') };
  if (rounding !== undefined) set['nearest_mode'] = string(rounding);
  return changed(node, { op: 'Resize', inputs: [node.inputs[0]!, roi, node.inputs[1]!] }, { set });
}

/** Resize-11 → 13: inputs that were empty tensors, for want of being optional, are left out. */
const resizeOptional: Adapter = (node, context) => {
  if (stringOf(node, 'coordinate_transformation_mode', 'half_pixel') === 'tf_half_pixel_for_nn')
    throw new OpsetUpgradeError(node, context.version, "the mode 'tf_half_pixel_for_nn' was removed");
  const crops = stringOf(node, 'coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize';
  const inputs = node.inputs.map((input, index) => {
    const isEmpty = context.constantOf(input)?.size === 0;
    return (index === 1 && !crops && isEmpty) || (index === 2 && isEmpty) ? '' : input;
  });
  return [changed(node, { inputs })];
};

/** Scatter-9 → ScatterElements-11. */
const scatter: Adapter = (node) => [changed(node, { op: 'ScatterElements' })];

/** BatchNormalization-7 → 9: `spatial` is gone. */
const batchNormSpatial: Adapter = (node, context) => {
  if (intOf(node, 'spatial', 1) === 0)
    throw new OpsetUpgradeError(node, context.version, 'it normalises each position by itself (spatial = 0)');
  return [changed(node, {}, { drop: ['spatial'] })];
};

/** BatchNormalization-9 → 14: the training form, until now told by its outputs, has other outputs. */
const batchNormTraining: Adapter = (node, context) => {
  if (node.outputs.slice(1).some((output) => output !== ''))
    throw new OpsetUpgradeError(node, context.version, 'its training form had outputs that no longer exist');
  return [changed(node, { outputs: node.outputs.slice(0, 1) })];
};

/** RoiAlign-10 → 16: the former placement of samples has a name and is no longer the default. */
const roiAlign: Adapter = (node) => [
  changed(node, {}, { set: { coordinate_transformation_mode: string('output_half_pixel') } }),
];

/** Split-13 → 18: without sizes the number of parts is stated. */
const splitCount: Adapter = (node) =>
  node.inputs[1] ? [node] : [changed(node, {}, { set: { num_outputs: int(node.outputs.length) } })];

/** GridSample-16 → 20: modes have other names. */
const gridSample: Adapter = (node) => {
  const mode = stringOf(node, 'mode', 'bilinear');
  const names: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };
  return [changed(node, {}, { set: { mode: string(names[mode] ?? mode) } })];
};

/** DFT-17 → 20: the axis becomes an input, with another default. */
const dft: Adapter = (node, context) => {
  const axis = context.constant(`${node.name}_axis`, Tensor.scalar('int64', intOf(node, 'axis', 1)));
  return [changed(node, { inputs: [node.inputs[0]!, node.inputs[1] ?? '', axis] }, { drop: ['axis'] })];
};

/** GroupNormalization-18 → 21: one scale and bias per channel instead of per group. */
const groupNorm: Adapter = (node, context) => {
  const int64 = (stem: string, values: readonly number[]): string =>
    context.constant(`${node.name}_${stem}`, Tensor.int64s(values));
  const groups = intOf(node, 'num_groups', 1);
  const channels = helper(node, context, 'Shape', [node.inputs[0]!], { start: 1, end: 2 });
  const perGroup = helper(node, context, 'Div', [channels.outputs[0]!, int64('groups', [groups])]);
  const shape = helper(node, context, 'Concat', [int64('one', [1]), perGroup.outputs[0]!], { axis: 0 });
  const nodes: Node[] = [channels, perGroup, shape];
  const repeat = (value: string): string => {
    const column = helper(node, context, 'Reshape', [value, int64('column', [-1, 1])]);
    const wide = helper(node, context, 'Expand', [column.outputs[0]!, shape.outputs[0]!]);
    const flat = helper(node, context, 'Reshape', [wide.outputs[0]!, int64('flat', [-1])]);
    nodes.push(column, wide, flat);
    return flat.outputs[0]!;
  };
  const inputs = [node.inputs[0]!, repeat(node.inputs[1]!), repeat(node.inputs[2]!)];
  return [...nodes, changed(node, { inputs })];
};

function padded(inputs: readonly string[], length: number): string[] {
  return [...inputs, ...new Array<string>(Math.max(0, length - inputs.length)).fill('')];
}

/** Operator → version → what brings a node from the version before to this one. */
export const adapters: Readonly<Record<string, Readonly<Record<number, Adapter>>>> = {
  BatchNormalization: { 9: batchNormSpatial, 14: batchNormTraining },
  Clip: { 11: clip },
  DFT: { 20: dft },
  Dropout: { 10: dropoutMask, 12: dropoutRatio },
  GridSample: { 20: gridSample },
  GroupNormalization: { 21: groupNorm },
  Hardmax: { 13: alongFlattened },
  LogSoftmax: { 13: alongFlattened },
  Pad: { 11: pad },
  ReduceL1: { 18: intsToInput('axes', 1) },
  ReduceL2: { 18: intsToInput('axes', 1) },
  ReduceLogSum: { 18: intsToInput('axes', 1) },
  ReduceLogSumExp: { 18: intsToInput('axes', 1) },
  ReduceMax: { 18: intsToInput('axes', 1) },
  ReduceMean: { 18: intsToInput('axes', 1) },
  ReduceMin: { 18: intsToInput('axes', 1) },
  ReduceProd: { 18: intsToInput('axes', 1) },
  ReduceSum: { 13: intsToInput('axes', 1) },
  ReduceSumSquare: { 18: intsToInput('axes', 1) },
  Resize: { 11: resizeForms, 13: resizeOptional },
  RoiAlign: { 16: roiAlign },
  Scan: { 9: refused('it had a batch axis and sequence lengths before') },
  Scatter: { 11: scatter },
  Slice: { 10: slice },
  Softmax: { 13: alongFlattened },
  Split: { 13: intsToInput('split', 1), 18: splitCount },
  Squeeze: { 13: intsToInput('axes', 1) },
  TopK: { 10: topK },
  Unsqueeze: { 13: intsToInput('axes', 1) },
  Upsample: { 9: upsampleScales, 10: upsampleToResize, 11: upsampleForms },
};

/** True where the operator's change at this version needs work on its nodes. */
export function adapterFor(node: Node, version: number): Adapter | undefined {
  return node.domain === '' ? adapters[node.op]?.[version] : undefined;
}
