/** @file One interface for everything that measures energy, and a reading that always says what measured it. */
import { CuttleError } from '../../ir/index.js';
import { now } from '../../platform/index.js';
import { activeEnergy, type PowerTrace } from './power-trace.js';

/**
 * `rapl`: the processor's own counters (package, without the rest of the machine). `android-battery`: current and voltage of
 * the fuel gauge. `android-rails`: on-device power rails. `power-monitor`: an external instrument's recording.
 * `battery-level`: charge lost while running. `model`: computed, not measured.
 */
export const meterKinds = [
  'rapl',
  'android-battery',
  'android-rails',
  'power-monitor',
  'battery-level',
  'model',
] as const;
export type MeterKind = (typeof meterKinds)[number];

/** A meter that cannot be used here, or that has not seen enough. Exit code 1. */
export class MeterError extends CuttleError {
  constructor(
    readonly meter: MeterKind,
    message: string,
    hint: string,
  ) {
    super('failed', 'measure/meter', message, { hint });
  }
}

/** Energy of a stretch of time. */
export interface EnergyReading {
  readonly meter: MeterKind;
  /** What was read, in words: counters, files, columns, the model's calibration. */
  readonly source: string;
  readonly seconds: number;
  readonly totalJoules: number;
  /** Power of the idle device, W, where it was measured; without it `joules` holds all that was drawn. */
  readonly idleWatts?: number;
  /** totalJoules less the idle device's part. */
  readonly joules: number;
  /** The smallest difference that the meter can tell, J. */
  readonly resolutionJoules: number;
}

/** A stretch that is being metered. */
export interface RunningMeter {
  /** Ends the stretch. Throws MeterError where the meter saw too little of it. */
  stop(): Promise<Omit<EnergyReading, 'idleWatts'>>;
}

export interface EnergyMeter {
  readonly kind: MeterKind;
  readonly source: string;
  start(): Promise<RunningMeter>;
}

/** Energy of one inference. */
export interface InferenceEnergy extends EnergyReading {
  readonly inferences: number;
  readonly joulesPerInference: number;
  /** Mean power while running, idle power included, W. */
  readonly watts: number;
  /** The energy is smaller than ten steps of the meter: do not trust it. */
  readonly coarse: boolean;
}

/** Runs `work` under a meter; idle power is metered for `idleSeconds` before, with nothing running, and taken off. */
export async function meterWork(
  meter: EnergyMeter,
  work: () => Promise<number>,
  { idleSeconds, wait }: { readonly idleSeconds: number; readonly wait: (seconds: number) => Promise<void> },
): Promise<InferenceEnergy> {
  let idleWatts: number | undefined;
  if (idleSeconds > 0) {
    const idle = await meter.start();
    await wait(idleSeconds);
    const { totalJoules, seconds } = await idle.stop();
    idleWatts = totalJoules / seconds;
  }
  const running = await meter.start();
  const inferences = await work();
  const reading = await running.stop();
  return perInference(
    {
      ...reading,
      ...(idleWatts === undefined ? {} : { idleWatts }),
      joules: reading.totalJoules - (idleWatts ?? 0) * reading.seconds,
    },
    inferences,
  );
}

/** A reading shared among the inferences that it covers. Throws MeterError for none. */
export function perInference(reading: EnergyReading, inferences: number): InferenceEnergy {
  if (!(inferences > 0))
    throw new MeterError(reading.meter, 'no inference ran while energy was metered', 'Let the runs take longer.');
  return {
    ...reading,
    inferences,
    joulesPerInference: reading.joules / inferences,
    watts: reading.totalJoules / reading.seconds,
    coarse: reading.totalJoules < 10 * reading.resolutionJoules,
  };
}

/** A recording of an external instrument as a reading: `active` is when inferences ran, `idle` a stretch of the same trace before. */
export function readingOfTrace(
  trace: PowerTrace,
  active: { readonly from: number; readonly to: number },
  idle: number | { readonly from: number; readonly to: number },
  source: string,
): EnergyReading {
  const { seconds, totalJoules, idleJoules, joules } = activeEnergy(trace, active, idle);
  const step = (trace.seconds.at(-1)! - trace.seconds[0]!) / (trace.seconds.length - 1);
  return {
    meter: 'power-monitor',
    source,
    seconds,
    totalJoules,
    idleWatts: seconds === 0 ? 0 : idleJoules / seconds,
    joules,
    // A stretch's ends are known to one sample.
    resolutionJoules: seconds === 0 ? 0 : step * (totalJoules / seconds),
  };
}

/** A meter over a counter of joules that only rises, modulo `wrap`. `read` also says the resolution it can tell. */
export function counterMeter(
  kind: MeterKind,
  source: string,
  counter: { read(): Promise<number>; readonly wrapJoules: number; readonly resolutionJoules: number },
): EnergyMeter {
  return {
    kind,
    source,
    start: async () => {
      const before = await counter.read();
      const started = now();
      return {
        stop: async () => {
          const after = await counter.read();
          const seconds = (now() - started) / 1000;
          const joules = after >= before ? after - before : after - before + counter.wrapJoules;
          return {
            meter: kind,
            source,
            seconds,
            totalJoules: joules,
            joules,
            resolutionJoules: counter.resolutionJoules,
          };
        },
      };
    },
  };
}
