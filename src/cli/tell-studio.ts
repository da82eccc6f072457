/** @file Progress for the studio that started this run; nobody hears it where a person did. */
import { now } from '../platform/index.js';
import { tellParent } from '../platform/node/child-run.js';
import type { EventOfRun } from '../studio/run-events.js';

/** Steps of training are told at most so often, ms: a curve needs no more. */
const STEP_MS = 150;

/** Tells one event. */
export function tellStudio(event: EventOfRun): void {
  tellParent(event);
}

/** Tells steps of training, not more often than a curve can show. */
export function stepTeller(
  label: string,
): (step: Omit<Extract<EventOfRun, { kind: 'training' }>, 'kind' | 'label'>) => void {
  let last = -Infinity;
  return ({ step, totalSteps, loss, accuracy }) => {
    const time = now();
    if (time - last < STEP_MS && step < totalSteps) return;
    last = time;
    tellStudio({ kind: 'training', label, step, totalSteps, loss, accuracy });
  };
}
