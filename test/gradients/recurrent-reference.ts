/** @file RNN, GRU and LSTM in plain float64 loops, from the equations of the ONNX specification: what central differences move. */

export type Cell = 'RNN' | 'GRU' | 'LSTM';

export interface RecurrentCase {
  readonly name: string;
  readonly op: Cell;
  readonly time: number;
  readonly batch: number;
  readonly features: number;
  readonly hidden: number;
  readonly direction?: 'forward' | 'reverse' | 'bidirectional';
  readonly bias?: boolean;
  readonly lengths?: readonly number[];
  readonly initial?: boolean;
  readonly peepholes?: boolean;
  readonly activations?: readonly string[];
  readonly alpha?: readonly number[];
  readonly beta?: readonly number[];
  readonly clip?: number;
  readonly linearBeforeReset?: boolean;
  readonly inputForget?: boolean;
  /** Outputs that the loss reads; all where omitted. */
  readonly outputs?: readonly number[];
}

/** Row-major arrays in the layout of the operator's inputs. */
export interface RecurrentInputs {
  readonly X: Float64Array;
  readonly W: Float64Array;
  readonly R: Float64Array;
  readonly B?: Float64Array | undefined;
  readonly initial_h?: Float64Array | undefined;
  readonly initial_c?: Float64Array | undefined;
  readonly P?: Float64Array | undefined;
}

export const GATES: Readonly<Record<Cell, number>> = { RNN: 1, GRU: 3, LSTM: 4 };
const DEFAULTS: Readonly<Record<Cell, readonly string[]>> = {
  RNN: ['Tanh'],
  GRU: ['Sigmoid', 'Tanh'],
  LSTM: ['Sigmoid', 'Tanh', 'Tanh'],
};

type Fn = (x: number) => number;
const makers: Readonly<Record<string, (alpha: number, beta: number) => Fn>> = {
  Affine: (a, b) => (x) => a * x + b,
  Relu: () => (x) => Math.max(x, 0),
  LeakyRelu: (a) => (x) => (x >= 0 ? x : a * x),
  ThresholdedRelu: (a) => (x) => (x > a ? x : 0),
  Tanh: () => Math.tanh,
  ScaledTanh: (a, b) => (x) => a * Math.tanh(b * x),
  Sigmoid: () => (x) => 1 / (1 + Math.exp(-x)),
  HardSigmoid: (a, b) => (x) => Math.min(1, Math.max(0, a * x + b)),
  Elu: (a) => (x) => (x >= 0 ? x : a * Math.expm1(x)),
  Softsign: () => (x) => x / (1 + Math.abs(x)),
  Softplus: () => (x) => Math.log1p(Math.exp(x)),
};
/** Which parameters a function takes from the attribute lists, with defaults. */
const PARAMETERS: Readonly<Record<string, readonly [alpha: number | undefined, beta: number | undefined]>> = {
  Affine: [0, 0],
  LeakyRelu: [0.01, undefined],
  ThresholdedRelu: [0, undefined],
  ScaledTanh: [0, 0],
  HardSigmoid: [0.2, 0.5],
  Elu: [1, undefined],
};

export const directionsOf = (test: RecurrentCase): number => (test.direction === 'bidirectional' ? 2 : 1);

function functionsOf(test: RecurrentCase): readonly (readonly Fn[])[] {
  const names = DEFAULTS[test.op];
  const alphas = [...(test.alpha ?? [])];
  const betas = [...(test.beta ?? [])];
  return Array.from({ length: directionsOf(test) }, (_, direction) =>
    names.map((fallback, i) => {
      const name = test.activations?.[direction * names.length + i] ?? fallback;
      const [alpha, beta] = PARAMETERS[name] ?? [undefined, undefined];
      return makers[name]!(
        alpha === undefined ? 0 : (alphas.shift() ?? alpha),
        beta === undefined ? 0 : (betas.shift() ?? beta),
      );
    }),
  );
}

