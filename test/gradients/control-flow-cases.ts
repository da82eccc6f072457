/** @file Graphs with If, Scan and Loop whose gradients are checked: one builder for every case and precision. */
import {
  graph as graphAttribute,
  GraphBuilder,
  makeGraph,
  makeModel,
  Tensor,
  tensorType,
  type Attribute,
  type Dim,
  type Model,
  type TensorType,
} from '../../src/ir/index.js';
import { random } from './harness.js';

export type Precision = 'float32' | 'float64';

/** What a case's builder emits with: float inputs are differentiated, everything else is not. */
export interface CaseBuilder {
  readonly b: GraphBuilder;
  readonly dtype: Precision;
  /** A float input with seeded values in [−1, 1]; `as` replaces sizes by symbols in its declared type. */
  input(name: string, dims: readonly number[], as?: readonly Dim[]): string;
  /** An input that is fed but not differentiated. */
  feed(name: string, value: Tensor, as?: readonly Dim[]): string;
  /** A float constant of seeded values; `wanted` asks for its gradient. */
  constant(name: string, dims: readonly number[], wanted?: boolean): string;
  float(...shape: Dim[]): TensorType;
  number(value: number): Tensor;
}

export interface ControlFlowCase {
  readonly name: string;
  /** Emits the graph and returns its scalar loss. */
  readonly build: (g: CaseBuilder) => string;
}

export interface BuiltControlFlow {
  readonly model: Model;
  readonly loss: string;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** What the gradients are asked for, inputs and constants. */
  readonly wanted: readonly string[];
  /** Values of all float inputs and wanted constants. */
  readonly values: ReadonlyMap<string, Tensor>;
}

/** The graph of a case in one precision. Constants that are wanted become inputs where `open`, so that they can be moved. */
export function buildControlFlow(test: ControlFlowCase, dtype: Precision, open = false): BuiltControlFlow {
  const b = new GraphBuilder();
  const feeds: Record<string, Tensor> = {};
  const values = new Map<string, Tensor>();
  const seeded = (name: string, dims: readonly number[]): Tensor => {
    const next = random([...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 5));
    const size = dims.reduce((product, dim) => product * dim, 1);
    return Tensor.of(
      dtype,
      dims,
      Array.from({ length: size }, () => Math.fround(next() * 2 - 1)),
    );
  };
  const loss = test.build({
    b,
    dtype,
    input(name, dims, as) {
      const value = seeded(name, dims);
      feeds[name] = value;
      values.set(name, value);
      return b.input(name, tensorType(dtype, as ?? dims));
    },
    feed(name, value, as) {
      feeds[name] = value;
      return b.input(name, tensorType(value.dtype, as ?? value.dims));
    },
    constant(name, dims, wanted = false) {
      const value = seeded(name, dims);
      if (!wanted) return b.parameter(name, value);
      values.set(name, value);
      if (!open) return b.parameter(name, value);
      feeds[name] = value;
      return b.input(name, tensorType(dtype, dims));
    },
    float: (...shape) => tensorType(dtype, shape),
    number: (value) => Tensor.scalar(dtype, value),
  });
  const model = makeModel(b.graph(test.name, [{ name: loss, type: tensorType(dtype, []) }]));
  return { model, loss, feeds, wanted: [...values.keys()], values };
}

/** A sub-graph: `emit` gets its inputs' names and returns its outputs'. */
export function sub(
  b: GraphBuilder,
  inputs: Readonly<Record<string, TensorType>>,
  emit: (s: GraphBuilder, ...names: string[]) => readonly string[],
): Attribute {
  const s = b.nested();
  const names = Object.entries(inputs).map(([stem, type]) => s.freshInput(stem, type));
  const outputs = emit(s, ...names);
  return graphAttribute(
    makeGraph({
      name: b.fresh('body'),
      inputs: s.inputs,
      nodes: s.nodes,
      initializers: s.initializers,
      outputs: outputs.map((name) => ({ name, type: undefined })),
    }),
  );
}

