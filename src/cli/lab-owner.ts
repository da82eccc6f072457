/** @file `cuttle lab submit | devices | jobs | results | query | cancel`: what a lab's owner asks and wants. */
import type { LabClient } from '../measure/lab/client.js';
import { LabError } from '../measure/lab/errors.js';
import { openLabClient, readLab } from '../measure/lab/lab-folder.js';
import type { DeviceView, JobSpec, JobView, ModelFormat, ResultView } from '../measure/lab/protocol.js';
import { resultsCsv } from '../measure/lab/result-rows.js';
import { queryResults, writeResultsParquet } from '../measure/lab/result-store.js';
import { basename, fileInfo, readBytes, readRange, writeFileAtomic } from '../platform/node/files.js';
import { encodeModel } from '../onnx/index.js';
import { sha256 } from '../platform/node/hash.js';
import { milliseconds, textTable } from '../report/index.js';
import { formatDuration } from './console.js';
import type { LabOptions } from './lab-options.js';
import { describeConversion, openForeign } from './open-model.js';
import { UsageError, type VerbContext, type VerbResult } from './verb.js';

type Context = VerbContext<LabOptions>;

/** Sends models and adds a job per model, device and configuration. */
export async function labSubmit({ args, options, console, signal }: Context): Promise<VerbResult> {
  const paths = args.slice(1);
  if (paths.length === 0) throw new UsageError('submit what?', 'Say: cuttle lab submit MODEL.onnx --device NAME');
  const client = await openLabClient(options.lab, options.token);
  const specs: JobSpec[] = [];
  for (const path of paths) {
    for (const { backends, bytes, format } of await filesFor(path, options.backend, console)) {
      const model = sha256(bytes);
      if (!(await client.holds(model, signal))) await client.putModel(model, bytes, signal);
      specs.push(...specsOf(options, { model, format, name: basename(path) }, backends));
    }
  }
  const devices = await chosenDevices(client, options.device ?? [], signal);
  const { jobs, added } = await client.submit({ devices: [...devices], specs, again: options.again }, signal);
  const known = jobs.length - added;
  console.log(`${added} jobs added${known > 0 ? `, ${known} there already (--again measures anew)` : ''}`);
  if (!options.wait) return { json: { jobs, added }, text: jobTable(jobs) };
  const progress = console.progress('jobs', jobs.length);
  const settled: JobView[] = [];
  for (const { id } of jobs) {
    settled.push(await client.settled(id, { signal }));
    progress.update(settled.length);
  }
  progress.end();
  const ids = new Set(settled.map(({ id }) => id));
  const results = (await client.results(signal)).filter(({ id }) => ids.has(id));
  return { json: { jobs: settled, added, results }, text: jobTable(settled, results) };
}

/** Back ends of ONNX Runtime: what is not ONNX is converted for them. */
const ONNX_BACKENDS = ['native', 'wasm', 'webgpu'];

interface ModelFile {
  readonly backends: readonly string[];
  readonly bytes: Uint8Array;
  readonly format: ModelFormat;
}

/** What each back end gets of a model: a TensorFlow Lite file as it is, or converted to ONNX, as other formats always are. */
async function filesFor(
  path: string,
  backends: readonly string[],
  console: Context['console'],
): Promise<readonly ModelFile[]> {
  const isTfLite = (await fileInfo(path))?.kind === 'file' && isTfLiteFile(await readRange(path, 0, 8));
  const direct = isTfLite ? backends.filter((name) => !ONNX_BACKENDS.includes(name)) : [];
  const others = backends.filter((name) => !direct.includes(name));
  const files: ModelFile[] = [];
  if (direct.length > 0) files.push({ backends: direct, bytes: await readBytes(path), format: 'tflite' });
  if (others.length === 0) return files;
  const converted = await openForeign(path, { ends: 'real' });
  if (converted !== undefined) console.log(`${path}: ${describeConversion(converted)}`);
  const bytes = converted === undefined ? await readBytes(path) : encodeModel(converted.model);
  return [...files, { backends: others, bytes, format: 'onnx' }];
}

/** TensorFlow Lite files are flatbuffers with this identifier. */
function isTfLiteFile(head: Uint8Array): boolean {
  return new TextDecoder().decode(head.subarray(4, 8)) === 'TFL3';
}

