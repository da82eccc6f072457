/** @file Networks in a page: each opened once, then timed whenever asked, while the browser's processor is throttled from outside. */
import { measureLatency, openSession, syntheticFeeds } from 'cuttle/runtime';
import { decodeModel } from 'cuttle/onnx';

let session;
let feeds;

/** Opens the network behind a URL in place of the one before. */
globalThis.openNetwork = async (url, threads) => {
  await session?.release();
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  feeds = syntheticFeeds(decodeModel(bytes));
  const start = performance.now();
  session = await openSession(bytes, { backend: 'wasm', threads });
  const loadMs = performance.now() - start;
  await session.run(feeds);
  const firstMs = performance.now() - start - loadMs;
  // WebAssembly is compiled well only while it runs.
  await measureLatency(() => session.run(feeds), { warmup: 0, runs: 10, minSeconds: 0.4, maxSeconds: 1 });
  return { loadMs, firstMs };
};

/** Times the open network. A throttled thread stands still now and then: the mean counts what the median might not. */
globalThis.timeNetwork = async (plan) => {
  const { p50, mean, std, runs } = await measureLatency(() => session.run(feeds), plan);
  return { p50, mean, cv: std / mean, runs };
};

globalThis.ready = true;
