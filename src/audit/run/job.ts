/** @file One file audited in a process of its own: its checksum, then its record, which appears whole or not at all. */
import { CuttleError } from '../../ir/index.js';
import { dirname, fileInfo, joinPath, openFile } from '../../platform/node/files.js';
import { openSha256 } from '../../platform/node/hash.js';
import { analyseModel } from '../analyse/index.js';
import { nodeHost } from '../node-host.js';
import type { AppOrigin } from '../record.js';
import { itemName } from '../sources/item.js';
import type { AuditJob, JobOutcome } from './outcome.js';
import { existingRecord, originOf, outcomeOf, recordPath, writeRecord } from './records.js';
import { auditToRecord, isWorthKeeping } from './to-record.js';

/** Audits a file and writes its record, unless one for the same contents is there. Throws what writing throws. */
export async function runJob(job: AuditJob): Promise<JobOutcome> {
  const { item, file, records, maxModelBytes } = job;
  let origin: AppOrigin;
  try {
    origin = await originOf(item, file);
  } catch (cause) {
    if (!(cause instanceof CuttleError)) throw cause;
    return { status: 'unavailable', reason: cause.message };
  }
  const { sha256, bytes } = origin;
  const path = recordPath(records, sha256);
  const known = await existingRecord(path);
  if (known !== undefined) return outcomeOf(known, true);
  await using source = await openFile(file);
  const record = await auditToRecord(source, origin, {
    analyse: analyseModel,
    name: itemName(item),
    hasher: openSha256,
    host: nodeHost,
    maxModelBytes,
    ...(item.kind === 'file' && {
      openSibling: async (name: string) => {
        const sibling = joinPath(dirname(file), name);
        return (await fileInfo(sibling))?.kind === 'file' ? openFile(sibling) : undefined;
      },
    }),
  });
  if (item.named === undefined && !isWorthKeeping(record)) return { status: 'nothing', sha256, bytes };
  await writeRecord(path, record);
  return outcomeOf(record, false);
}
