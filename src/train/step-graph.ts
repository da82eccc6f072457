/** @file The step graph: forward, backward and update of one training step as one ONNX model. */
import {
  ancestorsOf,
  consumersOf,
  GraphBuilder,
  makeModel,
  readsOf,
  tensorType,
  Tensor,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type Shape,
  type Value,
} from '../ir/index.js';
import type { ExecutionProfile } from '../ops/index.js';
import { appendGradients, bindDims, inferShapes, type ChooseFormulation } from '../passes/index.js';
import { StepSpecError, UntrainableError } from './errors.js';
import { buildLoss, type LossContext, type LossTerm } from './losses.js';
import { optimizerOf, type OptimizerSpec } from './optimizers.js';
import { parametersOf, type Parameter } from './parameters.js';
import { prepareForTraining } from './prepare.js';
import { trainingForm, type DropoutMask, type TrainedNorm } from './training-form.js';

/** Settings of the parameters that `match` picks; the first group that matches a parameter holds. */
export interface ParameterGroup {
  readonly match: (parameter: Parameter) => boolean;
  readonly weightDecay?: number;
  /** Factor on the learning rate. */
  readonly learningRateScale?: number;
}

export interface StepSpec {
  readonly losses: readonly LossTerm[];
  readonly optimizer: OptimizerSpec;
  /** Which parameters train; all where omitted. The others stay constants of the graph. */
  readonly trains?: (parameter: Parameter) => boolean;
  readonly weightDecay?: number;
  /** Which parameters decay: `weights` (default) spares biases and normalisation layers. */
  readonly decays?: 'weights' | 'all';
  readonly groups?: readonly ParameterGroup[];
  /** Scales all gradients down where their common Euclidean norm exceeds this. */
  readonly clipNorm?: number;
  /** Keeps an exponential moving average of everything that training changes in the model. */
  readonly movingAverage?: boolean;
  /** BatchNormalization nodes in training form; those with a trainable scale or bias where omitted. */
  readonly trainsNorm?: (node: Node) => boolean;
  /** Lowering of the backward pass; `cpu` where omitted. */
  readonly profile?: ExecutionProfile;
  /** Decides between formulations of the backward pass; the profile's own preferences where omitted. */
  readonly choose?: ChooseFormulation;
  /**
   * Sizes of symbolic dims, such as `{ batch: 128 }`: every step then has these sizes, with fewer nodes and less memory. The trained
   * model keeps its symbols.
   */
  readonly dims?: Readonly<Record<string, number>>;
}

/**
 * `parameter` and `running` (BatchNormalization averages) belong to the model; `optimizer` and `average` (the moving
 * average) do not.
 */
export type StateRole = 'parameter' | 'running' | 'optimizer' | 'average';

/** A tensor that goes from each step to the next: fed as `input`, fetched as `output`. */
export interface StateSlot {
  readonly role: StateRole;
  /** Name of the constant in the source model that it is, or belongs to. */
  readonly of: string;
  readonly input: string;
  readonly output: string;
  readonly initial: Tensor;
}

export interface StepGraph {
  /** Forward + backward + update. */
  readonly model: Model;
  /** The model that is trained, in inference form, with its initial weights. */
  readonly source: Model;
  /** What the caller feeds with every batch: the model's inputs, labels, targets. */
  readonly feeds: readonly Value[];
  readonly state: readonly StateSlot[];
  readonly masks: readonly DropoutMask[];
  readonly optimizer: OptimizerSpec;
  /** Scalar inputs by the optimiser's names for them. */
  readonly scalars: ReadonlyMap<string, string>;
  /** Weight input of each loss term, by term name. */
  readonly lossWeights: ReadonlyMap<string, string>;
  /** Decay of the moving average: an input where there is one. */
  readonly averageDecay: string | undefined;
  readonly outputs: {
    readonly loss: string;
    /** Unweighted losses by term name. */
    readonly terms: ReadonlyMap<string, string>;
    /** Numbers of right predictions by term name. */
    readonly correct: ReadonlyMap<string, string>;
    /** Euclidean norm of all gradients before clipping; only with `clipNorm`. */
    readonly gradientNorm: string | undefined;
  };
}

/**
 * Builds the graph of one training step. Losses refer to values of `model` by name. Older opsets are upgraded first.
 * Contract: changes nothing of `model`; a parameter that does not train, and everything that no gradient needs, costs
 * nothing in the backward pass. Throws StepSpecError where the specification does not fit the model, UntrainableError
 * for parameters that are not float32, and what autodiff throws for operators without a gradient.
 */
