/** @file Device labs as the page sees them: those whose folders lie in the open one, and the one that the studio was told of. */
import { inEnglish } from '../platform/index.js';
import * as z from 'zod/mini';
import { openLabClient, parseLabFile, readLab, LAB_FILES } from '../measure/lab/lab-folder.js';
import type { LabClient } from '../measure/lab/client.js';
import { isLoopback } from '../measure/lab/guard.js';
import { jobKinds, type JobView, type ResultView, type SubmitAnswer } from '../measure/lab/protocol.js';
import { sha256 } from '../platform/node/hash.js';
import { basename, exists, joinPath, readBytes, readJson } from '../platform/node/files.js';
import { lanAddresses } from '../platform/node/network.js';
import { RefusedError } from './errors.js';
import type { LabMeasureView, LabView } from './messages.js';
import type { WorkspaceFiles } from './workspace.js';

/** A lab that the studio was started with: its folder or URL, and the owner's token for a URL. */
export interface LabPlace {
  readonly place: string;
  readonly token?: string;
}

/** Names the lab of the command line; all others are paths in the open folder. */
export const GIVEN_LAB = ':given';

/** Jobs and results that are shown, the newest. */
const MOST = 200;
/** A lab on this machine answers at once. */
const LOOK_MS = 400;

const submitSchema = z.strictObject({
  /** Names; empty for any one device. */
  devices: z.array(z.string().check(z.minLength(1), z.maxLength(64))).check(z.maxLength(100)),
  model: z.string(),
  kind: z.enum(jobKinds),
  backend: z.string().check(z.regex(/^[a-z][a-z0-9-]{0,31}$/)),
  threads: z.optional(z.int().check(z.gte(1), z.lte(256))),
  runs: z.int().check(z.gte(1), z.lte(10_000)),
  again: z.optional(z.boolean()),
});

/** All labs of one studio. */
export class Labs {
  readonly #files: WorkspaceFiles;
  readonly #given: LabPlace | undefined;
  /** Addresses by which other machines reach a lab, by its own address. */
  readonly #reached = new Map<string, readonly string[]>();

  constructor(files: WorkspaceFiles, given: LabPlace | undefined) {
    this.#files = files;
    this.#given = given;
  }

  /** Everything of a lab. Without its server: what its journal says. Throws LabError, PathOutsideError. */
  async view(path: string): Promise<LabView> {
    const client = await this.#client(path);
    const folder = await this.#folder(path);
    if (client === undefined) {
      const queue = await readLab(folder!);
      const devices = queue.devices(Date.now()).map((device) => ({ ...device, live: false }));
      return { path, running: false, join: null, devices, ...recent(queue.jobs(), queue.results()) };
    }
    const [devices, jobs, results] = await Promise.all([client.devices(), client.jobs(), client.results()]);
    return { path, running: true, join: await this.#join(client, folder), devices, ...recent(jobs, results) };
  }

  /** Sends a model of the open folder and adds its jobs. Throws RefusedError, LabError, PathOutsideError. */
  async submit(path: string, json: unknown): Promise<SubmitAnswer> {
    const parsed = submitSchema.safeParse(json, inEnglish);
    if (!parsed.success) {
      const { path: at, message } = parsed.error.issues[0]!;
      throw new RefusedError(400, 'lab', `${at.join('.') || 'the job'}: ${message}`, 'Correct the form and try again.');
    }
    const { devices, model, kind, backend, threads, runs, again } = parsed.data;
    const bytes = await readBytes(await this.#files.path(model));
    const client = await this.#running(path);
    const digest = sha256(bytes);
    if (!(await client.holds(digest))) await client.putModel(digest, bytes);
    return await client.submit({
      devices,
      specs: [
        {
          ...{ kind, model: digest, name: basename(model).slice(0, 200), backend, dims: {}, runs, warmup: 5 },
          ...(threads !== undefined && { threads }),
        },
      ],
      ...(again !== undefined && { again }),
    });
  }

  /** Takes a job back. Throws LabError. */
  async cancel(path: string, id: string): Promise<JobView> {
    if (!/^[\w-]{1,64}$/.test(id)) throw new RefusedError(400, 'lab', 'that is no name of a job');
    return await (await this.#running(path)).cancel(id);
  }

  /** Real path of a lab's folder; `undefined` where it is known by its URL. */
  async #folder(path: string): Promise<string | undefined> {
    if (path !== GIVEN_LAB) return await this.#files.path(path);
    const { place } = this.#theGiven();
    return isUrl(place) ? undefined : place;
  }

  /** Its server; `undefined` where none answers. */
  async #client(path: string): Promise<LabClient | undefined> {
    const folder = await this.#folder(path);
    if (folder === undefined) {
      const { place, token } = this.#theGiven();
      return await openLabClient(place, token);
    }
    if (!(await exists(joinPath(folder, LAB_FILES.server)))) {
      await readLab(folder);
      return undefined;
    }
    const client = await openLabClient(folder);
    // A folder from elsewhere must not make this machine ask another one.
    if (path !== GIVEN_LAB && !isLocal(client.url))
      throw new RefusedError(
        403,
        'lab',
        `this lab runs at ${client.url}, not on this machine`,
        `Start the studio with --lab ${client.url} --lab-token TOKEN.`,
      );
    return (await answers(client)) ? client : undefined;
  }

  async #running(path: string): Promise<LabClient> {
    const client = await this.#client(path);
    if (client === undefined)
      throw new RefusedError(409, 'lab', 'no server runs this lab', `Start it: cuttle lab serve --dir ${path || '.'}`);
    return client;
  }