/** Every combination of what was asked for. */
function specsOf(
  options: LabOptions,
  { model, format, name }: { readonly model: string; readonly format: ModelFormat; readonly name: string },
  backend: readonly string[],
): readonly JobSpec[] {
  const { kind, dim, runs, warmUp: warmup, minSeconds } = options;
  const file = { model, name: name.slice(0, 200), ...(format !== 'onnx' && { format }) };
  const base = { kind, ...file, dims: { ...dim }, runs, warmup };
  const or = <T>(values: readonly T[] | undefined): readonly (T | undefined)[] => values ?? [undefined];
  return backend.flatMap((one) =>
    or(options.threads).flatMap((threads) =>
      or(options.batch).map((batch) => ({
        ...base,
        backend: one,
        ...(threads !== undefined && { threads }),
        ...(batch !== undefined && { batch }),
        ...(minSeconds !== undefined && { minSeconds }),
      })),
    ),
  );
}

async function chosenDevices(
  client: LabClient,
  named: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (!named.includes('all')) return named;
  const all = (await client.devices(signal)).map(({ name }) => name);
  if (all.length === 0)
    throw new LabError('failed', 'lab/no-device', 'no device has joined yet', {
      hint: 'On a device: cuttle lab join URL.',
    });
  return all;
}

/** Devices that ever joined. */
export async function labDevices({ options, signal }: Context): Promise<VerbResult> {
  const devices = await ask(options, {
    live: (client) => client.devices(signal),
    kept: (queue) => queue.devices(Date.now()).map((device) => ({ ...device, live: false })),
  });
  const ago = (ms: number): string => `${formatDuration(Math.max(0, Date.now() - ms))} ago`;
  const text = textTable<DeviceView>(
    [
      { name: 'device', value: ({ name }) => name },
      {
        name: 'state',
        value: ({ live, job, seenAt }) =>
          live ? (job === undefined ? 'waiting' : 'measuring') : `gone ${ago(seenAt)}`,
      },
      { name: 'kind', value: ({ description: { browser, agent } }) => browser ?? agent },
      { name: 'machine', value: ({ description: { soc, cpu } }) => soc ?? cpu },
      { name: 'system', value: ({ description: { os } }) => os },
      { name: 'cores', align: 'right', value: ({ description: { logicalCores } }) => String(logicalCores) },
      {
        name: 'memory',
        align: 'right',
        value: ({ description: { memoryBytes } }) =>
          memoryBytes === undefined ? '–' : `${(memoryBytes / 2 ** 30).toFixed(1)} GiB`,
      },
      {
        name: 'battery',
        align: 'right',
        value: ({ state }) => (state?.batteryLevel === undefined ? '–' : `${Math.round(100 * state.batteryLevel)} %`),
      },
      {
        name: 'heat',
        align: 'right',
        value: ({ state }) =>
          state?.celsius === undefined ? (state?.pressure ?? '–') : `${state.celsius.toFixed(0)} °C`,
      },
      {
        name: 'computes on',
        value: ({ description: { backends } }) =>
          backends.map(({ name, maxThreads }) => `${name}×${maxThreads}`).join(' '),
      },
    ],
    devices,
  );
  return { json: { devices }, text: devices.length > 0 ? text : 'no device has joined yet' };
}

/** All jobs. */
export async function labJobs({ options, signal }: Context): Promise<VerbResult> {
  const jobs = await ask(options, { live: (client) => client.jobs(signal), kept: (queue) => queue.jobs() });
  return { json: { jobs }, text: jobs.length > 0 ? jobTable(jobs) : 'there are no jobs' };
}

/** What was measured, as a table or in a file. */
export async function labResults({ options, signal }: Context): Promise<VerbResult> {
  const results = await ask(options, { live: (client) => client.results(signal), kept: (queue) => queue.results() });
  const { csv, parquet } = options;
  const files: string[] = [];
  if (parquet !== undefined) {
    await writeResultsParquet(parquet, results);
    files.push(parquet);
  }
  if (typeof csv === 'string') {
    await writeFileAtomic(csv, resultsCsv(results), { force: true });
    files.push(csv);
  }
  const text =
    csv === true ? resultsCsv(results) : results.length > 0 ? jobTable(results, results) : 'nothing was measured yet';
  return {
    json: { results, ...(files.length > 0 && { files }) },
    text: files.length > 0 ? `${results.length} results in ${files.join(' and ')}` : text,
  };
}

