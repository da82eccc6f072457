/** @file `cuttle audit worker`: audits apps for runs elsewhere that put them into a queue. */
import { DEFAULT_WORKER_BYTES, localExecutor, serveQueue } from '../../audit/node.js';
import { now } from '../../platform/index.js';
import { describeNodeHost } from '../../platform/node/cpu.js';
import { joinPath, removeFolder } from '../../platform/node/files.js';
import { makeOwnedFolder } from '../../platform/node/owned-folder.js';
import { auditWorkerFlags, auditWorkerOptions } from '../audit-options.js';
import { formatDuration } from '../console.js';
import { defineVerb } from '../verb.js';

export const auditWorker = defineVerb({
  name: 'worker',
  summary: 'Audit apps for runs that put them into a queue (cuttle audit --queue).',
  args: [],
  flags: auditWorkerFlags,
  options: auditWorkerOptions,
  examples: ['cuttle audit worker --queue redis://127.0.0.1:6379 --workers 2 --idle 60'],
  async run({ options, console, signal }) {
    const { queue, memory = DEFAULT_WORKER_BYTES, timeLimit, map, idle, lock } = options;
    const started = now();
    const folder = await makeOwnedFolder('cuttle-audit-worker-');
    const done = { jobs: 0, recorded: 0, failed: 0 };
    try {
      await using executor = localExecutor({
        workers: options.workers ?? describeNodeHost().logicalCores,
        memoryBytes: memory,
        workFolder: joinPath(folder, 'work'),
        ...(timeLimit !== undefined && { timeMs: timeLimit * 1000 }),
      });
      console.log(`waiting for jobs of ${new URL(queue).host}`);
      await serveQueue({
        url: queue,
        executor,
        map,
        signal,
        lockMs: lock * 1000,
        ...(idle !== undefined && { idleMs: idle * 1000 }),
        onJob: ({ status }) => {
          done.jobs++;
          if (status === 'recorded') done.recorded++;
          if (status === 'failed') done.failed++;
        },
      });
    } finally {
      await removeFolder(folder);
    }
    const seconds = (now() - started) / 1000;
    return {
      json: { ...done, seconds },
      text: `${done.jobs} files in ${formatDuration(seconds * 1000)}: ${done.recorded} recorded, ${done.failed} failed`,
    };
  },
});
