/** @file The operator test models of Debian's libonnx-testdata: each a model, recorded inputs and recorded outputs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Model, Value } from '../../src/ir/index.js';
import { decodeModel, decodeValue, type StoredValue } from '../../src/onnx/index.js';

export const TESTDATA = '/usr/share/libonnx-testdata/data';

/** False where Debian's libonnx-testdata is not installed; suites then skip and say so. */
export const hasTestdata = existsSync(TESTDATA);

export interface TestCase {
  /** `node/test_relu`. */
  readonly name: string;
  readonly modelPath: string;
  /** Paths of the recorded sets: `test_data_set_0` … */
  readonly sets: readonly string[];
}

/** Values by name, in the order of the graph's inputs or outputs. */
export interface RecordedSet {
  readonly inputs: ReadonlyMap<string, StoredValue>;
  readonly outputs: ReadonlyMap<string, StoredValue>;
}

/** Every test case, sorted by name. */
export function testCases(): readonly TestCase[] {
  if (!hasTestdata) return [];
  return readdirSync(TESTDATA, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.name === 'model.onnx')
    .map(({ parentPath }) => ({
      name: relative(TESTDATA, parentPath),
      modelPath: join(parentPath, 'model.onnx'),
      sets: readdirSync(parentPath)
        .filter((name) => name.startsWith('test_data_set_'))
        .sort()
        .map((name) => join(parentPath, name)),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function readBytes(path: string): Uint8Array {
  return new Uint8Array(readFileSync(path));
}

/** The model of a case. A third of them are of opsets 1 and 6, which the reader refuses unless told otherwise. */
export function caseModel(testCase: TestCase): Model {
  return decodeModel(readBytes(testCase.modelPath), { limits: { minOpset: 1 }, source: testCase.name });
}

/** The recorded inputs and outputs of one set. */
export function readSet(model: Model, folder: string): RecordedSet {
  const read = (stem: string, values: readonly Value[]): ReadonlyMap<string, StoredValue> =>
    new Map(
      values.flatMap((value, index) => {
        const path = join(folder, `${stem}_${index}.pb`);
        if (!existsSync(path)) return [];
        const kind = value.type?.kind === 'sequence' || value.type?.kind === 'optional' ? value.type.kind : 'tensor';
        return [[value.name, decodeValue(readBytes(path), kind).value] as const];
      }),
    );
  return { inputs: read('input', model.graph.inputs), outputs: read('output', model.graph.outputs) };
}
