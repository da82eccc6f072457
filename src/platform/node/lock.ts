/** @file A file that one living process holds: two do not work in one folder at a time. */
import { open, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { FileError } from './files.js';

const heldHere = new Set<string>();

export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock at `path`. One that a dead process of this machine left is taken over.
 * Throws FileError where a living one, or one of another machine, holds it.
 */
export async function holdLock(path: string): Promise<Lock> {
  const own = JSON.stringify({ pid: process.pid, host: hostname() });
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(own);
      await handle.close();
      heldHere.add(path);
      return {
        release: async () => {
          heldHere.delete(path);
          await rm(path, { force: true });
        },
      };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
        throw new FileError('failed', 'platform/write', path, `'${path}' cannot be written: ${String(cause)}`, {
          cause,
        });
    }
    const holder = await holderOf(path);
    if (holder === undefined && attempt < 3) continue;
    throw new FileError('failed', 'platform/locked', path, `'${path}' is held by ${holder ?? 'another process'}`, {
      hint: 'Wait for it to end, or choose another folder; remove the file where it runs no more.',
    });
  }
}

/** Who holds a lock; `undefined` where its process is dead: the file is removed then. */
async function holderOf(path: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
  const { pid, host } = parse(text);
  if (host !== undefined && host !== hostname()) return `process ${pid} of '${host}'`;
  // A process of another start of this machine may have had our number.
  const alive = pid === process.pid ? heldHere.has(path) : pid !== undefined && isAlive(pid);
  if (alive) return `process ${pid}`;
  await rm(path, { force: true });
  return undefined;
}

/** A kill between making and writing leaves an empty file. */
function parse(text: string): { readonly pid?: number; readonly host?: string } {
  try {
    return JSON.parse(text) as { pid: number; host: string };
  } catch {
    return {};
  }
}

/** Whether a process of this machine lives. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}
