/** @file The thread that watches its own process, also while that computes: too much memory, or a parent that is gone, end it. */
import { writeFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import type { ChildStart } from './child-pool.js';

const { parent, memoryBytes, reasonFile } = workerData as ChildStart;

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  const used = process.memoryUsage.rss();
  if (used <= memoryBytes) return;
  writeFileSync(reasonFile, `it needed more than ${Math.round(memoryBytes / 2 ** 20)} MiB of memory`);
  process.kill(process.pid, 'SIGKILL');
}, 100);