const INT = tensorType('int64', []);
const BOOL = tensorType('bool', []);
const bool = (value: boolean): Tensor => Tensor.of('bool', [], [value ? 1 : 0]);
const int = (value: number): Tensor => Tensor.scalar('int64', value);

/** Σ value², summed over several values. */
function squares(b: GraphBuilder, ...values: string[]): string {
  const sums = values.map((value) => b.op('ReduceSum', [b.op('Mul', [value, value])], { keepdims: 0 }));
  return sums.length === 1 ? sums[0]! : b.op('Sum', sums);
}

/** Then tanh(x·w) of one shape, else the mean of sigmoid(x + v) of another: other captures and intermediates in each branch. */
function branches(g: CaseBuilder, taken: boolean, rows: Dim): string {
  const { b } = g;
  const x = g.input('x', [3, 4], [rows, 4]);
  const w = g.input('w', [4, 2]);
  const v = g.input('v', [4]);
  const condition = g.feed('condition', bool(taken));
  const y = b.op('If', [condition], {
    then_branch: sub(b, {}, (s) => [s.op('Tanh', [s.op('MatMul', [x, w])])]),
    else_branch: sub(b, {}, (s) => [
      s.op('ReduceMean', [s.op('Sigmoid', [s.op('Mul', [s.op('Add', [x, v]), x])]), s.int64s([1])], { keepdims: 1 }),
    ]),
  });
  return squares(b, b.op('Exp', [y]));
}

/** h ← tanh(x·w + h·u + c), every h given. */
function recurrence(
  g: CaseBuilder,
  options: { axis?: number; backwards?: boolean; from?: 'state' | 'stack' | 'both'; symbols?: boolean } = {},
): string {
  const { b } = g;
  const { axis = 0, backwards = false, from = 'both', symbols = false } = options;
  const [t, n] = symbols ? (['time', 'batch'] as const) : ([5, 2] as const);
  const x = g.input('x', axis === 0 ? [5, 2, 3] : [2, 5, 3], axis === 0 ? [t, n, 3] : [n, t, 3]);
  const h = g.input('h', [2, 4], [n, 4]);
  const w = g.constant('w', [3, 4], true);
  const u = g.constant('u', [4, 4], true);
  const c = g.constant('c', [4], true);
  const direction = backwards ? 1 : 0;
  const [last, all] = b.ops(
    'Scan',
    [h, x],
    {
      num_scan_inputs: 1,
      scan_input_axes: [axis],
      scan_input_directions: [direction],
      scan_output_axes: [-2],
      scan_output_directions: [1 - direction],
      body: sub(b, { state: g.float(n, 4), slice: g.float(n, 3) }, (s, state, slice) => {
        const sum = s.op('Sum', [s.op('MatMul', [slice, w]), s.op('MatMul', [state, u]), c]);
        const next = s.op('Tanh', [sum]);
        return [next, s.op('Identity', [next])];
      }),
    },
    { outputs: 2 },
  );
  const weighted = b.op('Mul', [all!, g.constant('r', [2, 5, 4])]);
  if (from === 'state') return squares(b, last!);
  if (from === 'stack') return squares(b, weighted);
  return squares(b, last!, weighted);
}

/** A Loop over `trips` iterations: z ← z·a + sin(z), every sin(z) given. */
function looped(g: CaseBuilder, trips: number | string, limit?: number): string {
  const { b } = g;
  const z = g.input('z', [3], ['n']);
  const a = g.input('a', [3], ['n']);
  const count = typeof trips === 'number' ? b.constant(int(trips)) : trips;
  const [last, all] = b.ops(
    'Loop',
    [count, undefined, z],
    {
      body: sub(b, { i: INT, go: BOOL, state: g.float('n') }, (s, _, go, state) => {
        const sine = s.op('Sin', [state]);
        const next = s.op('Add', [s.op('Mul', [state, a]), sine]);
        const size = s.op('ReduceSum', [s.op('Abs', [next])], { keepdims: 0 });
        const goOn =
          limit === undefined ? s.op('Identity', [go]) : s.op('Greater', [size, s.constant(g.number(limit), 'limit')]);
        return [goOn, next, sine];
      }),
    },
    { outputs: 2 },
  );
  return squares(b, last!, b.op('ReduceSum', [all!, b.int64s([0])], { keepdims: 0 }));
}

