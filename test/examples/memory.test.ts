/** @file A page in which trainings are started, cancelled and restarted keeps its memory; the bench does the same for longer. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { browserTest, root } from '../browser/harness.js';

interface Measured {
  readonly samples: readonly { readonly runs: number; readonly wasm: number; readonly workerHeap: number }[];
}
interface MemoryBench {
  readonly measureMemory: (options: {
    readonly runs: number;
    readonly warmUp: number;
    readonly samples: number;
    readonly outDir: string;
  }) => Promise<Measured>;
  readonly growth: (measured: Measured) => { readonly jsHeap: number; readonly wasm: number };
}

test.skipIf(!browserTest)(
  '30 trainings leave heap and WebAssembly memory where they were',
  { timeout: 400_000 },
  async () => {
    const path = join(root, 'bench/browser-train/measure-memory.mjs');
    const { measureMemory, growth } = (await import(pathToFileURL(path).href)) as MemoryBench;
    const outDir = mkdtempSync(join(tmpdir(), 'cuttle-memory-'));
    try {
      const measured = await measureMemory({ runs: 30, warmUp: 8, samples: 1, outDir });
      expect(measured.samples.map(({ runs }) => runs)).toEqual([8, 30]);
      // The measurement sees something: the network and ONNX Runtime lie there.
      expect(measured.samples[0]!.wasm).toBeGreaterThan(1e6);
      expect(measured.samples[0]!.workerHeap).toBeGreaterThan(1e6);
      const { jsHeap, wasm } = growth(measured);
      expect(jsHeap).toBeLessThan(1.1);
      expect(wasm).toBeLessThan(1.1);
    } finally {
      rmSync(outDir, { recursive: true, force: true });
    }
  },
);
