/** @file Refusals by name: which operator, where, what is missing, what to do next. */
import { CuttleError, type Node } from '../ir/index.js';

const opName = (node: Node): string => (node.domain === '' ? node.op : `${node.domain}.${node.op}`);

/** An operator, dtype or opset that Cuttle has no rule for. Exit code 4. */
export class UnsupportedOpError extends CuttleError {
  readonly op: string;
  readonly node: string;

  constructor(node: Node, opset: number, need: string, hint: string) {
    super(
      'unsupported',
      'ops/unsupported',
      `node '${node.name}': no ${need} for operator ${opName(node)} (opset ${opset})`,
      { hint },
    );
    this.op = opName(node);
    this.node = node.name;
  }
}

/** An operator whose gradient exists in general, but not for this use of it. Exit code 4. */
export class UnsupportedGradientError extends CuttleError {
  constructor(node: Node, why: string) {
    super(
      'unsupported',
      'ops/unsupported-gradient',
      `node '${node.name}' (${opName(node)}): its gradient cannot be formed: ${why}`,
      {
        hint: 'Freeze the parameters upstream of this node, or replace the node by operators listed with a gradient in docs/coverage.md.',
      },
    );
  }
}

/** Inputs whose types or shapes the operator does not allow. Exit code 3. */
export class ShapeError extends CuttleError {
  constructor(node: Node, why: string) {
    super('invalid', 'ops/shape', `node '${node.name}' (${opName(node)}): ${why}`);
  }
}
