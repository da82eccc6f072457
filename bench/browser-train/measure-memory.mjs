/** @file Memory of one page through many trainings: JS heaps after forced collections, WebAssembly, the process. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { here, openChromium, servePage } from './browser.mjs';

/**
 * Starts, cancels and restarts `runs` trainings in one page and one worker; measures after `warmUp` of them and at the end.
 * `samples` are measurements in between. Bytes everywhere.
 */
export async function measureMemory({ runs, warmUp, samples = 2, outDir, onSample = () => undefined }) {
  const site = await servePage(join(here, 'memory'), outDir);
  const browser = await openChromium();
  try {
    const page = await browser.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    const session = await page.context().newCDPSession(page);
    const worker = workerTarget(session);
    await page.goto(site.url);
    await page.waitForFunction('globalThis.ready === true');
    const train = (count) => page.evaluate((given) => globalThis.trainings(given), count);
    const measured = [];
    const sample = async (done) => {
      const { send } = await worker;
      const heap = async (ask) => {
        // Twice: what a finaliser frees goes with the next collection.
        for (let i = 0; i < 2; i++) await ask('HeapProfiler.collectGarbage');
        return await ask('Runtime.getHeapUsage');
      };
      const pageHeap = await heap((method) => session.send(method));
      const workerHeap = await heap(send);
      const { result } = await send('Runtime.evaluate', { expression: 'wasmBytes()', returnByValue: true });
      measured.push({
        runs: done,
        pageHeap: pageHeap.usedSize,
        workerHeap: workerHeap.usedSize,
        workerBuffers: workerHeap.backingStorageSize,
        wasm: result.value,
        process: await processBytes(browser),
      });
      onSample(measured.at(-1));
    };
    await train(warmUp);
    await sample(warmUp);
    let longestPause = 0;
    for (let i = 1; i <= samples; i++) {
      const done = measured.at(-1).runs;
      const next = warmUp + Math.round(((runs - warmUp) * i) / samples);
      longestPause = Math.max(longestPause, await train(next - done));
      await sample(next);
    }
    if (errors.length > 0) throw new Error(errors.join('; '));
    return { samples: measured, longestPauseMs: longestPause, browser: browser.version() };
  } finally {
    await browser.close();
    await site.close();
  }
}

/** How much larger (1.1 is 10 %) each kind of memory is at the end than after warming up. */
export function growth({ samples }) {
  const [first, last] = [samples[0], samples.at(-1)];
  const ratio = (...kinds) => {
    const sum = (sample) => kinds.reduce((total, kind) => total + (sample[kind] ?? 0), 0);
    return sum(last) / sum(first);
  };
  return {
    jsHeap: ratio('pageHeap', 'workerHeap'),
    wasm: ratio('wasm'),
    total: ratio('pageHeap', 'workerHeap', 'wasm'),
    ...(first.process !== undefined && { process: ratio('process') }),
  };
}

/** A way to talk to the page's first worker over the page's own debugging session. */
function workerTarget(session) {
  return new Promise((resolve) => {
    const waiting = new Map();
    let number = 0;
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type !== 'worker') return;
      const send = (method, params = {}) =>
        new Promise((done, fail) => {
          const id = ++number;
          waiting.set(id, { done, fail });
          const message = JSON.stringify({ id, method, params });
          session.send('Target.sendMessageToTarget', { sessionId, message }).catch(fail);
        });
      session.on('Target.receivedMessageFromTarget', ({ sessionId: from, message }) => {
        if (from !== sessionId) return;
        const { id, result, error } = JSON.parse(message);
        const { done, fail } = waiting.get(id) ?? {};
        waiting.delete(id);
        if (error) fail?.(new Error(error.message));
        else done?.(result);
      });
      resolve({ send });
    });
    void session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  });
}

/** Private memory of the browser's largest renderer, where the system tells it. */
async function processBytes(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const sizes = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => {
      try {
        const status = readFileSync(`/proc/${id}/status`, 'utf8');
        return Number(/RssAnon:\s+(\d+)/.exec(status)[1]) * 1024;
      } catch {
        return undefined;
      }
    })
    .filter((size) => size !== undefined);
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}
