/** @file The inference server: a repository, engines, a queue and the doors, started and stopped together. */
import { now, sleep } from '../../platform/index.js';
import { memoryUse } from '../../platform/node/cpu.js';
import { listenWeb, type WebLimits } from '../../platform/node/web-server.js';
import { packageVersion } from '../../platform/node/package.js';
import type { SessionOptions } from '../../runtime/index.js';
import { Dispatcher } from './dispatcher.js';
import type { Engine } from './engine.js';
import { openFront } from './front.js';
import { LoadMeter } from './load-meter.js';
import { Metrics, SECONDS } from './metrics.js';
import { Repository } from './repository.js';
import { InferenceService, kindOf } from './service.js';
import { ThreadEngine } from './thread-engine.js';
import { SILENT, type ServerLog } from './server-log.js';

export interface ServerOptions {
  /** ONNX files, and folders of them. */
  readonly models: readonly string[];
  /** 127.0.0.1 where omitted. */
  readonly host?: string;
  /** 8,000 where omitted; 0 for any free one. */
  readonly port?: number;
  /** PEM text. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Bearer tokens and whose they are; anyone may ask where there are none. */
  readonly tokens?: ReadonlyMap<string, string>;
  /** Origins of web pages that may ask, or `*`; none where omitted. */
  readonly origins?: readonly string[];
  /** Samples that may run together, and most of one request; 32 where omitted. */
  readonly maxBatch?: number;
  /** How long a request waits for company while the server is idle, ms; 0 where omitted. */
  readonly batchDelayMs?: number;
  /** Requests that may wait; 256 where omitted. */
  readonly queue?: number;
  /** Bytes of one request; 64 MiB where omitted. */
  readonly maxRequestBytes?: number;
  /** Bytes of one request's tensors when unpacked; 256 MiB where omitted. */
  readonly maxTensorBytes?: number;
  /** Requests at a time per client; 64 where omitted. */
  readonly perClient?: number;
  /** Requests per second per client; no limit where omitted. */
  readonly perClientRate?: number;
  /** Computing threads, each with its own copy of the models; 1 where omitted. */
  readonly workers?: number;
  readonly session?: SessionOptions;
  /** Between two looks at the files, ms; 1,000 where omitted, 0 for none. */
  readonly watchMs?: number;
  readonly limits?: Partial<WebLimits>;
  readonly log?: ServerLog;
  /** Instead of threads, for tests: what computes. */
  readonly engines?: readonly Engine[];
}

/** As many requests of the largest size may be held at a time, over all clients. */
const HELD_REQUESTS = 8;

/** Totals since the start. */
export interface ServerTotals {
  readonly inferences: number;
  readonly failed: number;
  readonly batches: number;
  readonly samples: number;
  readonly dropped: number;
}

export interface InferenceServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly totals: ServerTotals;
  /** Names and versions that are served. */
  readonly models: readonly { readonly name: string; readonly version: string; readonly digest: string }[];
  /** Looks at the model files now, rather than at the next interval. */
  look(): Promise<void>;
  /** Prometheus text. */
  metrics(): string;
  /**
   * Stops accepting, finishes what has begun, and lets go of everything. After `graceMs` (30,000 where omitted) the rest
   * is cut off. A second call waits for the first.
   */
  close(graceMs?: number): Promise<void>;
}

/**
 * Starts a server. Throws RepositoryError and what reading models throws, ListenError, and what the runtime throws.
 */
