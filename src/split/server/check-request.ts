/** @file A request checked against a model's card: what reaches the queue fits the model. */
import { formatShape, type DataType } from '../../ir/index.js';
// The same rules for exits and thresholds as where a design runs on the device.
import { checkDesign } from '../../exits/design.js';
import { instantiatedExits } from '../../exits/rates.js';
import type { InferRequest, NamedTensor } from '../oip/messages.js';
import { FRAME_INPUT, type SplitParameters } from '../oip/split-request.js';
import { OipError } from '../oip/status.js';
import { decodeFrame, type FrameLimits } from '../packing/index.js';
import { elementBytes, toPlain, type PlainTensors, type Work } from './engine.js';
import type { CardTensor, ModelCard, SplitCard } from './model-card.js';

/** A request as the queue takes it. */
export interface CheckedRequest {
  readonly work: Work;
  /** Requests of equal groups may run together. */
  readonly group: string;
  /** Kind of work: what it costs depends on this and on the samples. */
  readonly kind: string;
  readonly samples: number;
  readonly batches: boolean;
}

export interface RequestLimits extends Partial<FrameLimits> {
  /** Samples of one request, where the model has a batch axis. */
  readonly samples: number;
}

/** What a check needs to know of a tensor. */
interface Given {
  readonly name: string;
  readonly dtype: DataType;
  readonly dims: readonly number[];
}

/**
 * The work that a request asks for. Throws OipError: 'invalid' for tensors that do not fit, a wrong cut, another model's
 * digest or too many samples; 'unsupported' where the model cannot be split; and FrameError, InvalidDesignError.
 */
export function checkRequest(
  card: ModelCard,
  request: InferRequest,
  split: SplitParameters,
  limits: RequestLimits,
): CheckedRequest {
  if (split.model !== undefined && split.model !== card.digest)
    throw new OipError(
      'invalid',
      `model '${request.model}' is another one here: its digest is ${card.digest.slice(0, 16)}…, not ${split.model.slice(0, 16)}…`,
      { hint: 'Give device and server the same model file.' },
    );
  return split.cut === undefined ? checkWhole(card, request, limits) : checkTail(card, request, split, limits);
}

function checkWhole(card: ModelCard, request: InferRequest, limits: RequestLimits): CheckedRequest {
  const given = request.inputs.map(({ name, tensor: { dtype, dims } }) => ({ name, dtype, dims }));
  const samples = checkTensors(card.inputs, given, 'the model', limits);
  const outputs = request.outputs.map(({ name }) => name);
  const unknown = outputs.find((name) => !card.outputs.some((output) => output.name === name));
  if (unknown !== undefined)
    throw new OipError('invalid', `the model has no output '${unknown.slice(0, 128)}'`, {
      hint: `It has: ${card.outputs.map(({ name }) => name).join(', ')}.`,
    });
  return {
    work: { kind: 'whole', inputs: plain(request.inputs), outputs },
    group: JSON.stringify(['whole', outputs, shapesOf(card.inputs, given)]),
    kind: 'whole',
    samples,
    batches: card.batches,
  };
}

function checkTail(
  card: ModelCard,
  request: InferRequest,
  { cut = 0, framed, design }: SplitParameters,
  limits: RequestLimits,
): CheckedRequest {
  const { split } = card;
  if (split === undefined)
    throw new OipError('unsupported', `model '${request.model}' cannot be split: ${card.unsplit ?? ''}`);
  const frontier = split.cuts[cut];
  if (frontier === undefined || frontier.length === 0)
    throw new OipError('invalid', `cut ${cut} is not one of 0 to ${split.cuts.length - 2}, where a server can go on`);
  checkExits(split, cut, design);
  const frame = framed === true ? frameOf(request.inputs) : undefined;
  const given = frame
    ? decodeFrame(frame, limits)
    : request.inputs.map(({ name, tensor: { dtype, dims } }) => ({ name, dtype, dims }));
  const samples = checkTensors(frontier, given, `cut ${cut}`, limits);
  return {
    work: { kind: 'tail', cut, design, frame, inputs: frame ? {} : plain(request.inputs) },
    group: JSON.stringify(['tail', cut, framed, design ?? null, shapesOf(frontier, given)]),
    kind: `tail ${cut} ${(design?.exits ?? []).join()} ${JSON.stringify(design?.policy.thresholds ?? null)}${design?.truncated === true ? ' alone' : ''}`,
    samples,
    batches: frontier.every(({ batchAxis }) => batchAxis !== undefined),
  };
}

