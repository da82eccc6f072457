/**
 * @file 200 simulated agents on one lab for five minutes: requests and answers get lost, agents vanish and come back, networks
 * fail for a while, the server is killed twice. Every job must be done exactly once or be reported failed.
 *
 * After a build:
 *   node bench/lab/run.mjs [--agents 200] [--seconds 300] [--seed 1] [--out bench/results/lab.json]
 *
 * The agents are the product's own (`runAgent`) over real HTTP; only what they measure is made up: they sleep. The journal is
 * read afterwards, line by line, and compared with what the agents say to have done.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GiveUpError, LabClient, runAgent } from '../../dist/measure/lab/index.js';
import { createRandom } from '../../dist/platform/index.js';
import { sha256 } from '../../dist/platform/node/hash.js';
import { randomToken } from '../../dist/platform/node/private-file.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: join(here, '../results/lab.json') },
  },
});
const AGENTS = Number(values.agents);
const SECONDS = Number(values.seconds);
const LEASE_MS = 9000;
/** A job takes this long, ms. */
const [SHORTEST, LONGEST] = [4000, 20_000];
/** Probabilities: of a request that never arrives, of an answer that is lost, and per job of what its title says. */
const LOST_REQUEST = 0.02;
const LOST_ANSWER = 0.02;
const PER_JOB = { vanishes: 0.06, offline: 0.06, givesUp: 0.02, cannot: 0.01 };
/** Agents that come back as the device they were; of the others a fifth forget it. */
const FAITHFUL = Math.floor(AGENTS / 4);
/** The server is killed at these parts of the time, and started again 2 s later. */
const KILLS = [1 / 3, 2 / 3];

const random = createRandom(Number(values.seed));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const folder = mkdtempSync(join(tmpdir(), 'cuttle-lab-bench-'));
const counts = { executions: 0, lostRequests: 0, lostAnswers: 0, vanished: 0, offline: 0, forgotten: 0, kills: 0 };
/** Job → tokens of the executions that finished for it. */
const finished = new Map();

let server;
async function start(port) {
  server = spawn(process.execPath, [join(here, 'serve.mjs'), folder, String(port), String(LEASE_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(server.stdout, 'data');
  return JSON.parse(String(line));
}

/** An agent's network: loses requests and answers, and is gone while `agent.gone`. */
function networkOf(agent) {
  return async (input, init) => {
    if (agent.gone || random.next() < LOST_REQUEST) {
      if (!agent.gone) counts.lostRequests++;
      throw new TypeError('the request was lost');
    }
    const response = await fetch(input, init);
    const bytes = await response.arrayBuffer();
    if (agent.gone || random.next() < LOST_ANSWER) {
      if (!agent.gone) counts.lostAnswers++;
      throw new TypeError('the answer was lost');
    }
    return new Response(response.status === 204 ? null : bytes, response);
  };
}

const description = {
  ...{ agent: 'simulated', cpu: 'none', arch: 'none', physicalCores: 1, logicalCores: 1, cpuFeatures: [], os: 'none' },
  ...{ platform: 'bench', backends: [{ name: 'native', maxThreads: 1 }], kinds: ['latency'], remarks: [] },
};
const measured = (token) => ({
  device: {
    ...{ cpu: token, arch: 'none', physicalCores: 1, logicalCores: 1, cpuFeatures: [], os: 'none', platform: 'bench' },
    ...{ threads: 1, executionProvider: 'none', runtime: 'none' },
  },
  ...{ loadMs: 1, firstMs: 1, inputs: {}, remarks: [] },
  latencyMs: { p50: 1, p90: 1, p99: 1, mean: 1, min: 1, std: 0, runs: 1 },
});

/** One agent for the whole time: it lives, vanishes without a word, and lives again. */
async function live(index, base, over) {
  const agent = { gone: false, known: undefined };
  const client = new LabClient({ ...base, fetch: networkOf(agent), timeoutMs: 30_000 });
  while (!over.aborted) {
    const life = new AbortController();
    const ends = AbortSignal.any([life.signal, over]);
    const execute = async ({ id }, _model, signal) => {
      counts.executions++;
      const token = randomToken(9);
      const chance = random.next();
      const { vanishes, offline, givesUp, cannot } = PER_JOB;
      const ms = SHORTEST + random.next() * (LONGEST - SHORTEST);
      const sleep = (part) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, ms * part);
          signal.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(signal.reason);
          });
        });
      await sleep(0.5);
      if (chance < vanishes) {
        counts.vanished++;
        agent.gone = true;
        life.abort();
        throw new Error('vanished');
      }
      if (chance < vanishes + offline) {
        counts.offline++;
        agent.gone = true;
        setTimeout(() => (agent.gone = false), 1000 + random.next() * 14_000);
      } else if (chance < vanishes + offline + givesUp) throw new GiveUpError('made up: given up');
      else if (chance < vanishes + offline + givesUp + cannot) throw new Error('made up: cannot');
      await sleep(0.5);
      finished.set(id, [...(finished.get(id) ?? []), token]);
      return measured(token);
    };
    try {
      await runAgent({
        ...{ client, name: `agent ${index}`, describe: async () => description, execute, newId: () => randomToken(9) },
        identity: { load: async () => agent.known, save: async (known) => void (agent.known = known) },
        signal: ends,
        waitMs: 10_000,
      });
    } catch (error) {
      if (!ends.aborted) throw error;
    }
    if (over.aborted) return;
    await pause(1000 + random.next() * 9000);
    agent.gone = false;
    if (index >= FAITHFUL && random.next() < 0.2) {
      counts.forgotten++;
      agent.known = undefined;
    }
  }
}

