/** @file Public models recognised by file, numbers, signs and layers; tables of a user's own. */
import { describe, expect, test } from 'vitest';
import {
  analyseModel,
  AuditError,
  knownModelOf,
  knownModels,
  parseKnownModels,
  readAuditModel,
  recogniseModel,
} from '../../../src/audit/index.js';
import { haveModels, modelBytes } from '../models.js';
import { analyse, network, read, renamed, retrained, withWeights } from './networks.js';

const base = network();
const identity = analyse(base).identity;
const table = [knownModelOf({ name: 'LeNet', source: 'here', licence: 'MIT', sha256: 'a'.repeat(64) }, identity)];
const by = (model: typeof base, sha256?: string) => recogniseModel(analyse(model).identity, sha256, table);

describe('recognition', () => {
  test('the closest way is told', () => {
    expect(recogniseModel(analyse(network('digits-cnn')).identity, 'a'.repeat(64), table)?.by).toBe('file');
    expect(by(renamed(base, 'x'))).toEqual({ name: 'LeNet', source: 'here', licence: 'MIT', by: 'weights', share: 1 });
    expect(by(withWeights(base, (_, values) => values.map((value) => value * (1 + 1e-7))))?.by).toBe('signs');
    const tuned = by(withWeights(base, (_, values) => (values.length === 840 ? retrained(values, 2) : undefined)));
    expect(tuned).toMatchObject({ by: 'layers' });
    expect(tuned!.share).toBeGreaterThan(0.9);
    expect(tuned!.share).toBeLessThan(1);
    expect(by(withWeights(base, (_, values) => retrained(values, 2)))).toBeUndefined();
  });

  test('analysis takes the table', () => {
    const model = read(base);
    expect(analyseModel(model, { path: 'm', known: table }).known).toMatchObject({ name: 'LeNet', by: 'weights' });
    expect(analyseModel(model, { path: 'm' }).known).toBeUndefined();
  });

  test('a table survives being written and read', () => {
    expect(parseKnownModels(JSON.stringify({ models: table }))).toEqual(table);
    expect(parseKnownModels(JSON.stringify({ models: knownModels }))).toEqual(knownModels);
  });

  test.each([
    ['{', 'no JSON'],
    ['[]', 'no list'],
    ['{"models":[1]}', 'no object'],
    ['{"models":[{"name":"x"}]}', 'no source'],
    ['{"models":[{"name":"x","source":"y","sha256":"z"}]}', 'no SHA-256'],
    ['{"models":[{"name":"x","source":"y","layers":"z"}]}', 'layers'],
    ['{"models":[{"name":"x","source":3}]}', 'no text'],
  ])('%s is refused', (json, message) => {
    expect(() => parseKnownModels(json)).toThrow(AuditError);
    expect(() => parseKnownModels(json)).toThrow(message);
  });
});

describe('the table', () => {
  test('names each model once, with its source and hashes', () => {
    expect(new Set(knownModels.map(({ name }) => name)).size).toBe(knownModels.length);
    for (const known of knownModels) {
      expect(known.source).toMatch(/^(npm [\w@/.-]+@[\d.]+ |github\.com\/)/);
      expect(known.licence).toMatch(/^(MIT|Apache-2\.0)$/);
      expect(known.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(known.signs).toMatch(/^[0-9a-f]{64}$/);
      expect(known.layers).toMatch(/^[0-9a-f]{12}:\d+/);
    }
  });

  test.skipIf(!haveModels())('finds UltraFace in a format that it does not list', () => {
    const model = readAuditModel('mnn', modelBytes('ultraface/RFB-320.mnn'));
    expect(analyseModel(model, { path: 'model.bin' }).known).toMatchObject({
      name: 'UltraFace RFB-320 (Caffe)',
      by: 'weights',
    });
    const quantised = readAuditModel('mnn', modelBytes('ultraface/RFB-320-quant-KL-5792.mnn'));
    expect(analyseModel(quantised, { path: 'model.bin' }).known).toBeUndefined();
  });
});