export const controlFlowCases: readonly ControlFlowCase[] = [
  { name: 'If taken', build: (g) => branches(g, true, 3) },
  { name: 'If not taken', build: (g) => branches(g, false, 3) },
  { name: 'If taken, symbolic', build: (g) => branches(g, true, 'rows') },
  { name: 'If not taken, symbolic', build: (g) => branches(g, false, 'rows') },
  {
    name: 'If with values passed through and constants',
    build: (g) => {
      const { b } = g;
      const x = g.input('x', [3, 2]);
      const k = g.constant('k', [3, 2], true);
      const [p, q, r] = b.ops(
        'If',
        [g.feed('condition', bool(true))],
        {
          then_branch: sub(b, {}, (s) => {
            const double = s.op('Add', [x, x]);
            return [s.op('Identity', [x]), s.op('Mul', [double, k]), s.op('Shape', [double])];
          }),
          else_branch: sub(b, {}, (s) => {
            const one = s.parameter('one', Tensor.of(g.dtype, [3, 2], [1, 2, 3, 4, 5, 6]));
            return [s.op('Identity', [one]), s.op('Identity', [x]), s.op('Shape', [x])];
          }),
        },
        { outputs: 3 },
      );
      return squares(b, p!, b.op('Div', [q!, b.op('Cast', [r!], { to: g.dtype === 'float32' ? 1 : 11 })]), q!);
    },
  },
  ...[true, false].flatMap((outer) =>
    [true, false].map((inner): ControlFlowCase => ({
      name: `If in If, ${outer ? 'then' : 'else'} ${inner ? 'then' : 'else'}`,
      build: (g) => {
        const { b } = g;
        const x = g.input('x', [3, 2], ['rows', 2]);
        const w = g.input('w', [2, 2]);
        const [p, q] = [g.feed('p', bool(outer)), g.feed('q', bool(inner))];
        const y = b.op('If', [p], {
          then_branch: sub(b, {}, (s) => {
            const hidden = s.op('Exp', [s.op('MatMul', [x, w])]);
            const chosen = s.op('If', [q], {
              then_branch: sub(s, {}, (t) => [t.op('Mul', [t.op('Tanh', [hidden]), x])]),
              else_branch: sub(s, {}, (t) => [t.op('Softmax', [hidden], { axis: 1 })]),
            });
            return [s.op('Mul', [chosen, hidden])];
          }),
          else_branch: sub(b, {}, (s) => [
            s.op('If', [q], {
              then_branch: sub(s, {}, (t) => [t.op('Sin', [x])]),
              else_branch: sub(s, {}, (t) => [t.op('MatMul', [x, t.op('Transpose', [w])])]),
            }),
          ]),
        });
        return squares(b, y);
      },
    })),
  ),
  {
    name: 'If on a computed condition',
    build: (g) => {
      const { b } = g;
      const x = g.input('x', [4]);
      const sum = b.op('ReduceSum', [x], { keepdims: 0 });
      const y = b.op('If', [b.op('Greater', [sum, b.constant(g.number(-9))])], {
        then_branch: sub(b, {}, (s) => [s.op('Mul', [x, sum])]),
        else_branch: sub(b, {}, (s) => [s.op('Identity', [x])]),
      });
      return squares(b, y);
    },
  },
  { name: 'Scan', build: (g) => recurrence(g) },
  { name: 'Scan, symbolic', build: (g) => recurrence(g, { symbols: true }) },
  { name: 'Scan backwards along axis 1', build: (g) => recurrence(g, { axis: 1, backwards: true, symbols: true }) },
  { name: 'Scan, loss on the last state', build: (g) => recurrence(g, { from: 'state' }) },
  { name: 'Scan, loss on the stack', build: (g) => recurrence(g, { from: 'stack', axis: -2 + 3 }) },
  {
    name: 'Scan with two states, two inputs, a counter and an idle state',
    build: (g) => {
      const { b } = g;
      const [x, y] = [g.input('x', [4, 2]), g.input('y', [2, 4])];
      const [p, q] = [g.input('p', [2]), g.input('q', [])];
      const counter = b.constant(int(0));
      const idle = g.input('idle', [2]);
      const outputs = b.ops(
        'Scan',
        [p, counter, q, idle, x, y],
        {
          num_scan_inputs: 2,
          scan_input_axes: [0, 1],
          body: sub(
            b,
            { p: g.float(2), k: INT, q: g.float(), idle: g.float(2), x: g.float(2), y: g.float(2) },
            (s, pi, k, qi, still, xi, yi) => {
              const share = s.op('Cast', [k], { to: g.dtype === 'float32' ? 1 : 11 });
              const next = s.op('Mul', [s.op('Add', [pi, s.op('Mul', [xi, share])]), s.op('Cos', [qi])]);
              const total = s.op('Add', [qi, s.op('ReduceSum', [s.op('Mul', [xi, yi])], { keepdims: 0 })]);
              return [
                next,
                s.op('Add', [k, s.constant(int(1))]),
                total,
                s.op('Add', [still, s.op('ReduceSum', [xi])]),
                s.op('Mul', [next, yi]),
              ];
            },
          ),
        },
        { outputs: 5 },
      );
      return squares(b, outputs[0]!, outputs[4]!, outputs[2]!);
    },
  },
  {
    name: 'Scan with an If inside',
    build: (g) => {
      const { b } = g;
      const x = g.input('x', [6, 2], ['time', 2]);
      const h = g.input('h', [2]);
      const w = g.constant('w', [2], true);
      const [last] = b.ops('Scan', [h, x], {
        num_scan_inputs: 1,
        body: sub(b, { h: g.float(2), x: g.float(2) }, (s, hi, xi) => {
          const sum = s.op('ReduceSum', [xi], { keepdims: 0 });
          const gain = s.op('Exp', [s.op('Mul', [hi, w])]);
          const next = s.op('If', [s.op('Greater', [sum, s.constant(g.number(0))])], {
            then_branch: sub(s, {}, (t) => [t.op('Mul', [t.op('Tanh', [gain]), xi])]),
            else_branch: sub(s, {}, (t) => [t.op('Add', [t.op('Mul', [hi, hi]), gain])]),
          });
          return [s.op('Tanh', [next])];
        }),
      });
      return squares(b, last!);
    },
  },
  {
    name: 'Scan in Scan, weights in the bodies',
    build: (g) => {
      const { b } = g;
      const x = g.input('x', [3, 4, 2], ['rows', 'columns', 2]);
      const start = g.input('start', [2]);
      const w = g.constant('w', [2, 2], true);
      const [last, all] = b.ops(
        'Scan',
        [start, x],
        {
          num_scan_inputs: 1,
          body: sub(b, { row: g.float(2), plane: g.float('columns', 2) }, (s, row, plane) => {
            const scale = s.op('Exp', [row]);
            const [end, trail] = s.ops(
              'Scan',
              [row, plane],
              {
                num_scan_inputs: 1,
                scan_input_directions: [1],
                body: sub(s, { cell: g.float(2), point: g.float(2) }, (t, cell, point) => {
                  const mixed = t.op('MatMul', [t.op('Mul', [cell, scale]), t.op('Transpose', [w])]);
                  const next = t.op('Tanh', [t.op('Add', [mixed, point])]);
                  return [next, t.op('Mul', [next, point])];
                }),
              },
              { outputs: 2 },
            );
            return [end!, s.op('ReduceSum', [trail!, s.int64s([0])], { keepdims: 0 })];
          }),
        },
        { outputs: 2 },
      );
      return squares(b, last!, all!);
    },
  },
  { name: 'Loop with a constant trip count', build: (g) => looped(g, 4) },
  { name: 'Loop with one trip', build: (g) => looped(g, 1) },
  { name: 'Loop with no trip', build: (g) => looped(g, 0) },
  { name: 'Loop with a fed trip count', build: (g) => looped(g, g.feed('trips', int(3))) },
  { name: 'Loop that its values end', build: (g) => looped(g, 50, 0.9) },
  {
    name: 'Loop that its values end, without trip count and scan outputs',
    build: (g) => {
      const { b } = g;
      const z = g.input('z', [3]);
      const yes = b.constant(bool(true));
      const last = b.op('Loop', [undefined, yes, z], {
        body: sub(b, { i: INT, go: BOOL, z: g.float(3) }, (s, _, __, state) => {
          const next = s.op('Mul', [state, s.constant(g.number(1.5))]);
          const size = s.op('ReduceMax', [s.op('Abs', [next])], { keepdims: 0 });
          return [s.op('Less', [size, s.constant(g.number(4))]), next];
        }),
      });
      return squares(b, last);
    },
  },
  {
    name: 'Loop over the rows of a captured matrix',
    build: (g) => {
      const { b } = g;
      const x = g.input('x', [4, 3], ['rows', 3]);
      const h = g.input('h', [3]);
      const rows = b.op('Squeeze', [b.op('Shape', [x], { start: 0, end: 1 }), b.int64s([0])]);
      const [last, all] = b.ops(
        'Loop',
        [rows, undefined, h],
        {
          body: sub(b, { i: INT, go: BOOL, h: g.float(3) }, (s, i, go, state) => {
            const row = s.op('Gather', [x, i], { axis: 0 });
            const next = s.op('Tanh', [s.op('Mul', [s.op('Add', [row, state]), row])]);
            return [s.op('Identity', [go]), next, s.op('Mul', [next, state])];
          }),
        },
        { outputs: 2 },
      );
      return squares(b, last!, all!);
    },
  },
  {
    name: 'Loop whose carried value grows',
    build: (g) => {
      const { b } = g;
      const x = g.input('x', [2, 2]);
      const y = g.input('y', [1, 2]);
      const last = b.op('Loop', [b.constant(int(3)), undefined, x], {
        body: sub(b, { i: INT, go: BOOL, x: g.float(null, 2) }, (s, _, go, state) => [
          s.op('Identity', [go]),
          s.op('Concat', [s.op('Neg', [state]), y], { axis: 0 }),
        ]),
      });
      return squares(b, b.op('Exp', [last]));
    },
  },
  {
    name: 'Loop in If',
    build: (g) => {
      const { b } = g;
      const z = g.input('z', [2]);
      const a = g.input('a', [2]);
      const y = b.op('If', [g.feed('condition', bool(true))], {
        then_branch: sub(b, {}, (s) => {
          const start = s.op('Exp', [z]);
          return [
            s.op('Loop', [s.constant(int(3)), undefined, start], {
              body: sub(s, { i: INT, go: BOOL, z: g.float(2) }, (t, _, go, state) => [
                t.op('Identity', [go]),
                t.op('Mul', [t.op('Sin', [state]), t.op('Add', [a, start])]),
              ]),
            }),
          ];
        }),
        else_branch: sub(b, {}, (s) => [s.op('Identity', [z])]),
      });
      return squares(b, y);
    },
  },
  {
    name: 'Loop in Loop, the inner as long as the outer has come',
    build: (g) => {
      const { b } = g;
      const z = g.input('z', [2], ['n']);
      const a = g.input('a', [2], ['n']);
      const [last, all] = b.ops(
        'Loop',
        [b.constant(int(4)), undefined, z],
        {
          body: sub(b, { i: INT, go: BOOL, z: g.float('n') }, (s, i, go, state) => {
            const inner = s.op('Loop', [i, undefined, state], {
              body: sub(s, { i: INT, go: BOOL, z: g.float('n') }, (t, _, inside, value) => [
                t.op('Identity', [inside]),
                t.op('Tanh', [t.op('Add', [t.op('Mul', [value, a]), state])]),
              ]),
            });
            return [s.op('Identity', [go]), inner, s.op('Mul', [inner, state])];
          }),
        },
        { outputs: 2 },
      );
      return squares(b, last!, all!);
    },
  },
];
