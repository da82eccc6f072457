/**
 * @file What it costs that an uncut inference can be stopped: whole networks beside chains of parts of about 25 ms, run in
 * turns, and how long a run goes on after it was called off.
 *
 * After a build: node bench/split-server/parts.mjs   → bench/results/split-parts.json
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeModel } from '../../dist/onnx/index.js';
import { describeDevice, openSession, syntheticFeeds } from '../../dist/runtime/index.js';
import { cutsOf } from '../../dist/split/index.js';
import { evenStops, openChain } from '../../dist/split/server/chain.js';
import { buildArchitecture } from '../../dist/zoo/index.js';

const PART_MS = 25;
const RUNS = 15;
const round = (value, digits = 4) => Number(value.toPrecision(digits));
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
const options = { backend: 'native', threads: 1 };
const rows = [];
for (const [name, size] of [
  ['mobilenet-v2', 224],
  ['resnet-56', 128],
  ['vgg-11', 224],
]) {
  const model = buildArchitecture(name, { classes: 10, input: [3, size, size], seed: 1 });
  const feeds = syntheticFeeds(model);
  const session = await openSession(encodeModel(model), options);
  const outputs = session.outputNames;
  const never = new AbortController().signal;
  const time = async (run) => {
    const start = performance.now();
    await run();
    return performance.now() - start;
  };
  const whole = () => session.run(feeds, { outputs });
  await whole();
  const idle = Math.min(await time(whole), await time(whole), await time(whole));
  const cuts = cutsOf(model);
  // At least two parts, so that smaller networks say something, too.
  const stops = evenStops(cuts, Math.max(2, Math.ceil(idle / PART_MS)));
  const chain = await openChain(cuts, stops, options);
  const parted = () => chain.run(feeds, { outputs, signal: never });
  await parted();
  const times = { whole: [], parted: [] };
  for (let i = 0; i < RUNS; i++) {
    times.whole.push(await time(whole));
    times.parted.push(await time(parted));
  }
  const after = [];
  for (let i = 0; i < 6; i++) {
    const stop = new AbortController();
    let at = 0;
    // As the engine's thread hears of it: between two parts.
    setImmediate(() => {
      at = performance.now();
      stop.abort();
    });
    const start = performance.now();
    await chain.run(feeds, { outputs, signal: stop.signal }).catch(() => undefined);
    after.push({ stopped: performance.now() - start, heard: at - start });
  }
  const wholeMs = median(times.whole);
  const partedMs = median(times.parted);
  rows.push({
    ...{ network: `${name}, ${size} × ${size}`, parts: stops.length + 1, wholeMs: round(wholeMs) },
    ...{ partedMs: round(partedMs), costs: `${round(100 * (partedMs / wholeMs - 1), 2)} %` },
    stoppedAfterMs: round(median(after.map(({ stopped }) => stopped))),
  });
  console.log(JSON.stringify(rows.at(-1)));
  await Promise.all([chain.release(), session.release()]);
}
const result = {
  bench: 'split-parts',
  what: `single samples, one thread; parts of about ${PART_MS} ms, two at least; stoppedAfterMs: a run called off at once ends with its first part`,
  device: await describeDevice(options),
  rows,
};
const folder = fileURLToPath(new URL('../results', import.meta.url));
writeFileSync(join(folder, 'split-parts.json'), `${JSON.stringify(result, null, 2)}\n`);
