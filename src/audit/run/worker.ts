/** @file The script of a worker process. */
import { serveParent } from '../../platform/node/child-serve.js';
import { runJob } from './job.js';

serveParent(runJob);