export function buildStep(model: Model, spec: StepSpec): StepGraph {
  if (spec.losses.length === 0) throw new StepSpecError('there is no loss term', 'Give at least one.');
  const source = prepareForTraining(model);
  const all = parametersOf(source.graph);
  const chosen = all.filter(spec.trains ?? (() => true));
  for (const { name, value } of chosen)
    if (value.dtype !== 'float32')
      throw new UntrainableError(
        `parameter '${name}' is ${value.dtype}; only float32 can train`,
        'Convert the model to float32, or freeze this parameter.',
      );

  const sized = spec.dims === undefined ? source : bindDims(source, spec.dims).model;
  const forward = buildForward(sized, chosen, spec);
  const trained = chosen.filter(({ name }) => forward.gradients.get(name) !== undefined);
  if (trained.length === 0)
    throw new StepSpecError(
      'no trainable parameter has an influence on the loss',
      'Check which parameters are frozen and which values the loss terms read.',
    );
  return appendUpdates(source, withoutIdle(forward, chosen), trained, spec);
}

/** Parameters to which no gradient flows back (read behind a stopped gradient) are constants after all. */
function withoutIdle(forward: Forward, chosen: readonly Parameter[]): Forward {
  const idle = new Map(
    chosen.filter(({ name }) => forward.gradients.get(name) === undefined).map(({ name, value }) => [name, value]),
  );
  if (idle.size === 0) return forward;
  const { graph } = forward;
  const inputs = graph.inputs.filter(({ name }) => !idle.has(name));
  return { ...forward, graph: { ...graph, inputs, initializers: new Map([...graph.initializers, ...idle]) } };
}

interface Forward {
  readonly graph: Graph;
  readonly gradients: ReadonlyMap<string, string | undefined>;
  readonly loss: string;
  readonly terms: ReadonlyMap<string, string>;
  readonly correct: ReadonlyMap<string, string>;
  readonly lossWeights: ReadonlyMap<string, string>;
  readonly feeds: readonly Value[];
  readonly norms: readonly TrainedNorm[];
  readonly masks: readonly DropoutMask[];
  readonly shapeOf: (value: string) => Shape;
}

/** Forward pass in training form, the weighted loss and its gradients. */
function buildForward(source: Model, chosen: readonly Parameter[], spec: StepSpec): Forward {
  const { graph } = source;
  const trains = new Set(chosen.map(({ name }) => name));
  const b = GraphBuilder.beside(graph);
  const { types } = inferShapes(source);
  const shapeOf = (value: string): Shape => {
    const type = types.get(value);
    if (type?.kind === 'tensor' && type.shape !== undefined) return type.shape;
    throw new StepSpecError(
      `the model has no value '${value}' of known shape`,
      'Name a value of the model, such as one of its outputs.',
    );
  };
  const form = trainingForm(graph, b, {
    norm: spec.trainsNorm ?? ((node) => trains.has(node.inputs[1]!) || trains.has(node.inputs[2]!)),
    dropout: dropsOut(graph, trains),
    shapeOf,
  });

  const stopped = new Set<string>();
  const targets = new Map<string, Value>();
  const context: LossContext = {
    b,
    shapeOf,
    target(name, dtype, shape) {
      const known = targets.get(name);
      if (known === undefined) targets.set(name, { name: b.input(name, tensorType(dtype, shape)), type: undefined });
      return name;
    },
    stop(value) {
      const output = b.op('Identity', [value], {}, { name: 'stop_gradient' });
      stopped.add(output);
      return output;
    },
  };
  const terms = new Map<string, string>();
  const correct = new Map<string, string>();
  const lossWeights = new Map<string, string>();
  const weighted = spec.losses.map((term) => {
    if (terms.has(term.name)) throw new StepSpecError(`two loss terms are named '${term.name}'`, 'Rename one.');
    const built = buildLoss(term, context);
    terms.set(term.name, built.loss);
    if (built.correct !== undefined) correct.set(term.name, built.correct);
    const weight = b.freshInput(`loss_weight.${term.name}`, tensorType('float32', []));
    lossWeights.set(term.name, weight);
    return b.op('Mul', [built.loss, weight]);
  });
  const loss = weighted.length === 1 ? weighted[0]! : b.op('Sum', weighted);

  const initializers = new Map([...graph.initializers, ...b.initializers]);
  for (const name of trains) initializers.delete(name);
  const modelInputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const whole: Graph = {
    ...graph,
    inputs: [
      ...modelInputs,
      ...b.inputs,
      ...chosen.map(({ name, value }) => ({ name, type: tensorType('float32', value.dims) })),
    ],
    outputs: [{ name: loss, type: tensorType('float32', []) }],
    nodes: [...form.nodes, ...b.nodes],
    initializers,
  };
  // What the loss and metrics do not read (a post-processing tail) is left out before the backward pass is formed.
  const nodes = ancestorsOf(whole, [loss, ...correct.values()]);
  const result = appendGradients({ ...source, graph: { ...whole, nodes } }, loss, [...trains], {
    stop: stopped,
    profile: spec.profile,
    choose: spec.choose,
  });
  const reads = new Set(nodes.flatMap((node) => [...readsOf(node)]));
  return {
    graph: result.graph,
    gradients: result.gradients,
    loss,
    terms,
    correct,
    lossWeights,
    feeds: result.graph.inputs.filter(
      ({ name }) => targets.has(name) || (reads.has(name) && modelInputs.some((input) => input.name === name)),
    ),
    norms: form.norms.filter(({ node }) => nodes.some((candidate) => candidate.name === node)),
    masks: form.masks.filter(({ input }) => reads.has(input)),
    shapeOf,
  };
}

