/** @file What ONNX Runtime's profiler itself adds to the times that it reports, measured on operators without work. */
import { GraphBuilder, makeGraph, makeModel, Tensor, tensorType, type Model } from '../ir/index.js';
import type { Kernel, KernelTimes } from './kernel-events.js';

/** The profiler's part, ms. */
export interface ProfilerShare {
  /** Inside every time that is reported of a kernel: it describes inputs and outputs before it stops the clock. */
  readonly perKernel: number;
  /** Of a whole run, per kernel: what a kernel inside a branch or a loop adds to the time reported of that. */
  readonly perInner: number;
  /** An operator without work where nobody watches; no kernel takes less. */
  readonly emptyMs: number;
}

/** Operators in the chain that it is measured on. */
export const TRIFLES = 128;

/** A chain of operators on one number. */
export function trifles(count: number): { readonly model: Model; readonly feeds: Readonly<Record<string, Tensor>> } {
  const b = new GraphBuilder(['a']);
  let value = 'a';
  for (let i = 0; i < count; i++) value = b.op('Sigmoid', [value]);
  const dims = [1, 1, 1, 1];
  const { nodes, initializers } = b;
  const inputs = [{ name: 'a', type: tensorType('float32', dims) }];
  const outputs = [{ name: value, type: tensorType('float32', dims) }];
  return {
    model: makeModel(makeGraph({ name: 'trifles', inputs, outputs, nodes, initializers })),
    feeds: { a: Tensor.floats([0.5], dims) },
  };
}

/** The share from a chain of `TRIFLES` operators: its profile, and what the chain and a chain of one take unwatched, ms. */
export function profilerShare({ kernels, runMs }: KernelTimes, chainMs: number, oneMs: number): ProfilerShare {
  const emptyMs = Math.max(0, chainMs - oneMs) / (TRIFLES - 1);
  const reported = kernels.reduce((sum, { ms }) => sum + ms, 0) / Math.max(1, kernels.length);
  return {
    emptyMs,
    perKernel: Math.max(0, reported - emptyMs),
    perInner: Math.max(0, runMs / Math.max(1, kernels.length) - emptyMs),
  };
}

/** A kernel's time less the profiler's part of it, at least an empty operator's (or what was reported, if that is less). */
export function withoutProfiler(
  { ms, inner = 0, ...kernel }: Kernel,
  { perKernel, perInner, emptyMs }: ProfilerShare,
): Kernel {
  return { ...kernel, ms: Math.max(Math.min(ms, emptyMs), ms - perKernel - inner * perInner) };
}