export async function startServer(options: ServerOptions): Promise<InferenceServer> {
  const log = options.log ?? SILENT;
  const metrics = new Metrics();
  const meter = new LoadMeter();
  const totals = { inferences: 0, failed: 0, batches: 0, samples: 0, dropped: 0 };

  const inferred = metrics.counter('cuttle_inferences_total', 'Inference requests by model, door and outcome.');
  const latency = metrics.histogram('cuttle_inference_seconds', 'From request to answer, successes only.', SECONDS);
  const batchSizes = metrics.histogram(
    'cuttle_batch_samples',
    'Samples that ran together.',
    [1, 2, 4, 8, 16, 32, 64, 128],
  );
  const computed = metrics.counter('cuttle_compute_seconds_total', 'Time spent computing.');
  const dropped = metrics.counter('cuttle_dropped_total', 'Requests given up by their clients or too late, by where.');
  const reloads = metrics.counter('cuttle_model_loads_total', 'Model files loaded, by outcome.');
  const deaths = metrics.counter('cuttle_engine_deaths_total', 'Computing threads that died and were replaced.');

  const engines =
    options.engines ??
    Array.from(
      { length: options.workers ?? 1 },
      () =>
        new ThreadEngine(options.session ?? {}, (why) => {
          deaths();
          log.error('engine-died', { why });
        }),
    );
  const repository = new Repository(options.models, engines, now, {
    onLoaded({ name, version, card, key }, ms, replaced) {
      if (card.idleMs !== undefined) meter.seed(kindOf(key, 'whole'), card.idleMs);
      reloads({ outcome: 'loaded' });
      const why = {
        ...(card.unsplit && { unsplit: card.unsplit }),
        ...(card.unbatched && { unbatched: card.unbatched }),
      };
      log.info(replaced ? 'model-reloaded' : 'model-loaded', { model: name, version, digest: card.digest, ms, ...why });
    },
    onFailed({ name, version, path }, error) {
      reloads({ outcome: 'failed' });
      log.error('model-failed', { model: name, version, path, error: messageOf(error) });
    },
    onRetired: ({ key }) => meter.forget(kindOf(key, '')),
    onRemoved: ({ name, version }) => log.info('model-removed', { model: name, version }),
  });
  const dispatcher = new Dispatcher(
    engines,
    {
      maxBatch: options.maxBatch ?? 32,
      batchDelayMs: options.batchDelayMs ?? 0,
      queue: options.queue ?? 256,
    },
    meter,
    now,
    {
      onBatch(samples, _requests, computeMs) {
        totals.batches++;
        totals.samples += samples;
        batchSizes(samples);
        computed({}, computeMs / 1000);
      },
      onDropped(where) {
        totals.dropped++;
        dropped({ where });
      },
    },
  );
  metrics.gauge('cuttle_queue_requests', 'Requests that wait.', () => dispatcher.waiting);
  metrics.gauge('cuttle_running_requests', 'Requests that are being computed.', () => dispatcher.running);
  metrics.gauge('cuttle_load', 'Slow-down against an idle server.', () => meter.load(now()));
  metrics.gauge('cuttle_models', 'Models that are ready.', () => repository.list().length);
  metrics.gauge('process_resident_memory_bytes', 'Resident memory.', () => memoryUse().residentBytes);

  const service = new InferenceService({
    version: await packageVersion(),
    repository,
    dispatcher,
    clients: { concurrency: options.perClient ?? 64, rate: options.perClientRate ?? Infinity },
    limits: { samples: options.maxBatch ?? 32, unpackedBytes: options.maxTensorBytes ?? 2 ** 28, frameBytes: 2 ** 30 },
    onInfer({ caller: { door, id }, model, version, cut, ms, error }) {
      const outcome = error?.status ?? 'ok';
      if (error === undefined) {
        totals.inferences++;
        latency(ms / 1000, { model });
      } else totals.failed++;
      inferred({ model, door, outcome });
      const about = {
        model,
        version,
        door,
        client: id,
        ms: Math.round(ms * 1000) / 1000,
        ...(cut !== undefined && { cut }),
      };
      if (error === undefined) log.debug('inference', about);
      else
        log[error.status === 'internal' ? 'error' : 'debug']('inference-failed', {
          ...about,
          outcome,
          error: error.message,
        });
    },
  });

  const closeEngines = (): Promise<unknown> => Promise.all(engines.map((engine) => engine.close()));
  const maxRequestBytes = options.maxRequestBytes ?? 2 ** 26;
  const host = options.host ?? '127.0.0.1';
  const stop = new AbortController();
  try {
    await repository.open();
    const listener = await listenWeb({
      host,
      port: options.port ?? 8000,
      ...(options.tls && { tls: options.tls }),
      limits: { ...options.limits, bodyBytes: maxRequestBytes },
      handle: openFront({
        service,
        metrics,
        tokens: options.tokens ?? new Map(),
        origins: options.origins ?? [],
        maxRequestBytes,
        maxHeldBytes: HELD_REQUESTS * maxRequestBytes,
        maxActive: 2 * (options.queue ?? 256) + 64,
        onDefect: (error) => log.error('defect', { error: messageOf(error) }),
      }),
    });
    metrics.gauge('cuttle_connections', 'Open connections.', () => listener.connections);
    if (options.watchMs !== 0) void watch(repository, options.watchMs ?? 1000, stop.signal, log);
    log.info('listening', { url: listener.url, models: repository.list().length });
    let closing: Promise<void> | undefined;
    const close = async (graceMs: number): Promise<void> => {
      log.info('stopping', { waiting: dispatcher.waiting, running: dispatcher.running });
      service.stop();
      stop.abort();
      const cut = await listener.close(graceMs);
      dispatcher.close();
      await closeEngines();
      log.info('stopped', { cut, ...totals });
    };
    return {
      url: listener.url,
      port: listener.port,
      totals,
      get models() {
        return repository.list().map(({ name, version, card }) => ({ name, version, digest: card.digest }));
      },
      look: () => repository.look(),
      metrics: () => metrics.text(),
      close: (graceMs = 30_000) => (closing ??= close(graceMs)),
      async [Symbol.asyncDispose]() {
        await (closing ??= close(1000));
      },
    };
  } catch (error) {
    stop.abort();
    await closeEngines();
    throw error;
  }
}

async function watch(repository: Repository, everyMs: number, signal: AbortSignal, log: ServerLog): Promise<void> {
  while (!signal.aborted)
    try {
      await sleep(everyMs, signal);
      await repository.look();
    } catch (error) {
      if (!signal.aborted) log.error('look-failed', { error: messageOf(error) });
    }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
