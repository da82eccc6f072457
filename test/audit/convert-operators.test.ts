/** @file One small TensorFlow Lite model per operator, float and int8, as ONNX: outputs against LiteRT's. */
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { convertTflite } from '../../src/audit/index.js';
import { distances, recordedRuns, type RecordedRun } from './converted.js';

// Recorded by test/oracles/record-audit-operators.py.
const runs = recordedRuns<RecordedRun & { readonly model: string }>('convert-operators.json');

test.each(Object.keys(runs))('%s', async (name) => {
  const run = runs[name]!;
  const bytes = new Uint8Array(gunzipSync(Buffer.from(run.model, 'base64')));
  for (const inputLayout of ['stated', 'channelsFirst'] as const) {
    const { model, channelsFirst } = convertTflite(bytes, { inputLayout });
    for (const distance of await distances(model, run, channelsFirst)) {
      expect(distance.shape).toEqual(distance.expectedShape);
      expect(distance.largest, distance.name).toBeLessThanOrEqual(distance.dtype.startsWith('float') ? 1e-4 : 1);
    }
  }
});
