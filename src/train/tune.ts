/** @file The tuner: measures the formulations that gradient rules leave open on this device, and remembers the fastest. */
import {
  ancestorsOf,
  EMIT_OPSET,
  GraphBuilder,
  makeGraph,
  makeModel,
  makeNode,
  readsOf,
  tensorType,
  type Model,
  type TensorType,
} from '../ir/index.js';
import {
  appendGradients,
  formulationKey,
  inferShapes,
  removeDeadNodes,
  type ChooseFormulation,
  type FormulationDecision,
} from '../passes/index.js';
import {
  describeDevice,
  measureInterleaved,
  openSession,
  syntheticFeeds,
  type Session,
  type SessionOptions,
} from '../runtime/index.js';
import { buildStep, type StepGraph, type StepSpec } from './step-graph.js';

/** Where choices are kept between runs. Keys are opaque text. */
export interface FormulationStore {
  /** Choices made on a device; empty where none were. */
  load(device: string): Promise<Readonly<Record<string, string>>>;
  save(device: string, choices: Readonly<Record<string, string>>): Promise<void>;
}

export interface TuneOptions {
  readonly session?: SessionOptions;
  /** Size of symbolic dims; the batch above all. */
  readonly batch: number;
  readonly store?: FormulationStore;
  /** Longest measurement of one decision, in seconds; 1 where omitted. */
  readonly maxSeconds?: number;
  readonly signal?: AbortSignal;
  /** Told of every decision that was measured. */
  readonly onMeasured?: (measured: MeasuredFormulation) => void;
}

/** One decision, measured: milliseconds (median) of each candidate that runs. */
export interface MeasuredFormulation {
  readonly what: string;
  readonly key: string;
  readonly chosen: string;
  readonly ms: Readonly<Record<string, number>>;
}

/**
 * Decides every formulation that `differentiate` leaves open. It is called with a function that notes the decisions;
 * each distinct one is then measured as a graph of its own: one node's backward part on made-up numbers. What the store
 * already holds for this device is not measured again. Throws what `differentiate`, the runtime and the store throw.
 */
export async function tuneFormulations(
  differentiate: (choose: ChooseFormulation) => unknown,
  options: TuneOptions,
): Promise<ChooseFormulation> {
  const open = new Map<string, FormulationDecision>();
  const keyOf = (decision: FormulationDecision): string => `${formulationKey(decision)} batch=${options.batch}`;
  differentiate((decision) => {
    open.set(keyOf(decision), decision);
    return undefined;
  });
  const { cpu, gpu, threads, runtime, executionProvider } = await describeDevice(options.session);
  const device = [cpu, gpu ?? '', executionProvider, `${threads} threads`, runtime].join(' / ');
  const choices: Record<string, string> = { ...(await options.store?.load(device)) };
  let measured = 0;
  for (const [key, decision] of open) {
    const known = choices[key];
    if (known !== undefined && decision.candidates.includes(known)) continue;
    options.signal?.throwIfAborted();
    const ms = await measureCandidates(decision, options);
    const [chosen = decision.preferred] = Object.keys(ms).sort((a, b) => ms[a]! - ms[b]!);
    choices[key] = chosen;
    measured++;
    options.onMeasured?.({ what: decision.what, key, chosen, ms });
  }
  if (measured > 0) await options.store?.save(device, choices);
  return (decision) => choices[keyOf(decision)];
}

/** As `buildStep`, with the formulations of the backward pass decided by measurement. Throws what both throw. */
export async function buildTunedStep(model: Model, spec: StepSpec, options: TuneOptions): Promise<StepGraph> {
  const choose = await tuneFormulations((noting) => buildStep(model, { ...spec, choose: noting }), options);
  return buildStep(model, { ...spec, choose });
}

async function measureCandidates(
  decision: FormulationDecision,
  { session: sessionOptions = {}, batch, maxSeconds = 1, signal }: TuneOptions,
): Promise<Record<string, number>> {
  const sessions: Session[] = [];
  try {
    const calls: (() => Promise<unknown>)[] = [];
    for (const name of decision.candidates) {
      const model = backwardOf(decision, name, batch);
      const session = await openSession(model, sessionOptions);
      sessions.push(session);
      const feeds = syntheticFeeds(model);
      calls.push(() => session.run(feeds));
    }
    const latencies = await measureInterleaved(calls, {
      warmup: 1,
      runs: 15,
      maxSeconds: maxSeconds / calls.length,
      signal,
    });
    return Object.fromEntries(decision.candidates.map((name, i) => [name, latencies[i]!.p50]));
  } finally {
    await Promise.all(sessions.map((session) => session.release()));
  }
}

/**
 * The backward part of a decision's node alone, in the formulation named: inputs are the forward inputs and dY as far as it
 * reads them, the output is the gradient of the one input that is decided about. Symbolic dims have the size `batch`.
 */
export function backwardOf(decision: FormulationDecision, name: string, batch: number): Model {
  const { node, opset, types, input } = decision;
  const opsets = new Map([
    ['', EMIT_OPSET],
    [node.domain, opset],
  ]);
  const given = types.map((type, i) => (type === undefined ? '' : `in${i}`));
  const inputs = types.flatMap((type, i) =>
    type === undefined ? [] : [{ name: given[i]!, type: tensorType(type.dtype, sizesOf(type, batch)) }],
  );
  const forward = makeGraph({
    name: 'decision',
    inputs,
    outputs: [{ name: 'y', type: undefined }],
    nodes: [makeNode({ ...node, inputs: given, outputs: ['y'] })],
  });
  // The rule that asked has read the output's type, so it is known.
  const typeOfY = inferShapes(makeModel(forward, { opsets })).types.get('y')!;
  const b = GraphBuilder.beside(forward);
  const dy = b.input('dy', typeOfY);
  const loss = b.op('ReduceSum', [b.op('Mul', ['y', dy])], { keepdims: 0 });
  const whole = {
    ...forward,
    inputs: [...inputs, ...b.inputs],
    outputs: [{ name: loss, type: undefined }],
    nodes: [...forward.nodes, ...b.nodes],
    initializers: b.initializers,
  };
  const { graph, gradients } = appendGradients(makeModel(whole, { opsets }), loss, [given[input]!], {
    choose: () => name,
  });
  const gradient = gradients.get(given[input]!)!;
  const nodes = ancestorsOf(graph, [gradient]);
  const reads = new Set(nodes.flatMap((reader) => [...readsOf(reader)]));
  const part = {
    ...graph,
    nodes,
    inputs: graph.inputs.filter((value) => reads.has(value.name)),
    outputs: [{ name: gradient, type: tensorType(types[input]!.dtype) }],
  };
  return removeDeadNodes(makeModel(part, { opsets })).model;
}

/** Static dims: a symbolic one has the size of the batch. */
function sizesOf(type: TensorType, batch: number): readonly number[] {
  return (type.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : batch));
}