  #theGiven(): LabPlace {
    if (this.#given === undefined)
      throw new RefusedError(404, 'lab', 'this studio was started without a lab', 'Say: cuttle studio --lab PLACE');
    return this.#given;
  }

  /** How devices come in. Addresses carry the join token behind the `#`, which no server is told. */
  async #join(client: LabClient, folder: string | undefined): Promise<LabView['join']> {
    if (folder === undefined) return null;
    const { id, joinToken: token } = parseLabFile(await readJson(joinPath(folder, LAB_FILES.lab)));
    const pages = [client.url, ...(await this.#others(client.url, id))].map((url) => `${url}/#token=${token}`);
    return { pages, command: `cuttle lab join ${pages.at(-1)!.split('/#')[0]!} --token ${token}` };
  }

  /** Addresses of this machine at which the same lab answers other machines. */
  async #others(url: string, id: string): Promise<readonly string[]> {
    const known = this.#reached.get(url);
    if (known !== undefined) return known;
    const { protocol, port } = new URL(url);
    const candidates = lanAddresses().map((address) => `${protocol}//${address}:${port}`);
    const same = await Promise.all(candidates.map((base) => isLab(base, id)));
    const found = candidates.filter((_, i) => same[i]);
    this.#reached.set(url, found);
    return found;
  }
}

const isUrl = (place: string): boolean => /^https?:\/\//.test(place);

/** On this machine: loopback, or one of its own addresses. */
function isLocal(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  return isLoopback(host) || lanAddresses().includes(host);
}

/** A killed server leaves its address behind. Throws what the server refuses. */
async function answers(client: LabClient): Promise<boolean> {
  return await isLab(client.url, undefined);
}

async function isLab(base: string, id: string | undefined): Promise<boolean> {
  try {
    const response = await fetch(`${base}/lab/v1`, { signal: AbortSignal.timeout(LOOK_MS), redirect: 'error' });
    const { lab } = (await response.json()) as { readonly lab?: unknown };
    return typeof lab === 'string' && (id === undefined || lab === id);
  } catch {
    return false;
  }
}

function recent(
  jobs: readonly JobView[],
  results: readonly ResultView[],
): Pick<LabView, 'jobs' | 'measures' | 'totals'> {
  const totals = { queued: 0, running: 0, done: 0, failed: 0, cancelled: 0 };
  for (const { state } of jobs) totals[state]++;
  const newest = <T extends { readonly submittedAt: number }>(all: readonly T[]): readonly T[] =>
    [...all].sort((a, b) => b.submittedAt - a.submittedAt).slice(0, MOST);
  return { totals, jobs: newest(jobs), measures: newest(results).map(measureOf) };
}

/** What the kinds of results have in common. */
function measureOf({ id, runBy, spec, value }: ResultView): LabMeasureView {
  const given = value as {
    readonly latencyMs?: { readonly p50: number; readonly p90: number };
    readonly backboneMs?: number;
    readonly loadMs?: number;
    readonly firstMs?: number;
    readonly device?: { readonly executionProvider?: string; readonly threads?: number };
  };
  const { latencyMs, backboneMs, loadMs, firstMs, device } = given;
  return {
    ...{ id, device: runBy ?? '', model: spec.name, kind: spec.kind },
    ...{ backend: device?.executionProvider ?? spec.backend, threads: device?.threads ?? spec.threads ?? null },
    p50: latencyMs?.p50 ?? backboneMs ?? null,
    p90: latencyMs?.p90 ?? null,
    ...{ loadMs: loadMs ?? null, firstMs: firstMs ?? null },
  };
}
