/** @file Shape rules of operators that work element by element. */
import { tensorType, type ValueType } from '../../ir/index.js';
import type { InferRule } from '../record.js';
import { broadcastShapes } from './broadcast.js';

const shapeOf = (type: ValueType | undefined) => (type?.kind === 'tensor' ? type.shape : undefined);

/** Output equals the first input in type and shape. */
const unary: InferRule = ({ inputs }) => ({ types: [inputs[0]] });

/** Inputs broadcast; the output has their element type. */
const broadcast: InferRule = ({ node, inputs }) => {
  const first = inputs.find((input) => input?.kind === 'tensor');
  if (first?.kind !== 'tensor') return { types: [undefined] };
  return { types: [tensorType(first.dtype, broadcastShapes(node, inputs.map(shapeOf)))] };
};

export const elementwiseShapes: Readonly<Record<string, InferRule>> = {
  Identity: unary,
  Relu: unary,
  Add: broadcast,
  Mul: broadcast,
};
