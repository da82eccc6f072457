/** @file The script of a Node agent's measuring process: one job, one answer. */
import { answerParent } from '../../platform/node/ask-child.js';
import type { JobRequest } from './page/job-messages.js';
import { runLabJob } from './run-job.js';

answerParent<JobRequest, unknown>(({ spec, model }) => runLabJob(spec, model));