const opened = await start(0);
const port = Number(new URL(opened.url).port);
const owner = new LabClient({ url: opened.url, token: opened.file.ownerToken });
const patient = async (ask) => {
  for (;;)
    try {
      return await ask();
    } catch (error) {
      if (error.code !== 'lab/unreachable') throw error;
      await pause(500);
    }
};
const model = new TextEncoder().encode('a model that nobody opens');
await owner.putModel(sha256(model), model);
const over = new AbortController();
const base = { url: opened.url, token: opened.file.joinToken };
const lives = Array.from({ length: AGENTS }, (_, index) => live(index, base, over.signal));
await pause(Math.min(5000, 100 * SECONDS));

// As much work as the agents can do in the time, a quarter of it for devices by name.
const jobs = Math.floor((AGENTS * SECONDS * 1000) / ((SHORTEST + LONGEST) / 2) / 1.35);
const spec = (runs) => ({
  ...{ kind: 'latency', model: sha256(model), name: 'made-up', backend: 'native', dims: {}, runs, warmup: 0 },
});
const devices = (await patient(() => owner.devices())).filter(
  ({ name }) => Number(/^agent (\d+)$/.exec(name)?.[1]) < FAITHFUL,
);
const ids = [];
const begun = Date.now();
const submit = async (i) => {
  const named = i % 4 === 0 && devices.length > 0 ? [devices[(i / 4) % devices.length].name] : [];
  return (await patient(() => owner.submit({ devices: named, specs: [spec(i + 1)] }))).jobs[0].id;
};
for (let first = 0; first < jobs; first += 50)
  ids.push(...(await Promise.all(Array.from({ length: Math.min(50, jobs - first) }, (_, i) => submit(first + i)))));
const cancelled = [];
let killed = 0;
for (;;) {
  await pause(1000);
  const elapsed = (Date.now() - begun) / 1000;
  if (killed < KILLS.length && elapsed > KILLS[killed] * SECONDS) {
    killed++;
    counts.kills++;
    server.kill('SIGKILL');
    await once(server, 'exit');
    await pause(2000);
    await start(port);
  }
  if (cancelled.length < jobs / 100) {
    const id = ids[random.int(ids.length)];
    const done = await patient(() =>
      owner.cancel(id).then(
        () => true,
        (error) => {
          if (error.code === 'lab/unreachable') throw error;
          return false;
        },
      ),
    );
    if (done) cancelled.push(id);
  }
  const open = (await patient(() => owner.jobs())).filter(
    ({ state }) => state === 'queued' || state === 'running',
  ).length;
  process.stderr.write(`\r${elapsed.toFixed(0)} s, ${open} of ${jobs} jobs open, ${counts.executions} executions   `);
  if (open === 0 && elapsed >= SECONDS) break;
  if (elapsed > 2 * SECONDS + 60) break;
}
process.stderr.write('\n');
const seconds = (Date.now() - begun) / 1000;
const views = await patient(() => owner.jobs());
const results = await patient(() => owner.results());
over.abort();
await Promise.allSettled(lives);
server.kill('SIGTERM');
await once(server, 'exit');

const state = (name) => views.filter((job) => job.state === name).length;
const events = readFileSync(join(folder, 'journal.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));
const settlements = new Map();
for (const event of events)
  if (event.kind === 'settled') settlements.set(event.job, (settlements.get(event.job) ?? 0) + 1);
const wrong = {
  /** Neither done, failed nor cancelled. */
  unsettled: state('queued') + state('running'),
  settledTwice: [...settlements.values()].filter((times) => times > 1).length,
  settledAndCancelled: cancelled.filter((id) => settlements.has(id)).length,
  /** Done, but with a value that no execution of this job gave. */
  foreignValues: results.filter(({ id, value }) => !(finished.get(id) ?? []).includes(value.device.cpu)).length,
  missing: ids.filter((id) => !views.some((job) => job.id === id)).length,
  failedWithoutReason: views.filter((job) => job.state === 'failed' && !job.error?.message).length,
};
const report = {
  bench: 'lab',
  machine: { cpu: cpus()[0].model, cores: cpus().length, node: process.version },
  ...{ agents: AGENTS, seconds: Math.round(seconds), seed: Number(values.seed), leaseMs: LEASE_MS, maxAttempts: 5 },
  injected: { lostRequest: LOST_REQUEST, lostAnswer: LOST_ANSWER, perJob: PER_JOB, ...counts },
  jobs: {
    ...{ submitted: jobs, done: state('done'), failed: state('failed'), cancelled: state('cancelled') },
    failedFor: Object.fromEntries(
      [...new Set(views.flatMap(({ error }) => error?.code ?? []))].map((code) => [
        code,
        views.filter(({ error }) => error?.code === code).length,
      ]),
    ),
    retried: views.filter(({ attempts }) => attempts > 1).length,
  },
  leases: events.filter(({ kind }) => kind === 'leased').length,
  leasesLost: events.filter(({ kind }) => kind === 'lost').length,
  /** Executions that ran to their end though another one's result counted. */
  wasted: [...finished].reduce(
    (sum, [id, tokens]) => sum + tokens.length - (results.some((one) => one.id === id) ? 1 : 0),
    0,
  ),
  journal: { events: events.length, bytes: statSync(join(folder, 'journal.jsonl')).size },
  wrong,
};
writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
rmSync(folder, { recursive: true, force: true });
const bad = Object.values(wrong).reduce((sum, count) => sum + count, 0);
process.stdout.write(`${JSON.stringify(report.jobs)}\nwrong: ${JSON.stringify(wrong)}\n`);
process.exit(bad === 0 ? 0 : 1);
