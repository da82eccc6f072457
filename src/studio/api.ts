/** @file The studio's API: one table of routes; each reads what it is asked for from the workspace and answers with JSON or bytes. */
import * as z from 'zod/mini';
import { checkDesign, designChoice, parseDesign, type DesignChoice } from '../exits/index.js';
import { decodeModel } from '../onnx/index.js';
import { loadModel } from '../onnx/node.js';
import { CuttleError } from '../ir/index.js';
import { inEnglish } from '../platform/index.js';
import { BodyError } from '../platform/node/web-exchange.js';
import type { WebRequest, WebResponse } from '../platform/node/web-server.js';
import { basename, fileInfo, FileError, readJson } from '../platform/node/files.js';
import { parseProfile, profileModel, type Profile } from '../runtime/index.js';
import { parseSplitProfile } from '../split/index.js';
import { compareModels } from './compare.js';
import { auditApps, auditRecord } from './audit-view.js';
import { RefusedError } from './errors.js';
import { findInWorkspace, IMAGE_TYPES, MEMO_FILE } from './find.js';
import type { Jobs } from './jobs.js';
import { GIVEN_LAB, type LabPlace, Labs } from './lab-view.js';
import { viewOf } from './model-view.js';
import { runViewOf } from './run-view.js';
import { openTry, type TryModel } from './try-image.js';
import type { WorkspaceFiles } from './workspace.js';

/** What the routes work on. */
export interface ApiContext {
  readonly files: WorkspaceFiles;
  readonly jobs: Jobs;
  readonly version: string;
  /** A lab besides those in the folder. */
  readonly lab: LabPlace | undefined;
  /** Largest file that may be uploaded, bytes. */
  readonly uploadBytes: number;
}

/** A memo larger than that would not fit into a page's memory together with what is made of it. */
const MAX_MEMO_BYTES = 2 ** 29;
/** Larger than any photograph that somebody tries. */
const MAX_TRY_BYTES = 2 ** 25;
/** Of a small JSON request. */
const MAX_JSON_BYTES = 2 ** 20;

type Route = (call: Call) => Promise<WebResponse>;

interface Call {
  readonly request: WebRequest;
  readonly query: (name: string) => string;
  readonly optional: (name: string) => string | undefined;
}

/** The API. Answers are never thrown: a refusal is an answer, too. */
export class Api {
  readonly #context: ApiContext;
  readonly #routes: Readonly<Record<string, Route>>;
  /** The model that images were last tried on. */
  #tried: { readonly key: string; readonly model: TryModel } | undefined;
  /** Layers measured from the page, by model path. */
  readonly #measured = new Map<string, { readonly modifiedMs: number; readonly profile: Profile }>();

