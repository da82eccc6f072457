/** @file A calibrated model of energy, for devices without a meter: fitted on metered runs, and never passed off as one of them. */
import * as z from 'zod/mini';
import { CuttleError } from '../../ir/index.js';
import { inEnglish } from '../../platform/index.js';
import { type EnergyReading } from './meter.js';

/** Runs that no model can be fitted on, or a broken file of a model. Exit code 3. */
export class EnergyModelError extends CuttleError {
  constructor(message: string, hint: string) {
    super('invalid', 'measure/energy-model', message, { hint });
  }
}

const nonnegative = z.number().check(z.nonnegative());

/** JSON schema: energy = joulesPerGmac · GMAC + joulesPerGigabyte · GB + watts · s, beyond the idle device's. */
export const energyModelSchema = z.object({
  kind: z.literal('cuttle.energy-model'),
  version: z.literal(1),
  /** The device and the meter that it was fitted with. */
  device: z.string(),
  meter: z.string(),
  joulesPerGmac: nonnegative,
  joulesPerGigabyte: nonnegative,
  watts: nonnegative,
  /** Over the runs it was fitted on, each left out once: median of |predicted − metered| / metered. */
  medianError: nonnegative,
  runs: z.int(),
});
export type EnergyModel = z.infer<typeof energyModelSchema>;

/** What one inference does. */
export interface EnergyWork {
  readonly macs: number;
  /** Weights and activations that it moves. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface MeteredWork extends EnergyWork {
  readonly joules: number;
}

/** Checks a parsed JSON value as an energy model. Throws EnergyModelError. */
export function parseEnergyModel(value: unknown): EnergyModel {
  const parsed = energyModelSchema.safeParse(value, inEnglish);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new EnergyModelError(
    `the energy model is broken at '${issue.path.join('.')}': ${issue.message}`,
    'Fit one with: cuttle bench energy fit RUNS.json --out FILE',
  );
}

/**
 * Fits a model on metered inferences: least squares of relative errors with coefficients of zero or more (Lawson–Hanson's active
 * set by trying all subsets of the three terms). Throws EnergyModelError for fewer than four runs, or energies that are not above zero.
 */
export function fitEnergyModel(runs: readonly MeteredWork[], device: string, meter: string): EnergyModel {
  if (runs.length < 4)
    throw new EnergyModelError(
      `an energy model needs four metered runs or more; there are ${runs.length}`,
      'Meter networks of different sizes.',
    );
  for (const { joules } of runs)
    if (!(joules > 0))
      throw new EnergyModelError(
        `a metered run has ${joules} J`,
        'Let runs take longer, so that they stand out of the idle device’s draw.',
      );
  const fitted = solve(runs);
  const errors = runs.map((run, left) => {
    const without = solve(runs.filter((_, i) => i !== left));
    return Math.abs(energyOf(without, run) - run.joules) / run.joules;
  });
  errors.sort((a, b) => a - b);
  const middle = errors.length >> 1;
  return {
    kind: 'cuttle.energy-model',
    version: 1,
    device,
    meter,
    joulesPerGmac: fitted[0],
    joulesPerGigabyte: fitted[1],
    watts: fitted[2],
    medianError: errors.length % 2 === 1 ? errors[middle]! : (errors[middle - 1]! + errors[middle]!) / 2,
    runs: runs.length,
  };
}

/** What the model says of one inference, as a reading of the meter `model`. */
export function modelReading(model: EnergyModel, work: EnergyWork): EnergyReading {
  const joules = energyOf([model.joulesPerGmac, model.joulesPerGigabyte, model.watts], work);
  return {
    meter: 'model',
    source: `fitted on ${model.runs} runs of ${model.device} metered by ${model.meter}, median error ${(100 * model.medianError).toFixed(1)} %`,
    seconds: work.seconds,
    totalJoules: joules,
    joules,
    resolutionJoules: model.medianError * joules,
  };
}

type Coefficients = readonly [perGmac: number, perGigabyte: number, watts: number];

const featuresOf = ({ macs, bytes, seconds }: EnergyWork): readonly [number, number, number] => [
  macs / 1e9,
  bytes / 1e9,
  seconds,
];

function energyOf(coefficients: Coefficients, work: EnergyWork): number {
  const features = featuresOf(work);
  return coefficients[0] * features[0] + coefficients[1] * features[1] + coefficients[2] * features[2];
}

/** The best of all subsets of terms whose least-squares solution has no negative coefficient: three terms make seven subsets. */
function solve(runs: readonly MeteredWork[]): Coefficients {
  let best: Coefficients = [0, 0, 0];
  let bestLoss = Infinity;
  for (let subset = 1; subset < 8; subset++) {
    const terms = [0, 1, 2].filter((term) => (subset >> term) & 1);
    const solution = leastSquares(runs, terms);
    if (solution?.some((value) => value < 0) !== false) continue;
    const coefficients: [number, number, number] = [0, 0, 0];
    terms.forEach((term, i) => (coefficients[term] = solution[i]!));
    const loss = runs.reduce((sum, run) => sum + (energyOf(coefficients, run) / run.joules - 1) ** 2, 0);
    if (loss < bestLoss) {
      bestLoss = loss;
      best = coefficients;
    }
  }
  return best;
}

/** Normal equations of relative errors, by Gaussian elimination with pivots; `undefined` where they are singular. */
function leastSquares(runs: readonly MeteredWork[], terms: readonly number[]): number[] | undefined {
  const size = terms.length;
  const rows = Array.from({ length: size }, () => new Float64Array(size + 1));
  for (const run of runs) {
    const features = featuresOf(run).map((value) => value / run.joules);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) rows[i]![j]! += features[terms[i]!]! * features[terms[j]!]!;
      rows[i]![size]! += features[terms[i]!]!;
    }
  }
  const scale = Math.max(...rows.map((row, i) => row[i]!));
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column + 1; i < size; i++)
      if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    if (Math.abs(rows[column]![column]!) <= 1e-13 * scale) return undefined;
    for (let i = 0; i < size; i++) {
      if (i === column) continue;
      const factor = rows[i]![column]! / rows[column]![column]!;
      for (let j = column; j <= size; j++) rows[i]![j]! -= factor * rows[column]![j]!;
    }
  }
  return rows.map((row, i) => row[size]! / row[i]!);
}
