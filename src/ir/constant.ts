/** @file The value of a Constant node, whichever of its attribute forms it uses. */
import { floatOf, floatsOf, intOf, intsOf, stringOf, stringsOf, tensorOf } from './attribute.js';
import type { Node } from './graph.js';
import { Tensor } from './tensor.js';

/** A Constant node's tensor (ONNX Constant-13), or `undefined` for its sparse form. */
export function constantTensor(node: Node): Tensor | undefined {
  const value = tensorOf(node, 'value');
  if (value) return value;
  const attribute = [...node.attributes.keys()].find((name) => name.startsWith('value_'));
  switch (attribute) {
    case 'value_float':
      return Tensor.scalar('float32', floatOf(node, attribute, 0));
    case 'value_floats':
      return Tensor.floats(floatsOf(node, attribute, []));
    case 'value_int':
      return Tensor.scalar('int64', intOf(node, attribute, 0));
    case 'value_ints':
      return Tensor.int64s(intsOf(node, attribute, []));
    case 'value_string':
      return Tensor.ofStrings([], [stringOf(node, attribute, '')]);
    case 'value_strings': {
      const strings = stringsOf(node, attribute, []);
      return Tensor.ofStrings([strings.length], strings);
    }
    default:
      return undefined;
  }
}