/** Dropout acts where it feeds a trainable layer or stands behind one; inside a frozen part it does not. */
function dropsOut(graph: Graph, trains: ReadonlySet<string>): (node: Node) => boolean {
  const consumers = consumersOf(graph);
  return (node) => {
    if (ancestorsOf(graph, [node.inputs[0]!]).some((before) => before.inputs.some((input) => trains.has(input))))
      return true;
    const queue = [...node.outputs];
    const seen = new Set<Node>();
    for (let value = queue.pop(); value !== undefined; value = queue.pop())
      for (const consumer of consumers.get(value) ?? []) {
        if (seen.has(consumer)) continue;
        seen.add(consumer);
        if (consumer.inputs.some((input) => trains.has(input))) return true;
        if (!consumer.inputs.some((input) => graph.initializers.get(input)?.dtype === 'float32'))
          queue.push(...consumer.outputs);
      }
    return false;
  };
}

/** Clipping, the optimiser's update, running averages and the moving average. */
function appendUpdates(source: Model, forward: Forward, trained: readonly Parameter[], spec: StepSpec): StepGraph {
  const b = GraphBuilder.beside(forward.graph);
  const optimizer = optimizerOf(spec.optimizer);
  const scalarInput = (name: string): string => b.freshInput(name, tensorType('float32', []));
  const scalars = new Map(optimizer.scalars.map((name) => [name, scalarInput(name)]));
  const averageDecay = spec.movingAverage ? scalarInput('average_decay') : undefined;
  const state: StateSlot[] = [];

  const keep = (role: StateRole, of: string, input: string, output: string, initial: Tensor): void => {
    state.push({ role, of, input, output, initial });
  };
  const stateInput = (stem: string, dims: readonly number[]): string => b.freshInput(stem, tensorType('float32', dims));
  const follow = (of: string, next: string, initial: Tensor): void => {
    if (averageDecay === undefined) return;
    const input = stateInput(`${of}.average`, initial.dims);
    const difference = b.op('Mul', [b.op('Sub', [input, next]), averageDecay]);
    keep('average', of, input, b.op('Add', [next, difference]), initial);
  };

  const { gradients, gradientNorm } = clip(b, trained, forward.gradients, spec.clipNorm);
  const scaledScalars = scaler(b, Object.fromEntries(scalars));
  for (const parameter of trained) {
    const { name, value } = parameter;
    const group = spec.groups?.find(({ match }) => match(parameter));
    const slots = Object.fromEntries(optimizer.slots.map((slot) => [slot, stateInput(`${name}.${slot}`, value.dims)]));
    const update = optimizer.update({
      b,
      parameter: name,
      gradient: gradients.get(name)!,
      weightDecay: group?.weightDecay ?? decayOf(parameter, spec),
      scalars: scaledScalars(group?.learningRateScale ?? 1),
      state: slots,
    });
    keep('parameter', name, name, update.parameter, value);
    for (const slot of optimizer.slots) keep('optimizer', name, slots[slot]!, update.state[slot]!, zerosLike(value));
    follow(name, update.parameter, value);
  }

  const sampleCorrection = unbias(b, forward.shapeOf);
  for (const norm of forward.norms) {
    const advance = (running: string, batch: string, share: string): void => {
      const initial = source.graph.initializers.get(running)!;
      const input = stateInput(`${running}.running`, initial.dims);
      const next = b.op('Add', [b.op('Mul', [input, b.scalar(norm.momentum)]), b.op('Mul', [batch, share])]);
      keep('running', running, input, next, initial);
      follow(running, next, initial);
    };
    const share = b.scalar(1 - norm.momentum);
    advance(norm.runningMean, norm.batchMean, share);
    advance(norm.runningVariance, norm.batchVariance, b.op('Mul', [sampleCorrection(norm.input), share]));
  }

  const outputs = { loss: forward.loss, terms: forward.terms, correct: forward.correct, gradientNorm };
  const outputNames = [
    outputs.loss,
    ...outputs.terms.values(),
    ...outputs.correct.values(),
    ...(outputs.gradientNorm ? [outputs.gradientNorm] : []),
    ...state.map(({ output }) => output),
  ];
  const joined: Graph = {
    ...forward.graph,
    name: `${source.graph.name}_step`,
    nodes: [...forward.graph.nodes, ...b.nodes],
    initializers: new Map([...forward.graph.initializers, ...b.initializers]),
  };
  const nodes = ancestorsOf(joined, outputNames);
  const reads = new Set(nodes.flatMap((node) => [...readsOf(node)]));
  const graph: Graph = {
    ...joined,
    nodes,
    inputs: [...forward.graph.inputs, ...b.inputs].filter(({ name }) => reads.has(name)),
    outputs: outputNames.map((name) => ({ name, type: undefined })),
    initializers: new Map([...joined.initializers].filter(([name]) => reads.has(name))),
    types: new Map(),
  };
  return {
    model: makeModel(graph, { opsets: source.opsets, irVersion: source.irVersion, functions: source.functions }),
    source,
    feeds: forward.feeds,
    state,
    masks: forward.masks,
    optimizer: spec.optimizer,
    // Plain Adam reads no bare learning rate: an unread scalar is no input of the graph.
    scalars: new Map([...scalars].filter(([, input]) => reads.has(input))),
    lossWeights: forward.lossWeights,
    averageDecay,
    outputs,
  };
}

