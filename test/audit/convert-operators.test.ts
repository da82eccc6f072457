/** @file One small TensorFlow Lite model per operator, float and int8, as ONNX: outputs against LiteRT's. */
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { convertTflite } from '../../src/audit/index.js';
import { CuttleError } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { distances, recordedRuns, type RecordedRun } from './converted.js';

// Recorded by test/oracles/record-audit-operators.py; sparse weights and MediaPipe's operator by record-audit-sparse.py.
type Run = RecordedRun & { readonly model: string };
const runs = { ...recordedRuns<Run>('convert-operators.json'), ...recordedRuns<Run>('convert-sparse.json') };

const modelOf = (name: string): Uint8Array =>
  new Uint8Array(gunzipSync(Buffer.from((runs as Readonly<Record<string, Run>>)[name]!.model, 'base64')));

test.each(Object.keys(runs))('%s', async (name) => {
  const run = (runs as Readonly<Record<string, Run>>)[name]!;
  const bytes = modelOf(name);
  for (const inputLayout of ['stated', 'channelsFirst'] as const) {
    const { model, channelsFirst } = convertTflite(bytes, { inputLayout });
    for (const distance of await distances(model, run, channelsFirst)) {
      expect(distance.shape).toEqual(distance.expectedShape);
      expect(distance.largest, distance.name).toBeLessThanOrEqual(distance.dtype.startsWith('float') ? 1e-4 : 1);
    }
  }
});

test('broken sparse tensors end in an error', () => {
  const random = createRandom(5);
  for (const name of ['rows', 'columns first', 'blocks'])
    for (let i = 0; i < 400; i++) {
      const bytes = modelOf(name);
      for (let k = random.int(4); k >= 0; k--) bytes[random.int(bytes.length)] = random.int(256);
      try {
        convertTflite(bytes);
      } catch (error) {
        if (!(error instanceof CuttleError)) throw error;
      }
    }
});