/** Y [time, directions, batch, hidden], Y_h and (LSTM) Y_c [directions, batch, hidden]. */
export function forward(test: RecurrentCase, inputs: RecurrentInputs): readonly Float64Array[] {
  const { op, time, batch, features, hidden, clip } = test;
  const gates = GATES[op];
  const directions = directionsOf(test);
  const functions = functionsOf(test);
  const y = new Float64Array(time * directions * batch * hidden);
  const last = new Float64Array(directions * batch * hidden);
  const lastCell = new Float64Array(directions * batch * hidden);
  const clamp = (x: number): number => (clip === undefined ? x : Math.min(clip, Math.max(-clip, x)));
  for (let d = 0; d < directions; d++) {
    const reverse = d === 1 || test.direction === 'reverse';
    const [f, g, h2] = functions[d] as [Fn, Fn, Fn];
    for (let n = 0; n < batch; n++) {
      const length = test.lengths?.[n] ?? time;
      const state = (d * batch + n) * hidden;
      let h = Float64Array.from({ length: hidden }, (_, j) => inputs.initial_h?.[state + j] ?? 0);
      let c = Float64Array.from({ length: hidden }, (_, j) => inputs.initial_c?.[state + j] ?? 0);
      const ofX = (row: number, t: number): number => {
        let sum = 0;
        for (let k = 0; k < features; k++)
          sum += inputs.W[(d * gates * hidden + row) * features + k]! * inputs.X[(t * batch + n) * features + k]!;
        return sum;
      };
      const ofState = (row: number, values: Float64Array): number => {
        let sum = 0;
        for (let k = 0; k < hidden; k++) sum += inputs.R[(d * gates * hidden + row) * hidden + k]! * values[k]!;
        return sum;
      };
      const biasW = (row: number): number => inputs.B?.[d * 2 * gates * hidden + row] ?? 0;
      const biasR = (row: number): number => inputs.B?.[(d * 2 + 1) * gates * hidden + row] ?? 0;
      const peephole = (which: number, j: number): number => inputs.P?.[(d * 3 + which) * hidden + j] ?? 0;
      for (let step = 0; step < length; step++) {
        const t = reverse ? length - 1 - step : step;
        const pre = (gate: number, j: number, values: Float64Array = h): number => {
          const row = gate * hidden + j;
          return ofX(row, t) + ofState(row, values) + biasW(row) + biasR(row);
        };
        const nextH = new Float64Array(hidden);
        const nextC = new Float64Array(hidden);
        if (op === 'RNN') for (let j = 0; j < hidden; j++) nextH[j] = f(clamp(pre(0, j)));
        else if (op === 'LSTM')
          for (let j = 0; j < hidden; j++) {
            const i = f(clamp(pre(0, j) + peephole(0, j) * c[j]!));
            const forget = test.inputForget ? 1 - i : f(clamp(pre(2, j) + peephole(2, j) * c[j]!));
            nextC[j] = forget * c[j]! + i * g(clamp(pre(3, j)));
            nextH[j] = f(clamp(pre(1, j) + peephole(1, j) * nextC[j]!)) * h2(nextC[j]!);
          }
        else {
          const r = Float64Array.from({ length: hidden }, (_, j) => f(clamp(pre(1, j))));
          const dimmed = r.map((value, j) => value * h[j]!);
          for (let j = 0; j < hidden; j++) {
            const z = f(clamp(pre(0, j)));
            const row = 2 * hidden + j;
            const candidate = test.linearBeforeReset
              ? ofX(row, t) + biasW(row) + r[j]! * (ofState(row, h) + biasR(row))
              : pre(2, j, dimmed);
            nextH[j] = (1 - z) * g(clamp(candidate)) + z * h[j]!;
          }
        }
        h = nextH;
        c = nextC;
        y.set(h, ((t * directions + d) * batch + n) * hidden);
      }
      // A sequence without steps ends in zeros, whatever it began with.
      if (length === 0) continue;
      last.set(h, state);
      lastCell.set(c, state);
    }
  }
  return op === 'LSTM' ? [y, last, lastCell] : [y, last];
}
