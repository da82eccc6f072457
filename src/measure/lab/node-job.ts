/** @file The script of a Node agent's thread: one job, one answer. */
import { connectToParent } from '../../platform/node/thread-link.js';
import { answerJob } from './answer-job.js';
import type { JobReply, JobRequest } from './page/job-messages.js';

const parent = connectToParent<JobRequest, JobReply, undefined>();
parent.onMessage((request) => void answerJob(request).then((reply) => parent.post(reply)));
