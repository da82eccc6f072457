/** @file What a split session answers, and what it reports on the way. */
import type { WalkAnswer } from '../segment-walk.js';
import type { SplitPlan } from './plan.js';
import type { RemoteFailure } from './transport.js';

/**
 * Why the device answered:
 * - `no-server`: there is none.
 * - `planned`: the scheduler chose to run everything on the device.
 * - `exit`: an exit was sure enough before anything was sent.
 * - `first`: an exit on the device (or the network's end) was there before the server's answer.
 * - `surer`: the server's last exit was less sure than an exit on the device, and the most confident one answers.
 * - `deadline`: time was up.
 * - `unreachable`: the server did not answer before; it is being probed.
 * - `failed`: this request failed.
 */
export type LocalReason = 'no-server' | 'planned' | 'exit' | 'first' | 'surer' | 'deadline' | 'unreachable' | 'failed';

/** Where the time of one inference went, ms. Parts that did not happen are 0. */
export interface SplitTimes {
  /** From the call to the answer. */
  readonly total: number;
  /** Inside the runtime on the device. */
  readonly device: number;
  readonly pack: number;
  /** From sending to the whole reply. */
  readonly remote: number;
  /** What the server said of itself: compute and queue. */
  readonly server: number;
  readonly queue: number;
}

/** The answer for one sample. */
export interface SplitAnswer extends Omit<WalkAnswer, 'reached'> {
  readonly where: 'device' | 'server';
  /** Why the device answered; absent for the server's answers. */
  readonly reason?: LocalReason;
  /** What went wrong with this request, or with the one that made the server count as unreachable. */
  readonly failure?: RemoteFailure;
  /** Whether a deadline was given and passed. */
  readonly late: boolean;
  /** Bytes of message bodies. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly times: SplitTimes;
  /** What was decided for this sample. */
  readonly plan: SplitPlan;
}

/** What happens in a session, as it happens. `at` is ms on the session's clock; `frame` counts inferences from 0. */
export type SplitEvent =
  /** A plan for the inferences from now on. */
  | { readonly kind: 'decision'; readonly at: number; readonly plan: SplitPlan; readonly reachable: boolean }
  /** A request has gone. */
  | {
      readonly kind: 'offload';
      readonly at: number;
      readonly frame: number;
      readonly cut: number;
      readonly bytes: number;
    }
  /** A request was called off: its answer is not needed any more, or not in time. */
  | {
      readonly kind: 'cancelled';
      readonly at: number;
      readonly frame: number;
      readonly reason: 'first' | 'deadline' | 'aborted';
      readonly afterMs: number;
    }
  /** A request failed; the device answers. */
  | { readonly kind: 'failed'; readonly at: number; readonly frame: number; readonly failure: RemoteFailure }
  /** The server was asked how it is, beside the device's own work. */
  | {
      readonly kind: 'probe';
      readonly at: number;
      readonly answered: boolean;
      readonly ms: number;
      readonly failure?: RemoteFailure;
    };
