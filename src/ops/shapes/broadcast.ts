/** @file Numpy-style broadcasting of shapes. */
import type { Dim, Node, Shape } from '../../ir/index.js';
import { ShapeError } from '../errors.js';

/** The shape that several shapes broadcast to. `undefined` where any rank is unknown. Throws ShapeError on a clash. */
export function broadcastShapes(node: Node, shapes: readonly (Shape | undefined)[]): Shape | undefined {
  let result: Dim[] = [];
  for (const shape of shapes) {
    if (shape === undefined) return undefined;
    const rank = Math.max(result.length, shape.length);
    result = Array.from({ length: rank }, (_, axis) =>
      broadcastDim(
        node,
        result[axis - rank + result.length] ?? one(result, axis, rank),
        shape[axis - rank + shape.length] ?? one(shape, axis, rank),
      ),
    );
  }
  return result;
}

/** A missing leading dim counts as 1, an unknown one (`null`) stays unknown. */
const one = (shape: Shape, axis: number, rank: number): Dim => (axis < rank - shape.length ? 1 : null);

function broadcastDim(node: Node, a: Dim, b: Dim): Dim {
  if (a === b) return a;
  if (a === 1) return b;
  if (b === 1) return a;
  if (typeof a === 'number' && typeof b === 'number') throw new ShapeError(node, `dims ${a} and ${b} do not broadcast`);
  // A symbol against a number above 1 must equal that number (or be 1) in any run that succeeds.
  if (typeof a === 'number') return a;
  if (typeof b === 'number') return b;
  return null;
}
