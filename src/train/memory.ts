/** @file Fits a training step into the memory of a process. */
import { MemoryBudgetError, rematerialise, type RunMemory } from '../passes/index.js';
import { isNode } from '../platform/index.js';
import type { StepGraph } from './step-graph.js';

export interface FittedStep {
  readonly step: StepGraph;
  /** What the process is expected to take for the step, in bytes. */
  readonly bytes: number;
  /** The same without computing anything a second time. */
  readonly plainBytes: number;
  /** Names of the forward nodes that run twice. */
  readonly repeated: readonly string[];
  /** Estimated time of these as a share of the step's. */
  readonly extraTime: number;
}

/**
 * Measured on ResNets, VGG-16 and MobileNetV2 (bench/memory): gaps in ONNX Runtime's arena and kernels' scratch memory add up to 15 %,
 * the program keeps the state of two steps beside the engine's, and the engine's library and the loaded graph take some.
 */
const GAPS = 1.15;
const STATES = 2;
const LOADING = 64e6;

/**
 * The step within a memory budget in bytes: activations, gradients, parameters, optimiser state and the engine's own needs, without
 * what the process held before. Activations that do not fit are computed a second time; losses and weights stay the same bit for
 * bit. Contract: the step was built with `dims` for all symbols. Throws MemoryBudgetError, which names the least feasible
 * budget, where no choice fits; `held` (bytes that the process holds already) is only added to the figures of its message.
 */
export function fitMemory(step: StepGraph, budget: number, held = 0): FittedStep {
  const { outputs } = step;
  const extra = [...outputs.terms.values(), ...outputs.correct.values()];
  const state = step.state.reduce((sum, { initial }) => sum + initial.bytes.byteLength, 0);
  const wholeOf = ({ bytes }: Pick<RunMemory, 'bytes'>): number => GAPS * bytes + STATES * state + LOADING;
  const room = (budget - STATES * state - LOADING) / GAPS;
  try {
    const found = rematerialise(step.model, { forward: [outputs.loss, ...extra], budget: room });
    const { repeated, extraTime } = found;
    return {
      step: { ...step, model: found.model },
      bytes: wholeOf(found.after),
      plainBytes: wholeOf(found.before),
      repeated,
      extraTime,
    };
  } catch (error) {
    if (!(error instanceof MemoryBudgetError)) throw error;
    throw new MemoryBudgetError(budget + held, wholeOf({ bytes: error.least }) + held);
  }
}

/**
 * As `fitMemory`, for a budget of the whole process: what it holds already (program, engine, images) is taken off first. In browsers,
 * which do not tell that, the budget is the step's own.
 */
export async function fitProcess(step: StepGraph, budget: number): Promise<FittedStep> {
  if (!isNode) return fitMemory(step, budget);
  const { memoryUse } = await import('../platform/node/cpu.js');
  const held = memoryUse().residentBytes;
  return fitMemory(step, budget - held, held);
}