/** Throws unless a design names exits of this network, at least one of them behind the cut. */
function checkExits(split: SplitCard, cut: number, design: SplitParameters['design']): void {
  if (design !== undefined) checkDesign(design, split.final.exit);
  const positions = new Map([...split.exits, split.final].map(({ exit, position }) => [exit, position]));
  const visited = design === undefined ? [split.final.exit] : instantiatedExits(design, split.final.exit);
  const unknown = visited.find((exit) => !positions.has(exit));
  if (unknown !== undefined) throw new OipError('invalid', `exit ${unknown} does not take part in this network`);
  if (!visited.some((exit) => positions.get(exit)! > cut))
    throw new OipError('invalid', `no exit lies behind cut ${cut}: there is nothing left to compute`);
}

function frameOf(inputs: readonly NamedTensor[]): Uint8Array {
  const [only] = inputs;
  if (
    inputs.length !== 1 ||
    only?.name !== FRAME_INPUT ||
    only.tensor.dtype !== 'uint8' ||
    only.tensor.dims.length !== 1
  )
    throw new OipError('invalid', `a packed request has exactly one input, '${FRAME_INPUT}', UINT8 [bytes]`);
  return only.tensor.bytes;
}

/** Checks names, types and shapes; returns how many samples there are (1 where the model has no batch axis). */
function checkTensors(
  wanted: readonly CardTensor[],
  given: readonly Given[],
  what: string,
  limits: RequestLimits,
): number {
  const byName = new Map(given.map((tensor) => [tensor.name, tensor]));
  if (byName.size !== given.length) throw new OipError('invalid', 'two input tensors have the same name');
  const extra = given.find(({ name }) => !wanted.some((tensor) => tensor.name === name));
  const hint = `${what} takes: ${wanted.map(({ name }) => name).join(', ')}.`.replace(/^./, (c) => c.toUpperCase());
  if (extra !== undefined)
    throw new OipError('invalid', `${what} takes no tensor '${extra.name.slice(0, 128)}'`, { hint });
  let samples: number | undefined;
  const symbols = new Map<string, number>();
  let bytes = 0;
  for (const { name, dtype, shape, batchAxis } of wanted) {
    const tensor = byName.get(name);
    if (tensor === undefined) throw new OipError('invalid', `tensor '${name}' is missing`, { hint });
    const is = `${tensor.dtype}${formatShape(tensor.dims)}`;
    const refuse = (): never => {
      throw new OipError('invalid', `tensor '${name}' is ${is}, but ${what} takes ${dtype}${formatShape(shape)}`);
    };
    if (tensor.dtype !== dtype) refuse();
    if (shape !== undefined) {
      if (shape.length !== tensor.dims.length) refuse();
      shape.forEach((dim, axis) => {
        const size = tensor.dims[axis]!;
        // Expressions of symbols are left to the runtime; a symbol has one size all over.
        if (typeof dim === 'number' && dim !== size) refuse();
        if (typeof dim === 'string' && /^[A-Za-z_]\w*$/.test(dim)) {
          if ((symbols.get(dim) ?? size) !== size) refuse();
          symbols.set(dim, size);
        }
      });
    }
    bytes += tensor.dims.reduce((size, dim) => size * dim, elementBytes(dtype));
    if (batchAxis !== undefined) samples ??= tensor.dims[batchAxis];
  }
  if (samples === 0) throw new OipError('invalid', 'the batch is empty');
  if (samples !== undefined && samples > limits.samples)
    throw new OipError('invalid', `a batch of ${samples} is larger than this server's limit of ${limits.samples}`, {
      hint: 'Send several requests; the server puts them together as it can.',
    });
  if (bytes > (limits.unpackedBytes ?? Infinity))
    throw new OipError('too-large', `its tensors take ${bytes} bytes, more than the limit of ${limits.unpackedBytes}`);
  return samples ?? 1;
}

/** Shapes without the batch axis: what must be equal for requests to run together. */
function shapesOf(wanted: readonly CardTensor[], given: readonly Given[]): readonly unknown[] {
  const byName = new Map(given.map((tensor) => [tensor.name, tensor.dims]));
  return wanted.map(({ name, batchAxis }) => byName.get(name)!.map((dim, axis) => (axis === batchAxis ? -1 : dim)));
}

function plain(inputs: readonly NamedTensor[]): PlainTensors {
  return Object.fromEntries(inputs.map(({ name, tensor }) => [name, toPlain(tensor)]));
}
