/** @file Shape rules of sequences and optionals. */
import { dataTypeOfCode, graphOf, intOf, tensorType, type Dim, type Node, type ValueType } from '../../ir/index.js';
import { ShapeError } from '../errors.js';
import type { InferRule } from '../record.js';
import { axisOf, commonType, dtypeOf, hasInput, numbersAt, shapeOf, single, typed, type RuleTable } from './support.js';

const sequenceOf = (element: ValueType | undefined): ValueType => ({ kind: 'sequence', element });

const elementOf = (type: ValueType | undefined): ValueType | undefined => {
  if (type?.kind === 'optional') return elementOf(type.element);
  return type?.kind === 'sequence' ? type.element : undefined;
};

/** SequenceConstruct-11: what all elements have in common. */
const construct: InferRule = ({ inputs }) => ({
  types: [sequenceOf(inputs.reduce((common, input) => commonType(common, input)))],
});

/** SequenceInsert-11: an empty sequence takes the new element's type. */
const insert: InferRule = ({ inputs }) => {
  const known = elementOf(inputs[0]);
  const fresh = inputs[1];
  const empty =
    known === undefined || (known.kind === 'tensor' && known.shape === undefined && dtypeOf(fresh) === known.dtype);
  return { types: [sequenceOf(empty ? (known ?? fresh) : commonType(known, fresh))] };
};

/** ConcatFromSequence-11: the axis adds up over elements, whose number is known only at run time. */
const concatFromSequence: InferRule = ({ node, inputs, symbol }) => {
  const element = elementOf(inputs[0]);
  const shape = shapeOf(element);
  const fresh = intOf(node, 'new_axis', 0) === 1;
  const given = intOf(node, 'axis', undefined);
  if (given === undefined) throw new ShapeError(node, "attribute 'axis' is missing");
  if (shape === undefined) return single(dtypeOf(element), undefined);
  const axis = axisOf(node, given, shape.length + (fresh ? 1 : 0));
  return single(dtypeOf(element), shape.toSpliced(axis, fresh ? 0 : 1, symbol('joined')));
};

/** SplitToSequence-11: parts of equal size along an axis; sizes that differ, or leave a rest, are unknown. */
const splitToSequence: InferRule = (context) => {
  const { node, inputs } = context;
  const x = shapeOf(inputs[0]);
  const dtype = dtypeOf(inputs[0]);
  if (x === undefined) return { types: [sequenceOf(typed(dtype, undefined))] };
  const axis = axisOf(node, intOf(node, 'axis', 0), x.length);
  const sizes = hasInput(node, 1) ? numbersAt(context, 1) : [1];
  const scalar = !hasInput(node, 1) || shapeOf(inputs[1])?.length === 0;
  const dim = x[axis]!;
  const first = sizes?.[0];
  let size: Dim = null;
  if (sizes && first !== undefined) {
    if (!scalar) size = sizes.every((other) => other === first) ? first : null;
    else if (typeof dim === 'number' ? dim % first === 0 : first === 1) size = first;
  }
  const drop = !hasInput(node, 1) && intOf(node, 'keepdims', 1) === 0;
  return { types: [sequenceOf(typed(dtype, drop ? x.toSpliced(axis, 1) : x.with(axis, size)))] };
};

/** SequenceMap-17: the body's outputs, one sequence each. Sequence inputs are taken apart, tensors passed whole. */
const sequenceMap: InferRule = ({ node, inputs, subgraph }) => {
  const body = graphOf(node, 'body');
  if (body === undefined) throw new ShapeError(node, "attribute 'body' is missing");
  const outputs = subgraph(
    body,
    inputs.map((input) => (input?.kind === 'sequence' ? input.element : input)),
  );
  return { types: outputs.map(sequenceOf) };
};

const typeOf = (node: Node): ValueType | undefined => {
  const attribute = node.attributes.get('type');
  return attribute?.type === 'type' ? attribute.value : undefined;
};

/** Optional-15: an empty one states its type as an attribute. */
const optional: InferRule = ({ node, inputs }) => ({
  types: [{ kind: 'optional', element: inputs[0] ?? typeOf(node) }],
});

/** OptionalGetElement-15 … 18: a value that is no optional passes through. */
const optionalGet: InferRule = ({ inputs: [input] }) => ({
  types: [input?.kind === 'optional' ? input.element : input],
});

export const sequenceShapes: RuleTable = {
  SequenceConstruct: construct,
  SequenceEmpty: ({ node }) => ({
    types: [sequenceOf(tensorType(dataTypeOfCode(intOf(node, 'dtype', 1)) ?? 'float32', undefined))],
  }),
  SequenceInsert: insert,
  SequenceErase: ({ inputs }) => ({ types: [inputs[0]] }),
  SequenceAt: ({ inputs }) => ({ types: [elementOf(inputs[0])] }),
  SequenceLength: () => single('int64', []),
  ConcatFromSequence: concatFromSequence,
  SplitToSequence: splitToSequence,
  SequenceMap: sequenceMap,
  Optional: optional,
  OptionalGetElement: optionalGet,
  OptionalHasElement: () => single('bool', []),
};