/** Answers a question in SQL on the results. */
export async function labQuery({ args, options, signal }: Context): Promise<VerbResult> {
  const sql = args[1];
  if (sql === undefined)
    throw new UsageError('query what?', 'Say: cuttle lab query "SELECT device, model, p50_ms FROM results"');
  const results = await ask(options, { live: (client) => client.results(signal), kept: (queue) => queue.results() });
  const rows = await queryResults(results, sql);
  const names = Object.keys(rows[0] ?? {});
  const shown = (value: unknown): string =>
    value === null ? '–' : typeof value === 'string' ? value : JSON.stringify(value);
  const columns = names.map((name) => ({
    name,
    align: typeof rows[0]![name] === 'number' ? ('right' as const) : ('left' as const),
    value: (row: Readonly<Record<string, unknown>>) => shown(row[name]),
  }));
  return { json: { rows }, text: rows.length > 0 ? textTable(columns, rows) : 'no rows' };
}

/** Takes jobs back. */
export async function labCancel({ args, options, signal }: Context): Promise<VerbResult> {
  const ids = args.slice(1);
  if (ids.length === 0)
    throw new UsageError('cancel which jobs?', 'Say: cuttle lab cancel ID; `cuttle lab jobs` lists them.');
  const client = await openLabClient(options.lab, options.token);
  const jobs: JobView[] = [];
  for (const id of ids) jobs.push(await client.cancel(id, signal));
  return { json: { jobs }, text: jobTable(jobs) };
}

/** Asks the running server, or where a folder has none, its journal. */
async function ask<T>(
  { lab, token }: LabOptions,
  from: {
    readonly live: (client: LabClient) => Promise<T>;
    readonly kept: (queue: Awaited<ReturnType<typeof readLab>>) => T;
  },
): Promise<T> {
  try {
    return await from.live(await openLabClient(lab, token));
  } catch (error) {
    const gone = error instanceof LabError && (error.code === 'lab/not-running' || error.code === 'lab/unreachable');
    if (!gone || /^https?:/.test(lab)) throw error;
    return from.kept(await readLab(lab));
  }
}

function jobTable(jobs: readonly JobView[], results: readonly ResultView[] = []): string {
  const values = new Map(
    results.map(({ id, value }) => [
      id,
      value as {
        readonly latencyMs?: { readonly p50?: number; readonly p90?: number; readonly mean: number };
        readonly backboneMs?: number;
      },
    ]),
  );
  const ms = (value: number | undefined): string => (value === undefined ? '–' : milliseconds(value));
  return textTable<JobView>(
    [
      { name: 'job', value: ({ id }) => id },
      { name: 'model', value: ({ spec }) => spec.name },
      { name: 'kind', value: ({ spec }) => spec.kind },
      { name: 'device', value: ({ runBy, device }) => runBy ?? device ?? 'any' },
      { name: 'on', value: ({ spec }) => spec.backend },
      { name: 'threads', align: 'right', value: ({ spec }) => String(spec.threads ?? '–') },
      { name: 'batch', align: 'right', value: ({ spec }) => String(spec.batch ?? '–') },
      { name: 'state', value: ({ state, attempts }) => `${state}${attempts > 1 ? ` (${attempts} attempts)` : ''}` },
      ...(results.length > 0
        ? [
            {
              name: 'p50',
              align: 'right' as const,
              value: ({ id }: JobView) => {
                const { latencyMs, backboneMs } = values.get(id) ?? {};
                return ms(latencyMs?.p50 ?? latencyMs?.mean ?? backboneMs);
              },
            },
            { name: 'p90', align: 'right' as const, value: ({ id }: JobView) => ms(values.get(id)?.latencyMs?.p90) },
          ]
        : []),
      { name: 'why', value: ({ error }) => error?.message ?? '' },
    ],
    jobs,
  );
}
