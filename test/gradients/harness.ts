/** @file Checks gradients: builds a one-operator loss, differentiates it, and compares with central differences. */
import {
  GraphBuilder,
  isFloat,
  makeModel,
  Tensor,
  tensorType,
  type AttributeInput,
  type DataType,
  type Model,
  type Shape,
  type ValueType,
} from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import type { ExecutionProfile } from '../../src/ops/index.js';
import { expandComposites } from '../../src/passes/expand-composites.js';
import { appendGradients } from '../../src/passes/index.js';
import { openSession, type Backend, type Session } from '../../src/runtime/index.js';

/** A float input: dims with seeded values in [low, high], or the values themselves. */
export interface FloatInput {
  readonly dims: readonly number[];
  readonly values?: readonly number[];
  readonly low?: number;
  readonly high?: number;
  /** Not differentiated, and given as an initializer. */
  readonly constant?: boolean;
}

/** One use of an operator whose gradients are checked. An `undefined` input is omitted; a Tensor is a constant. */
export interface OpCase {
  readonly name: string;
  readonly op: string;
  /** ai.onnx where omitted. */
  readonly domain?: string;
  readonly inputs: readonly (FloatInput | Tensor | undefined)[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly opset?: number;
  readonly outputs?: number;
  /** Outputs that the loss depends on; all float ones where omitted. */
  readonly lossOutputs?: readonly number[];
  /** The formulation of the gradient, where it applies; the rule's preference where omitted. */
  readonly formulation?: string;
  /** For kernels that ONNX Runtime has in one precision alone. */
  readonly dtype?: 'float32' | 'float64';
  /** Inputs whose first dim is a symbol in the symbolic variant; the first where omitted. */
  readonly batched?: readonly number[];
  readonly step?: number;
  readonly tolerance?: number;
}

/** Seeded uniform numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const f = (...dims: number[]): FloatInput => ({ dims });
export const between = (low: number, high: number, ...dims: number[]): FloatInput => ({ dims, low, high });
/** Shuffled values 0.1 apart, so that no maximum changes hands within a step. */
export function distinct(...dims: number[]): FloatInput {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const next = random(size);
  const order = Array.from({ length: size }, (_, i) => [next(), i] as const).sort((a, b) => a[0] - b[0]);
  return { dims, values: order.map(([, i]) => (i - size / 2) * 0.1) };
}
export const values = (dims: readonly number[], given: readonly number[]): FloatInput => ({ dims, values: given });
export const i64 = (...given: number[]): Tensor => Tensor.int64s(given);

const make = (dtype: 'float32' | 'float64', dims: readonly number[], data: readonly number[]): Tensor =>
  Tensor.of(dtype, dims, data);

/** The loss of a case: Σ over outputs of Σ output·r with fixed random r, its inputs' values and its gradients' names. */
export interface BuiltCase {
  readonly forward: Model;
  readonly backward: Model;
  readonly feeds: Record<string, Tensor>;
  readonly wanted: readonly string[];
  readonly gradients: ReadonlyMap<string, string | undefined>;
}

/** Runs a model once. */
export async function runModel(
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  backend: Backend = 'native',
): Promise<Record<string, Tensor>> {
  const session = await openSession(encodeModel(model), { backend, threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/**
 * Builds a case in one precision. Shapes of the outputs come from really running the operator, so that gradient rules
 * are tested apart from shape rules; with `symbolic`, the first dim of the `batched` inputs is declared as a symbol.
 */
export async function buildCase(
  test: OpCase,
  dtype: 'float32' | 'float64',
  options: { symbolic?: boolean; profile?: ExecutionProfile; seeds?: readonly (Tensor | undefined)[] } = {},
): Promise<BuiltCase> {
  const next = random(7);
  const feeds: Record<string, Tensor> = {};
  const wanted: string[] = [];
  const b = new GraphBuilder();
  const names = test.inputs.map((input, i) => {
    if (input === undefined) return undefined;
    if (input instanceof Tensor) return b.parameter(`in${i}`, input);
    const size = input.dims.reduce((product, dim) => product * dim, 1);
    const low = input.low ?? -1.5;
    const high = input.high ?? 1.5;
    const data = input.values ?? Array.from({ length: size }, () => low + (high - low) * next());
    const tensor = make(dtype, input.dims, data);
    if (input.constant) return b.parameter(`in${i}`, tensor);
    feeds[`in${i}`] = tensor;
    wanted.push(`in${i}`);
    return b.input(`in${i}`, tensorType(dtype, input.dims));
  });
  const outputs = b.ops(test.op, names, test.attributes ?? {}, {
    outputs: test.outputs ?? 1,
    name: 'y',
    ...(test.domain === undefined ? {} : { domain: test.domain }),
  });
  const opsets = new Map([['', test.opset ?? 18]]);
  if (test.domain !== undefined) opsets.set(test.domain, 1);
  const probe = await runModel(makeModel(b.graph('probe', outputs), { opsets }), feeds);

  const symbols = new Map<number, string>();
  if (options.symbolic)
    for (const i of test.batched ?? [0]) {
      const dim = feeds[`in${i}`]?.dims[0];
      if (dim !== undefined && dim > 1) symbols.set(dim, `n${dim}`);
    }
  const symbolic = (dims: readonly number[]): Shape =>
    [symbols.get(dims[0]!) ?? dims[0]!, ...dims.slice(1)].slice(0, dims.length);
  const terms = outputs.flatMap((output, index) => {
    const { dtype: type, dims } = probe[output]!;
    b.types.set(output, tensorType(type, symbolic(dims)));
    if (!isFloat(type) || !(test.lossOutputs?.includes(index) ?? true)) return [];
    const size = dims.reduce((product, dim) => product * dim, 1);
    const seed =
      options.seeds?.[index] ??
      make(
        dtype,
        dims,
        Array.from({ length: size }, () => next() * 2 - 1),
      );
    const weighted = b.op('Mul', [output, b.parameter('seed', seed)]);
    b.types.set(weighted, tensorType(type, symbolic(dims)));
    const total = b.op('ReduceSum', [weighted], { keepdims: 0 });
    b.types.set(total, tensorType(type, []));
    return [total];
  });
  const loss = terms.length === 1 ? terms[0]! : b.op('Sum', terms);
  b.types.set(loss, tensorType(dtype, []));
  const forward = makeModel(b.graph('forward', [{ name: loss, type: tensorType(dtype, []) }]), { opsets });

  const inputTypes = new Map<string, ValueType>(
    wanted.map((name) => {
      const batched = (test.batched ?? [0]).includes(Number(name.slice(2)));
      return [name, tensorType(dtype, batched ? symbolic(feeds[name]!.dims) : feeds[name]!.dims)];
    }),
  );
  const { graph, gradients } = appendGradients(forward, loss, wanted, {
    unknownOps: 'skip',
    inputTypes,
    profile: options.profile ?? 'cpu',
    choose: () => test.formulation,
  });
  const fetched = [...new Set([...gradients.values()].filter((name) => name !== undefined))];
  const backward: Model = {
    ...forward,
    graph: { ...graph, outputs: fetched.map((name) => ({ name, type: tensorType(dtype) })) },
  };
  return { forward, backward, feeds, wanted, gradients };
}

/** The gradients of a built case by input name; zeros where nothing flows. */
export async function gradientsOf(built: BuiltCase, backend: Backend = 'native'): Promise<Map<string, Tensor>> {
  const fetched = built.backward.graph.outputs.length === 0 ? {} : await runModel(built.backward, built.feeds, backend);
  return new Map(
    built.wanted.map((name) => {
      const { dtype, dims, size } = built.feeds[name]!;
      const gradient = built.gradients.get(name);
      return [
        name,
        gradient === undefined ? make(dtype as 'float32', dims, new Array<number>(size).fill(0)) : fetched[gradient]!,
      ];
    }),
  );
}

/** Central differences of a loss for up to `limit` elements of one input: [element, slope] pairs. */
export async function centralDifferences(
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
  input: string,
  step: number,
  limit = 24,
): Promise<(readonly [number, number])[]> {
  const base = feeds[input]!;
  const numbers = base.numbers();
  const next = random(numbers.length);
  const picked =
    numbers.length <= limit
      ? numbers.map((_, i) => i)
      : [...new Set(Array.from({ length: limit }, () => Math.floor(next() * numbers.length)))];
  const lossAt = async (element: number, value: number): Promise<number> => {
    const moved = [...numbers];
    moved[element] = value;
    const result = await session.run({ ...feeds, [input]: make(base.dtype as 'float32', base.dims, moved) });
    return Object.values(result)[0]!.numbers()[0]!;
  };
  const slopes: (readonly [number, number])[] = [];
  for (const element of picked) {
    const [up, down] = [
      await lossAt(element, numbers[element]! + step),
      await lossAt(element, numbers[element]! - step),
    ];
    slopes.push([element, (up - down) / (2 * step)]);
  }
  return slopes;
}

/** Throws with a readable message where a gradient's shape or any of the given elements is off. */
export function compare(
  label: string,
  actual: Tensor,
  dims: readonly number[],
  expected: readonly (readonly [number, number])[],
  tolerance: number,
): void {
  if (actual.dims.join() !== dims.join())
    throw new Error(`${label}: gradient has shape [${actual.dims.join()}], the input [${dims.join()}]`);
  const found = actual.numbers();
  const scale = Math.max(1, ...expected.map(([, slope]) => Math.abs(slope)));
  for (const [element, slope] of expected)
    if (!(Math.abs(found[element]! - slope) <= tolerance * scale))
      throw new Error(`${label}[${element}]: ${found[element]!} but expected ${slope}`);
}

/** Checks every gradient of a case against central differences, with known and with symbolic leading dims. */
export async function checkCase(test: OpCase, symbolic = true): Promise<void> {
  const dtype: DataType & ('float32' | 'float64') = test.dtype ?? 'float64';
  const step = test.step ?? (dtype === 'float64' ? 1e-5 : 1e-2);
  const tolerance = test.tolerance ?? (dtype === 'float64' ? 2e-6 : 5e-3);
  const built = await buildCase(test, dtype);
  const expected = new Map<string, (readonly [number, number])[]>();
  const session = await openSession(encodeModel(built.forward), { backend: 'native', threads: 1 });
  try {
    for (const name of built.wanted) expected.set(name, await centralDifferences(session, built.feeds, name, step));
  } finally {
    await session.release();
  }
  const variants = [built, ...(symbolic ? [await buildCase(test, dtype, { symbolic: true })] : [])];
  for (const [index, variant] of variants.entries())
    for (const [name, gradient] of await gradientsOf(variant))
      compare(
        `${name}${index === 1 ? ' (symbolic)' : ''}`,
        gradient,
        built.feeds[name]!.dims,
        expected.get(name)!,
        tolerance,
      );
}

/** Checks that a case's operator, spelled out as differentiation does it, has the loss that its own kernel gives. */
export async function checkSpelledOut(test: OpCase): Promise<void> {
  const { forward, feeds, wanted } = await buildCase(test, test.dtype ?? 'float64');
  const spelled = expandComposites(forward, wanted, { unknownOps: 'skip' });
  const [kernel] = Object.values(await runModel(forward, feeds));
  const [parts] = Object.values(await runModel(spelled, feeds));
  const [expected, found] = [kernel!.numbers()[0]!, parts!.numbers()[0]!];
  // Some kernels keep scales in float32 whatever the type.
  const tolerance = test.dtype === 'float32' ? 1e-4 : 1e-6;
  if (!(Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected))))
    throw new Error(`${test.name}: the parts give ${found}, the kernel ${expected}`);
}
