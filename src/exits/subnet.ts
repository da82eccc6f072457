/** @file Inference mode "subnet": one exit deployed as a plain network of its own. */
import type { Model } from '../ir/index.js';
import type { Progressive } from './progressive.js';
import { stagesOf } from './stages.js';

/**
 * The network that ends at one exit (the number of early exits for the final one): what that exit needs and nothing else, any
 * batch size, one output with its logits, [batch, classes]. No policy takes part. Throws InvalidDesignError where there is no
 * such exit.
 */
export function subnetOf(progressive: Progressive, exit: number): Model {
  const final = exit === progressive.info.exits.length;
  return stagesOf(progressive, final ? { exits: [] } : { exits: [exit], truncated: true })[0]!.model;
}
