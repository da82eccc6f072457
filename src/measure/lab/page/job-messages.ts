/** @file What an agent and the worker that measures for it say to each other, in pages and in Node. */
import type { JobError, JobSpec } from '../protocol.js';

export interface JobRequest {
  readonly spec: JobSpec;
  readonly model: Uint8Array;
}

export type JobReply =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: JobError };