  constructor(context: ApiContext) {
    this.#context = context;
    const { files, jobs } = context;
    const labs = new Labs(files, context.lab);
    this.#routes = {
      'GET workspace': async () => {
        const found = await findInWorkspace(files.root, { name: basename(files.root), version: context.version });
        const given = context.lab === undefined ? [] : [{ path: GIVEN_LAB, name: context.lab.place }];
        return json({ ...found, labs: [...given, ...found.labs] });
      },
      'GET model': ({ query }) => this.#model(query('path')),
      'POST profile': ({ query, request }) => this.#profile(query('path'), request.signal),
      'GET run': async ({ query }) => json(await runViewOf(files, query('path'))),
      'GET memo': ({ query }) => this.#memo(query('path')),
      'GET image': ({ query }) => this.#image(query('path')),
      'GET split': async ({ query }) => json(parseSplitProfile(await readJson(await files.path(query('path'))))),
      'POST try': (call) => this.#try(call),
      'POST upload': (call) => this.#upload(call),
      'GET compare': async ({ query }) =>
        json(
          compareModels(await loadModel(await files.path(query('a'))), await loadModel(await files.path(query('b')))),
        ),
      'GET audit': async ({ query }) => json(await auditApps(files, query('path'))),
      'GET record': async ({ query }) => json(await auditRecord(files, query('path'), query('name'))),
      'GET lab': async ({ query }) => json(await labs.view(query('path'))),
      'POST lab-jobs': async ({ query, request }) =>
        json(await labs.submit(query('path'), await bodyJson(request)), 201),
      'POST lab-cancel': async ({ query }) => json(await labs.cancel(query('path'), query('id'))),
      'GET jobs': async () => json(jobs.list()),
      'POST jobs': async ({ request }) => json(await jobs.start(await bodyJson(request)), 201),
      'POST stop': async ({ query }) => json(jobs.stop(Number(query('id')))),
      'GET events': async ({ query, optional, request }) => ({
        status: 200,
        headers: new Headers({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' }),
        body: eventStream(jobs.events(Number(query('id')), Number(optional('from') ?? 0), request.signal)),
      }),
    };
  }

  /** Answers a request whose path begins with `/api/`. */
  async answer(request: WebRequest): Promise<WebResponse> {
    const name = request.url.pathname.slice('/api/'.length);
    const route = Object.hasOwn(this.#routes, `${request.method} ${name}`)
      ? this.#routes[`${request.method} ${name}`]
      : undefined;
    try {
      if (route === undefined) throw new RefusedError(404, 'no-route', `there is no ${request.method} ${name}`);
      const optional = (parameter: string): string | undefined => request.url.searchParams.get(parameter) ?? undefined;
      const query = (parameter: string): string => {
        const value = optional(parameter);
        if (value === undefined) throw new RefusedError(400, 'query', `?${parameter}= is missing`);
        return value;
      };
      return await route({ request, query, optional });
    } catch (error) {
      return refusal(error);
    }
  }

  async close(): Promise<void> {
    await this.#tried?.model[Symbol.asyncDispose]();
  }

  async #model(path: string): Promise<WebResponse> {
    const { files } = this.#context;
    const real = await modelPath(files, path);
    const info = await fileInfo(real);
    const measured = this.#measured.get(path);
    const profile =
      measured !== undefined && measured.modifiedMs === info?.modifiedMs
        ? { from: 'measured now', profile: measured.profile }
        : await profileBeside(files, path);
    const context = { path, bytes: info?.size ?? 0, ...(profile && { profile }) };
    return json(viewOf(await loadModel(real), context));
  }

  async #profile(path: string, signal: AbortSignal): Promise<WebResponse> {
    const real = await modelPath(this.#context.files, path);
    const profile = await profileModel(await loadModel(real), { threads: 1, signal });
    this.#measured.set(path, { modifiedMs: (await fileInfo(real))?.modifiedMs ?? 0, profile });
    return await this.#model(path);
  }

  async #memo(folder: string): Promise<WebResponse> {
    const { files } = this.#context;
    const path = folder === '' ? MEMO_FILE : `${folder}/${MEMO_FILE}`;
    const size = await files.size(path);
    if (size > MAX_MEMO_BYTES)
      throw new RefusedError(
        413,
        'memo',
        `the memo has ${size} bytes, more than a page can hold`,
        'Search with the command: cuttle adapt.',
      );
    return bytes(await files.read(path), 'application/octet-stream');
  }

  async #image(path: string): Promise<WebResponse> {
    const type = IMAGE_TYPES[path.slice(path.lastIndexOf('.') + 1).toLowerCase()];
    if (type === undefined) throw new RefusedError(400, 'image', `'${path}' is no image that is shown here`);
    return bytes(await this.#context.files.read(path), type);
  }

  async #try({ request, query, optional }: Call): Promise<WebResponse> {
    const { files } = this.#context;
    const path = query('path');
    const design = designGiven(optional('design'));
    const image = await body(request, MAX_TRY_BYTES);
    const real = await modelPath(files, path);
    const key = `${real} ${(await fileInfo(real))?.modifiedMs}`;
    if (this.#tried?.key !== key) {
      await this.#tried?.model[Symbol.asyncDispose]();
      this.#tried = undefined;
      this.#tried = { key, model: await openTry(real) };
    }
    return json(await this.#tried.model.try(image, design, request.signal));
  }

  /** A new file in the open folder: a model (which must be one), a split profile or an image. Nothing is replaced. */
  async #upload({ request, query }: Call): Promise<WebResponse> {
    const { files, uploadBytes } = this.#context;
    const name = query('name');
    if (!/^[\p{L}\p{N}_][\p{L}\p{N}_. -]{0,120}$/u.test(name) || name.includes('/'))
      throw new RefusedError(400, 'name', `'${name.slice(0, 60)}' is no name for a file here`, 'Rename the file.');
    const extension = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
    const given = await body(request, uploadBytes);
    if (extension === 'onnx') decodeModel(given);
    else if (extension === 'json') parseSplitProfile(new TextDecoder().decode(given));
    else if (IMAGE_TYPES[extension] === undefined)
      throw new RefusedError(
        400,
        'type',
        `'${name}' is no model, split profile or image`,
        'Upload .onnx, .json or an image.',
      );
    await files.write(name, given);
    return json({ path: name, bytes: given.length }, 201);
  }
}

