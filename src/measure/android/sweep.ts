/** @file Many configurations of one model on one Android device, one after the other; one that fails does not end the others. */
import type { AndroidDevice } from '../../platform/node/adb.js';
import { CuttleError } from '../../ir/index.js';
import { threadPlanName, type ThreadPlan } from './affinity.js';
import {
  cleanDevice,
  prepareDevice,
  runOnDevice,
  type AndroidConfiguration,
  type AndroidJob,
  type AndroidMeasurement,
  type ExperimentOptions,
} from './experiment.js';
import type { AndroidDescription } from './properties.js';

/** What is varied; every combination is run. */
export interface AndroidSweep {
  readonly plans: readonly ThreadPlan[];
  readonly batches: readonly (number | undefined)[];
  readonly delegates: readonly string[];
  readonly warmup: number;
  readonly runs: number;
}

export interface AndroidFailure {
  readonly plan: string;
  readonly batch: number | undefined;
  readonly delegate: string;
  readonly reason: string;
}

export interface SweepResult {
  readonly measurements: readonly AndroidMeasurement[];
  readonly failures: readonly AndroidFailure[];
}

/** Every combination of a sweep. */
export function sweepConfigurations({
  plans,
  batches,
  delegates,
  warmup,
  runs,
}: AndroidSweep): readonly AndroidConfiguration[] {
  return delegates.flatMap((delegate) =>
    batches.flatMap((batch) =>
      plans.map((plan) => ({ plan, delegate, warmup, runs, ...(batch === undefined ? {} : { batch }) })),
    ),
  );
}

/**
 * Prepares the device, runs the sweep, cleans up. A configuration that the framework refuses becomes a failure with its reason;
 * a device that is lost ends the sweep with its AdbError.
 */
export async function sweepDevice(
  device: AndroidDevice,
  description: AndroidDescription,
  job: AndroidJob,
  sweep: AndroidSweep,
  options: ExperimentOptions & { readonly onDone?: (done: number, all: number) => void; readonly signal?: AbortSignal },
): Promise<SweepResult> {
  const configurations = sweepConfigurations(sweep);
  const measurements: AndroidMeasurement[] = [];
  const failures: AndroidFailure[] = [];
  await prepareDevice(device, job);
  try {
    for (const [i, configuration] of configurations.entries()) {
      if (options.signal?.aborted === true) break;
      try {
        measurements.push(await runOnDevice(device, description, job, configuration, options));
      } catch (error) {
        if (!(error instanceof CuttleError) || error.code === 'platform/adb') throw error;
        const { plan, batch, delegate } = configuration;
        failures.push({ plan: threadPlanName(plan), batch, delegate, reason: error.message });
      }
      options.onDone?.(i + 1, configurations.length);
    }
  } finally {
    await cleanDevice(device);
  }
  return { measurements, failures };
}
