/** @file Tails: the server halves of a network as ordinary models that unpack by themselves, for any inference server. */
import { CuttleError, type Model, type Value } from '../ir/index.js';
import { inferShapes, upgradeOpset } from '../passes/index.js';
import { CutError, frontierBytes } from './cuts.js';
import { openSplitNetwork, type SplitNetwork } from './network.js';
import { modelConfig, type ConfigTensor } from './oip/model-config.js';
import { unpackInputs, type GraphPacking } from './packing/index.js';

/** Packing inside a graph needs this operator set at least. */
const PACKING_OPSET = 13;

/** A value of a model that is no tensor, which no inference protocol carries. Exit code 4. */
export class NotATensorError extends CuttleError {
  constructor(name: string) {
    super('unsupported', 'split/not-a-tensor', `'${name}' is no tensor, or its type is not known`, {
      hint: 'Only tensors can be sent to an inference server.',
    });
  }
}

export interface TailsOptions extends GraphPacking {
  /** Name of the whole network; tails are named NAME.cutK. */
  readonly name: string;
  /** Which cuts; `cheapCuts` where omitted. */
  readonly cuts?: readonly number[];
}

/** A model of a repository. */
export interface RepositoryModel {
  readonly name: string;
  /** Undefined for the whole network. */
  readonly cut: number | undefined;
  readonly model: Model;
  /** Text of its `config.pbtxt`. */
  readonly config: string;
}

/**
 * The cuts that send fewer bytes than every earlier one, the first among them: later ones cost the device more and the
 * link no less.
 */
export function cheapCuts(network: SplitNetwork): readonly number[] {
  const { cuts, types } = network.cuts;
  const batch = new Set<string>();
  for (const name of cuts[0]?.frontier ?? []) {
    const type = types.get(name);
    if (type?.kind === 'tensor')
      for (const dim of type.shape ?? []) if (typeof dim === 'string' && /^[A-Za-z_]\w*$/.test(dim)) batch.add(dim);
  }
  const bytes = frontierBytes(network.cuts, Object.fromEntries([...batch].map((symbol) => [symbol, 1])));
  const cheap: number[] = [];
  let least = Infinity;
  for (const { index, frontier } of cuts) {
    if (frontier.length === 0 || index >= network.final.position || !(bytes[index]! < least)) continue;
    least = bytes[index]!;
    cheap.push(index);
  }
  return cheap;
}

/**
 * A network and its tails as models of a repository. A tail takes the tensors that cross its cut in the packed form of
 * `unpackInputs` and gives the network's own outputs, its logits among them; early exits are left out, as no plain server
 * tests them. Models below opset 13 are raised to it. Throws CutError for cuts with nothing to send or nothing left to
 * compute, PackingError, NotATensorError, OipError 'unsupported' for types that the protocol cannot carry, and what
 * `openSplitNetwork` throws.
 */
export function exportTails(model: Model, options: TailsOptions): readonly RepositoryModel[] {
  const { name, bits, layout } = options;
  const network = openSplitNetwork(model);
  const { cuts } = network.cuts;
  const last = cuts.length - 1;
  const whole = network.cuts.model;
  return [
    { name, cut: undefined, model: whole, config: configOf(name, whole, {}) },
    ...(options.cuts ?? cheapCuts(network)).map((cut): RepositoryModel => {
      if (cuts[cut] === undefined || cuts[cut].frontier.length === 0 || cut >= network.final.position)
        throw new CutError(`a server has nothing to do behind cut ${cut}`, `Give cuts of 0 to ${last - 1}.`);
      const part = network.segment(cut, last, []);
      const raised = (part.opsets.get('') ?? 0) < PACKING_OPSET ? upgradeOpset(part, PACKING_OPSET).model : part;
      const tail = unpackInputs(raised, { bits, layout });
      const called = `${name}.cut${cut}`;
      const parameters = { cuttle_cut: String(cut), cuttle_bits: String(bits), cuttle_layout: layout };
      return { name: called, cut, model: tail, config: configOf(called, tail, parameters) };
    }),
  ];
}

function configOf(name: string, model: Model, parameters: Readonly<Record<string, string>>): string {
  const { graph } = model;
  const { types } = inferShapes(model, { unknownOps: 'skip' });
  const tensor = ({ name: value, type }: Value): ConfigTensor => {
    const known = types.get(value) ?? type;
    if (known?.kind !== 'tensor') throw new NotATensorError(value);
    return { name: value, type: known };
  };
  const inputs = graph.inputs.filter((input) => !graph.initializers.has(input.name));
  return modelConfig({ name, inputs: inputs.map(tensor), outputs: graph.outputs.map(tensor), parameters });
}