/** The real path of a model file. */
async function modelPath(files: WorkspaceFiles, path: string): Promise<string> {
  if (!path.toLowerCase().endsWith('.onnx')) throw new RefusedError(400, 'model', `'${path}' is no ONNX file`);
  return await files.path(path);
}

/** `profile.json` beside a model, as `cuttle adapt` leaves it; whether it is of this model is looked at where it is used. */
async function profileBeside(
  files: WorkspaceFiles,
  path: string,
): Promise<{ readonly from: string; readonly profile: Profile } | undefined> {
  const slash = path.lastIndexOf('/');
  const beside = `${path.slice(0, slash + 1)}profile.json`;
  try {
    return { from: beside, profile: parseProfile(await readJson(await files.path(beside))) };
  } catch (error) {
    if (error instanceof FileError || (error instanceof CuttleError && error.kind === 'invalid')) return undefined;
    throw error;
  }
}

const choiceSchema = z.object({
  exits: z.array(z.int()),
  policy: z.object({
    kind: z.enum(['confidence', 'entropy', 'margin', 'patience']),
    thresholds: z.union([z.number(), z.array(z.number())]),
    temperatures: z.optional(z.array(z.number())),
  }),
  fallback: z.enum(['most-confident', 'last']),
  truncated: z.optional(z.boolean()),
});

/** A design as the page gives it: a design file, or a bare choice. Throws InvalidDesignError and RefusedError. */
function designGiven(text: string | undefined): DesignChoice | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RefusedError(400, 'design', 'the design is not JSON');
  }
  if (typeof value === 'object' && value !== null && 'format' in value) return designChoice(parseDesign(value));
  const parsed = choiceSchema.safeParse(value, inEnglish);
  if (!parsed.success) throw new RefusedError(400, 'design', `the design is none: ${parsed.error.issues[0]!.message}`);
  const choice = parsed.data as DesignChoice;
  checkDesign(choice, Infinity);
  return choice;
}

async function body(request: WebRequest, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = (): RefusedError =>
    new RefusedError(413, 'too-large', `at most ${limit} bytes can be sent here`, 'Send something smaller.');
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > limit) throw tooLarge();
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

async function bodyJson(request: WebRequest): Promise<unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(await body(request, MAX_JSON_BYTES))) as unknown;
  } catch (error) {
    if (error instanceof CuttleError) throw error;
    throw new RefusedError(400, 'json', 'the request is not JSON');
  }
}

/** Server-sent events, one per value. */
async function* eventStream(values: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const value of values) yield encoder.encode(`data: ${JSON.stringify(value)}\n\n`);
}

function json(value: unknown, status = 200): WebResponse {
  return {
    status,
    headers: new Headers({ 'content-type': 'application/json', 'cache-control': 'no-store' }),
    body: new TextEncoder().encode(JSON.stringify(value)),
  };
}

function bytes(value: Uint8Array, type: string): WebResponse {
  return { status: 200, headers: new Headers({ 'content-type': type, 'cache-control': 'no-store' }), body: value };
}

/** An error as an answer. Defects are named as such, without a trace. */
export function refusal(error: unknown): WebResponse {
  if (!(error instanceof CuttleError)) {
    const message = `internal error: ${error instanceof Error ? error.message : String(error)}`;
    return json({ error: { code: 'internal', message, hint: 'Please report this.' } }, 500);
  }
  const { code, message, hint } = error;
  return json({ error: { code, message, ...(hint !== undefined && { hint }) } }, statusOf(error));
}

function statusOf(error: CuttleError): number {
  if (error instanceof RefusedError) return error.status;
  if (error instanceof BodyError) return error.fault === 'too-large' ? 413 : 408;
  if (error.code === 'platform/path-outside') return 403;
  if (error.code === 'platform/file-exists') return 409;
  if (error.code === 'platform/read') return 404;
  return { failed: 500, usage: 400, invalid: 422, unsupported: 422 }[error.kind];
}
