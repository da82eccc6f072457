/** @file The lab as a whole: its folder, its journal, its door and its clock, started and stopped together. */
import { exists, joinPath, readJson, removeFile } from '../../platform/node/files.js';
import { openLineLog } from '../../platform/node/line-log.js';
import { randomToken, writePrivateJson } from '../../platform/node/private-file.js';
import { listenWeb, type ListenOptions, type WebLimits } from '../../platform/node/web-server.js';
import { LabClient } from './client.js';
import { LabError } from './errors.js';
import type { LabEvent } from './events.js';
import { MESSAGE_BYTES, openLabFront } from './front.js';
import { isLoopback } from './guard.js';
import { LAB_FILES, parseLabFile, type LabFile } from './lab-folder.js';
import { ModelStore } from './models.js';
import { servePage } from './page-files.js';
import type { ResultView } from './protocol.js';
import { LabService } from './service.js';

export interface LabOptions {
  /** Where everything is kept; made where it is not there. */
  readonly folder: string;
  /** 127.0.0.1 where omitted. */
  readonly host?: string;
  /** 8,420 where omitted; 0 for any free one. */
  readonly port?: number;
  readonly tls?: ListenOptions['tls'];
  /** Names besides addresses and `localhost` by which the lab may be asked. */
  readonly names?: readonly string[];
  /** A lease ends this long after its last heartbeat; 30 s where omitted. */
  readonly leaseMs?: number;
  /** Leases of a job that may be lost before it counts as failed; 3 where omitted. */
  readonly maxAttempts?: number;
  /** 1,000 where omitted. */
  readonly maxDevices?: number;
  /** Unsettled jobs at most; 100,000 where omitted. */
  readonly maxJobs?: number;
  /** Most of one model; 512 MiB where omitted. */
  readonly maxModelBytes?: number;
  readonly limits?: Partial<WebLimits>;
  readonly onEvent?: (event: LabEvent) => void;
  readonly onResult?: (result: ResultView) => void;
  /** An error that is the lab's own. */
  readonly onDefect?: (error: unknown) => void;
}

export interface Lab extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly file: LabFile;
  readonly service: LabService;
  /** Stops answering; what was promised is in the journal. */
  close(): Promise<void>;
}

/** What one lab may hold where nothing else is said. */
const LIMITS = { leaseMs: 30_000, maxAttempts: 3, maxDevices: 1000, maxJobs: 100_000, maxModelBytes: 2 ** 29 } as const;

/**
 * Starts a lab in a folder, or resumes the one that is there: devices, jobs and results come back from the journal. Throws
 * LabError where another server already runs it, ListenError, and FileError.
 */
export async function startLab(options: LabOptions): Promise<Lab> {
  const { folder, host = '127.0.0.1', onDefect } = options;
  const { leaseMs, maxAttempts, maxDevices, maxJobs, maxModelBytes } = { ...LIMITS, ...defined(options) };
  const file = await openFolder(folder);
  const journal = await openLineLog(joinPath(folder, LAB_FILES.journal));
  try {
    const service = new LabService({
      ...{ id: file.id, journal, leaseMs, maxAttempts, maxDevices, maxJobs },
      models: new ModelStore(joinPath(folder, LAB_FILES.models)),
      time: Date.now,
      ...(options.onEvent && { onEvent: options.onEvent }),
      ...(options.onResult && { onResult: options.onResult }),
    });
    const defect = (error: unknown): void => onDefect?.(error);
    const listener = await listenWeb({
      host,
      port: options.port ?? 8420,
      ...(options.tls && { tls: options.tls }),
      limits: { ...options.limits, bodyBytes: Math.max(maxModelBytes, MESSAGE_BYTES) },
      handle: openLabFront({
        ...{ service, secrets: file, maxModelBytes },
        names: new Set((options.names ?? []).map((name) => name.toLowerCase())),
        page: servePage,
        onDefect: defect,
      }),
    });
    const timer = setInterval(() => void service.expire().catch(defect), Math.max(20, leaseMs / 4));
    timer.unref();
    // Owners on this machine find the server through its folder, whatever address it listens on.
    const reached = isLoopback(host) ? listener.url : `${options.tls ? 'https' : 'http'}://127.0.0.1:${listener.port}`;
    await writePrivateJson(joinPath(folder, LAB_FILES.server), {
      url: host === '0.0.0.0' || host === '::' ? reached : listener.url,
    });
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      clearInterval(timer);
      service.close();
      await listener.close(2000);
      await journal.close();
      await removeFile(joinPath(folder, LAB_FILES.server));
    };
    const closeOnce = (): Promise<void> => (closing ??= close());
    return {
      url: listener.url,
      port: listener.port,
      file,
      service,
      close: closeOnce,
      [Symbol.asyncDispose]: closeOnce,
    };
  } catch (error) {
    await journal.close();
    throw error;
  }
}

function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** The folder's identity and tokens; new ones where it is new. Throws LabError where a server runs there. */
async function openFolder(folder: string): Promise<LabFile> {
  const path = joinPath(folder, LAB_FILES.lab);
  if (!(await exists(path))) {
    const made: LabFile = {
      kind: 'cuttle.lab',
      version: 1,
      id: randomToken(9),
      ownerToken: randomToken(24),
      joinToken: randomToken(9),
    };
    await writePrivateJson(path, made);
    return made;
  }
  const file = parseLabFile(await readJson(path));
  const server = joinPath(folder, LAB_FILES.server);
  if (await exists(server)) {
    const { url } = (await readJson(server)) as { readonly url?: unknown };
    // A killed server leaves its address behind: what counts is whether it still answers.
    if (typeof url === 'string' && (await answers(url, file)))
      throw new LabError('usage', 'lab/running', `a server at ${url} already runs this lab`, {
        hint: 'Use that one, or stop it first.',
      });
  }
  return file;
}

async function answers(url: string, { ownerToken }: LabFile): Promise<boolean> {
  try {
    await new LabClient({ url, token: ownerToken, timeoutMs: 2000 }).devices();
    return true;
  } catch {
    return false;
  }
}
