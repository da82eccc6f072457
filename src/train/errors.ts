/** @file What can go wrong while a training step is built, run or resumed. */
import { CuttleError, type Model } from '../ir/index.js';

/** A step that cannot be formed from what was asked: an unknown value, no trainable parameter. Exit code 2. */
export class StepSpecError extends CuttleError {
  constructor(message: string, hint: string) {
    super('usage', 'train/step-spec', message, { hint });
  }
}

/** A parameter whose element type the step graph cannot train. Exit code 4. */
export class UntrainableError extends CuttleError {
  constructor(message: string, hint: string) {
    super('unsupported', 'train/untrainable', message, { hint });
  }
}

/** The loss became infinite or no number. Exit code 1. */
export class DivergedError extends CuttleError {
  readonly step: number;

  constructor(step: number, loss: number) {
    super('failed', 'train/diverged', `the loss became ${loss} at step ${step}`, {
      hint: 'Lower the learning rate, warm up for longer, or clip the gradient norm.',
    });
    this.step = step;
  }
}

/** A checkpoint that is damaged, or that belongs to another network or recipe. Exit code 3. */
export class CheckpointError extends CuttleError {
  constructor(message: string, hint = 'Delete the checkpoint to start anew.', cause?: unknown) {
    super('invalid', 'train/checkpoint', message, { hint, cause });
  }
}

/** Training was told to stop. Exit code 1. */
export class InterruptedError extends CuttleError {
  readonly step: number;
  /** The network as far as it was trained, where one network trains. */
  readonly model: Model | undefined;

  constructor(step: number, saved: boolean, model?: Model) {
    super('failed', 'train/interrupted', `training was stopped after step ${step}`, {
      hint: saved ? 'The same command continues where it stopped.' : 'Nothing was saved.',
    });
    this.step = step;
    this.model = model;
  }
}
