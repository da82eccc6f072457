/** @file The computing thread's script: an engine that answers messages. */
import { connectToParent } from '../../platform/node/thread-link.js';
import type { EngineAnswer, EngineCall, EngineThreadData } from './engine-messages.js';
import { movable, plainError, plainResult } from './engine-messages.js';
import type { BatchResult, WorkResult } from './engine.js';
import { LocalEngine } from './local-engine.js';

const parent = connectToParent<EngineCall, EngineAnswer, EngineThreadData>();
const engine = new LocalEngine(parent.data.session);
const running = new Map<number, AbortController>();

parent.onMessage((call) => {
  if (call.do === 'cancel') return running.get(call.id)?.abort();
  void answer(call);
});

async function answer(call: Exclude<EngineCall, { readonly do: 'cancel' }>): Promise<void> {
  const { id } = call;
  try {
    if (call.do === 'load') parent.post({ id, ok: true, value: await engine.load(call.request) });
    else if (call.do === 'unload')
      parent.post({ id, ok: true, value: await engine.unload(call.key).then(() => undefined) });
    else {
      const cancel = new AbortController();
      running.set(id, cancel);
      const { results, computeMs } = await engine.run(call.key, call.batch, cancel.signal);
      const buffers: ArrayBuffer[] = [];
      const value: BatchResult = { computeMs, results: results.map((result) => packed(result, buffers)) };
      parent.post({ id, ok: true, value }, buffers);
    }
  } catch (error) {
    parent.post({ id, ok: false, error: plainError(error) });
  } finally {
    running.delete(id);
  }
}

function packed(result: WorkResult, buffers: ArrayBuffer[]): WorkResult {
  if (!result.ok) return plainResult(result);
  const { tensors, buffers: own } = movable(result.outputs);
  buffers.push(...own);
  return { ...result, outputs: tensors };
}