function decayOf({ role }: Parameter, { weightDecay = 0, decays = 'weights' }: StepSpec): number {
  return decays === 'all' || role === 'weight' ? weightDecay : 0;
}

/** Gradients × min(1, clipNorm / (norm + 10⁻⁶)), as torch.nn.utils.clip_grad_norm_. */
function clip(
  b: GraphBuilder,
  trained: readonly Parameter[],
  found: ReadonlyMap<string, string | undefined>,
  clipNorm: number | undefined,
): { readonly gradients: ReadonlyMap<string, string>; readonly gradientNorm: string | undefined } {
  const gradients = new Map(trained.map(({ name }) => [name, found.get(name)!]));
  if (clipNorm === undefined) return { gradients, gradientNorm: undefined };
  const squares = [...gradients.values()].map((gradient) => b.op('ReduceSumSquare', [gradient], { keepdims: 0 }));
  const gradientNorm = b.op('Sqrt', [squares.length === 1 ? squares[0]! : b.op('Sum', squares)]);
  const ratio = b.op('Div', [b.scalar(clipNorm), b.op('Add', [gradientNorm, b.scalar(1e-6)])]);
  const factor = b.op('Min', [ratio, b.scalar(1)]);
  return {
    gradients: new Map([...gradients].map(([name, gradient]) => [name, b.op('Mul', [gradient, factor])])),
    gradientNorm,
  };
}

/** The optimiser's scalars with those that contain the learning rate scaled; each scale is formed once. */
function scaler(
  b: GraphBuilder,
  scalars: Readonly<Record<string, string>>,
): (scale: number) => Readonly<Record<string, string>> {
  const known = new Map<number, Readonly<Record<string, string>>>([[1, scalars]]);
  return (scale) => {
    const found = known.get(scale);
    if (found) return found;
    const scaled = Object.fromEntries(
      Object.entries(scalars).map(([name, value]) =>
        name === 'learning_rate' || name === 'step_size'
          ? [name, b.op('Mul', [value, b.scalar(scale)])]
          : [name, value],
      ),
    );
    known.set(scale, scaled);
    return scaled;
  };
}

/**
 * n / (n − 1) for a BatchNormalization input with n elements per channel: running variances are unbiased
 * (as PyTorch's), the variance that normalises is not. Formed once per spatial size.
 */
function unbias(b: GraphBuilder, shapeOf: (value: string) => Shape): (value: string) => string {
  const known = new Map<string, string>();
  return (value) => {
    const shape = shapeOf(value);
    const key = shape.filter((_: Dim, axis) => axis !== 1).join('×');
    const found = known.get(key);
    if (found !== undefined) return found;
    const channels = shape[1] as number;
    const size = b.op('Cast', [b.op('Size', [value])], { to: 1 });
    const count = b.op('Div', [size, b.scalar(channels)]);
    // A single element has no variance: the factor's denominator stays 1.
    const correction = b.op('Div', [count, b.op('Max', [b.op('Sub', [count, b.scalar(1)]), b.scalar(1)])]);
    known.set(key, correction);
    return correction;
  };
}

function zerosLike(value: Tensor): Tensor {
  return Tensor.floats(new Float32Array(value.size), value.dims);
}
