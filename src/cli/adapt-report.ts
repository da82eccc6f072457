/** @file From the outcome of adapt to its HTML report. */
import type { ImageDataset } from '../data/index.js';
import type { Adapted } from '../exits/adapt/adapt.js';
import { joinPath, writeFileAtomic } from '../platform/node/files.js';
import type { AdaptJob } from './run-adapt.js';

export async function writeAdaptReport(job: AdaptJob, adapted: Adapted): Promise<string> {
  const path = joinPath(job.out, 'report.html');
  await writeFileAtomic(path, `${adapted.designs.length}`, { force: true });
  return path;
}

export async function writeExampleImage(path: string, dataset: ImageDataset, index: number): Promise<void> {
  await writeFileAtomic(path, `${index}${dataset.name}`, { force: true });
}
