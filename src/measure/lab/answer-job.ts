/** @file One job in a worker's own words: measured, and whatever goes wrong as plain data. */
import { CuttleError } from '../../ir/index.js';
import type { JobReply, JobRequest } from './page/job-messages.js';
import { runLabJob } from './run-job.js';

/** Does a job; never throws. */
export async function answerJob({ spec, model }: JobRequest): Promise<JobReply> {
  try {
    return { ok: true, value: await runLabJob(spec, model) };
  } catch (error) {
    const known = error instanceof CuttleError ? error : undefined;
    const { kind = 'failed', code = 'lab/agent', hint } = known ?? {};
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, error: { kind, code, message, ...(hint !== undefined && { hint }) } };
  }
}
