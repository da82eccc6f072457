/** @file The worker of the memory bench: serves training, and tells what WebAssembly holds. */
import { serveTraining } from 'cuttle/train/worker-host';

const memories = [];
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(descriptor) {
    super(descriptor);
    memories.push(new WeakRef(this));
  }
};
globalThis.wasmBytes = () => memories.reduce((sum, memory) => sum + (memory.deref()?.buffer.byteLength ?? 0), 0);

serveTraining();
