/** @file ONNX Runtime's own format against the ONNX file that it was made from. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { analyseModel, convertibleFormat, convertModel, findModels, readAuditModel } from '../../src/audit/index.js';
import { Tensor, type Model } from '../../src/ir/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { openSession } from '../../src/runtime/index.js';

// Written by test/oracles/record-audit-ort.py.
const file = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(resolve(import.meta.dirname, '../fixtures/audit/ort', name)));

async function answer(model: Model): Promise<readonly number[]> {
  await using session = await openSession(model, { threads: 1 });
  const picture = Tensor.floats(
    Float32Array.from({ length: 768 }, (_, i) => Math.sin(i)),
    [1, 3, 16, 16],
  );
  const outputs = await session.run({ picture });
  return [...(outputs['answer']!.data as Float32Array)];
}

describe('ORT format', () => {
  const onnx = readAuditModel('onnx', file('net.onnx'));

  test('a plain graph: the same layers, MACs, parameters, metadata', () => {
    const ort = readAuditModel('ort', file('net-plain.ort'));
    const ops = (model: typeof ort): string[] => model.layers.map(({ op, graph }) => `${op} ${graph ? 'in' : ''}`);
    expect(ops(ort).sort()).toEqual(ops(onnx).sort());
    expect(ort.totals).toEqual(onnx.totals);
    expect(ort.totals.macs).toBe(64 * 108 + 64 * 36 + 20);
    expect(ort.metadata).toEqual({ licence: 'MIT' });
    expect(ort.inputs).toEqual(onnx.inputs);
    expect(ort.version).toMatch(/^opset 17, format \d/);
  });

  test('an optimised graph keeps MACs and folded parameters', () => {
    const ort = readAuditModel('ort', file('net-optimised.ort'));
    expect(ort.totals.macs).toBe(onnx.totals.macs);
    expect(ort.totals.params).toBe(onnx.totals.params);
    expect(ort.layers.length).toBeLessThan(onnx.layers.length);
  });

  test.each(['net-plain.ort', 'net-optimised.ort'])('%s computes what the ONNX file does', async (name) => {
    expect(convertibleFormat(file(name))).toBe('ort');
    const { model, operators } = convertModel('ort', file(name));
    expect(operators.size).toBeGreaterThan(4);
    const expected = await answer(decodeModel(file('net.onnx')));
    (await answer(model)).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
  });

  test('a training checkpoint: parameters, and evidence of training on the device', async () => {
    const found = await findModels({ path: 'files/state', bytes: file('checkpoint') });
    expect(found.map(({ format, confidence }) => [format, confidence])).toEqual([['ort-checkpoint', 'observed']]);
    const model = found[0]!.model!();
    expect(model.totals.storedParams).toBe(24 + 4 + 162);
    expect(model.metadata).toEqual({ trained: '2', 'optimiser group0': 'step 12' });
    expect(analyseModel(model, { path: 'files/state' }).training).toEqual(['a checkpoint of ONNX Runtime training']);
  });

  test('is found whatever it is called', async () => {
    const found = await findModels({ path: 'assets/blob', bytes: file('net-plain.ort') });
    expect(found.map(({ format, confidence }) => [format, confidence])).toEqual([['ort', 'observed']]);
  });
});
