/** @file TensorFlow Lite models at hand as ONNX: outputs against LiteRT's, and against the same network exported to ONNX. */
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AuditError, convertTflite } from '../../src/audit/index.js';
import { Tensor, type Model } from '../../src/ir/index.js';
import { loadModel } from '../../src/onnx/node.js';
import { costOf } from '../../src/passes/index.js';
import { openSession } from '../../src/runtime/index.js';
import { distances, recordedRuns } from './converted.js';
import { haveModels, modelBytes } from './models.js';

// Recorded by test/oracles/record-audit-convert.py with LiteRT and its XNNPACK kernels.
const runs = recordedRuns('convert-models.json');
const folder = resolve(import.meta.dirname, '../../../shared/models/formats');

const count = (model: Model, op: string): number => model.graph.nodes.filter((node) => node.op === op).length;

/** LiteRT quantises this file's activations on the fly; the converted model computes with floats throughout. */
const DYNAMIC_RANGE: ReadonlySet<string> = new Set(['mlperf-tiny/kws_ref_model_float32.tflite']);

describe.skipIf(!haveModels())('against LiteRT', () => {
  test.each(Object.keys(runs))('%s', async (key) => {
    const [name, signature] = key.split('#') as [string, string?];
    const { model } = convertTflite(modelBytes(name), { inputLayout: 'stated', ...(signature ? { signature } : {}) });
    for (const distance of await distances(model, runs[key]!)) {
      expect(distance.shape).toEqual(distance.expectedShape);
      if (distance.dtype === 'float32')
        expect(distance.largest, distance.name).toBeLessThan(DYNAMIC_RANGE.has(name) ? 1e-2 : 1e-4);
      // Every int8 and uint8 model at hand gives the same integers as LiteRT; one quantum is what the contract allows.
      else expect(distance.largest, distance.name).toBe(0);
    }
  });

  test('convolution chains have no transpositions inside', () => {
    const { model, channelsFirst } = convertTflite(modelBytes('mlperf-tiny/vww_96_int8.tflite'));
    expect(channelsFirst).toEqual(['input_1_int8']);
    expect(model.graph.inputs[0]!.type).toMatchObject({ dtype: 'int8', shape: ['batch', 3, 96, 96] });
    expect([count(model, 'Conv'), count(model, 'Transpose'), count(model, 'Relu')]).toEqual([27, 0, 0]);
  });

  test('quantised ends may be real numbers outside', async () => {
    const bytes = modelBytes('mlperf-tiny/pretrainedResnet_quant.tflite');
    const { model } = convertTflite(bytes, { ends: 'real' });
    expect(model.graph.inputs[0]!.type).toMatchObject({ dtype: 'float32', shape: ['batch', 3, 32, 32] });
    await using session = await openSession(model, { threads: 1 });
    const { [session.outputNames[0]!]: output } = await session.run({
      [session.inputNames[0]!]: Tensor.floats(new Float32Array(2 * 3 * 32 * 32), [2, 3, 32, 32]),
    });
    expect(output!.dims).toEqual([2, 10]);
    expect(Array.from(output!.data as Float32Array).reduce((sum, x) => sum + x, 0)).toBeCloseTo(2, 1);
  });

  test('all operators without a rule are refused at once', () => {
    const refuse = (): unknown =>
      convertTflite(modelBytes('odd/ondevice_multi_signature.tflite'), { signature: 'train' });
    expect(refuse).toThrow(AuditError);
    expect(refuse).toThrow(/ASSIGN_VARIABLE.*FlexBroadcastGradientArgs/);
    try {
      refuse();
    } catch (error) {
      expect(error).toMatchObject({ kind: 'unsupported', code: 'audit/unsupported-operators' });
    }
  });

  test('a signature that is not there is refused with those that are', () => {
    expect(() => convertTflite(modelBytes('odd/ondevice_multi_signature.tflite'), { signature: 'none' })).toThrow(
      expect.objectContaining({ kind: 'usage', hint: expect.stringContaining('multiply01') as string }),
    );
  });
});

describe.skipIf(!haveModels())('the face detector in both formats', () => {
  test('gives the same boxes and scores, the same MACs', async () => {
    const exported = await loadModel(resolve(folder, 'ultraface/version-RFB-320_without_postprocessing.onnx'));
    const { model } = convertTflite(modelBytes('ultraface/version-RFB-320_without_postprocessing.tflite'));
    const input = Tensor.floats(
      Float32Array.from({ length: 3 * 240 * 320 }, (_, i) => Math.sin(i / 97) * Math.cos(i / 1931)),
      [1, 3, 240, 320],
    );
    const outputs = async (each: Model): Promise<Readonly<Record<string, Tensor>>> => {
      await using session = await openSession(each, { threads: 1 });
      return session.run({ [session.inputNames[0]!]: input });
    };
    const [ours, theirs] = [await outputs(model), await outputs(exported)];
    for (const last of [2, 4]) {
      const pick = (made: Readonly<Record<string, Tensor>>): Float32Array =>
        Object.values(made).find(({ dims }) => dims[2] === last)!.data as Float32Array;
      const [a, b] = [pick(ours), pick(theirs)];
      expect(a.length).toBe(b.length);
      // The TensorFlow Lite file holds its batch normalisations folded into the weights, the ONNX file does not.
      const range = Math.max(...b) - Math.min(...b);
      expect(Math.max(...a.map((x, i) => Math.abs(x - b[i]!))) / range).toBeLessThan(1e-4);
    }
    expect(costOf(model, { symbols: { batch: 1 } }).total.macs).toBe(100_418_560);
  });
});
