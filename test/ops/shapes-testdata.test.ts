/** @file Inferred types equal the recorded outputs of the operator test models: with values, with types alone, with symbols. */
import { afterAll, describe, expect, test } from 'vitest';
import {
  CuttleError,
  formatType,
  opsetOf,
  substituteDim,
  tensorType,
  type Dim,
  type Model,
  type Tensor,
  type Value,
  type ValueType,
} from '../../src/ir/index.js';
import type { StoredValue } from '../../src/onnx/index.js';
import { inferShapes } from '../../src/passes/infer-shapes.js';
import { caseModel, hasTestdata, readSet, testCases, type RecordedSet, type TestCase } from '../onnx/testdata.js';

/** Operators whose output shape depends on the contents of float, bool or string inputs, or on a body's condition. */
const DATA_DEPENDENT: ReadonlySet<string> = new Set([
  'Compress', 'ConcatFromSequence', 'If', 'Loop', 'NonMaxSuppression', 'NonZero', 'SequenceAt', 'SequenceMap',
  'StringNormalizer', 'StringSplit', 'Unique', 'OptionalGetElement', 'SplitToSequence', 'SequenceInsert',
]); // prettier-ignore

/** Larger integer inputs are data (labels, images), not shapes. */
const MAX_CONSTANT = 64;

const counts = { values: 0, types: 0, symbols: 0, dimsKnown: 0, dimsOpen: 0 };
const skipped = new Map<string, string[]>();

const skip = (reason: string, name: string): void => void skipped.set(reason, [...(skipped.get(reason) ?? []), name]);

/** Nothing in the file may give the answer away: neither value_info nor the outputs' types. */
function blind(model: Model): Model {
  const outputs: readonly Value[] = model.graph.outputs.map(({ name }) => ({ name, type: undefined }));
  return { ...model, graph: { ...model.graph, types: new Map(), outputs } };
}

function typeOf(value: StoredValue | undefined, declared: ValueType | undefined): ValueType | undefined {
  if (value?.kind === 'tensor') return tensorType(value.tensor.dtype, value.tensor.dims);
  return declared;
}

/** Moves integer inputs (and what else is short) into initializers, so that rules may read them. */
function withValues(model: Model, inputs: RecordedSet['inputs']): Model {
  const constants = new Map<string, Tensor>();
  for (const [name, value] of inputs)
    if (value.kind === 'tensor' && value.tensor.size <= MAX_CONSTANT) constants.set(name, value.tensor);
  return {
    ...model,
    graph: {
      ...model.graph,
      inputs: model.graph.inputs.filter(({ name }) => !constants.has(name)),
      initializers: new Map([...model.graph.initializers, ...constants]),
    },
  };
}

/** Every problem of inferred types against recorded ones; `open` says whether a dim may be unknown. */
function problems(
  types: ReadonlyMap<string, ValueType>,
  recorded: RecordedSet['outputs'],
  open: boolean,
  bind: (dim: Dim) => Dim = (dim) => dim,
): readonly string[] {
  return [...recorded].flatMap(([name, value]) => {
    const type = types.get(name);
    if (value.kind !== 'tensor')
      return type === undefined || type.kind === 'optional' || type.kind === value.kind
        ? []
        : [`${name}: ${formatType(type)}, but a ${value.kind} was recorded`];
    const expected = formatType(tensorType(value.tensor.dtype, value.tensor.dims));
    if (type?.kind !== 'tensor')
      return open && type === undefined ? [] : [`${name}: ${formatType(type)}, not ${expected}`];
    // numpy has no bfloat16: its bit patterns were recorded as uint16.
    const recordedAs = type.dtype === 'bfloat16' ? 'uint16' : type.dtype;
    if (recordedAs !== value.tensor.dtype) return [`${name}: ${formatType(type)}, not ${expected}`];
    if (type.shape === undefined) return open ? [] : [`${name}: ${formatType(type)}, not ${expected}`];
    const fits =
      type.shape.length === value.tensor.dims.length &&
      type.shape.every((dim, axis) => {
        const bound = bind(dim);
        if (typeof bound === 'number') counts.dimsKnown++;
        else counts.dimsOpen++;
        return typeof bound === 'number' ? bound === value.tensor.dims[axis] : open;
      });
    return fits ? [] : [`${name}: ${formatType(type)}, not ${expected}`];
  });
}

const given = (model: Model, { inputs }: RecordedSet): Map<string, ValueType> =>
  new Map(
    model.graph.inputs.flatMap(({ name, type }) => {
      const found = typeOf(inputs.get(name), type);
      return found ? [[name, found] as const] : [];
    }),
  );

function check(testCase: TestCase): void {
  const [folder] = testCase.sets;
  if (folder === undefined) return skip('no recorded values', testCase.name);
  let stated: Model;
  try {
    stated = caseModel(testCase);
  } catch (error) {
    if (error instanceof CuttleError) return skip(`not read: ${error.code}`, testCase.name);
    throw error;
  }
  const model = blind(stated);
  const version = opsetOf(model);
  if (version < 7 && /^pytorch/.test(testCase.name)) return skip('operator set below 7', testCase.name);
  if (model.graph.nodes.some((node) => node.op === 'Gradient'))
    return skip('Gradient is a directive, not an operator', testCase.name);
  const set = readSet(stated, folder);
  const dataDependent = model.graph.nodes.some((node) => DATA_DEPENDENT.has(node.op));

  const typed = inferShapes(model, { inputTypes: given(model, set) });
  expect(problems(typed.types, set.outputs, true), 'from types alone').toEqual([]);
  counts.types++;

  const filled = withValues(model, set.inputs);
  const exact = inferShapes(filled, { inputTypes: given(filled, set) });
  expect(problems(exact.types, set.outputs, dataDependent), 'with values').toEqual([]);
  counts.values++;

  // Each dim of each input becomes a symbol of its own; bound again, every expression must give the recorded number.
  const numbers: Record<string, number> = {};
  let dims = 0;
  const symbolic = new Map(
    [...given(filled, set)].map(([name, type]): [string, ValueType] => {
      if (type.kind !== 'tensor' || type.shape === undefined) return [name, type];
      const shape = type.shape.map((dim): Dim => {
        if (typeof dim !== 'number') return dim;
        const symbol = `s${dims++}`;
        numbers[symbol] = dim;
        return symbol;
      });
      return [name, tensorType(type.dtype, shape)];
    }),
  );
  const loose = inferShapes(filled, { inputTypes: symbolic });
  expect(
    problems(loose.types, set.outputs, true, (dim) => substituteDim(dim, numbers)),
    'with symbols',
  ).toEqual([]);
  counts.symbols++;
}

describe.skipIf(!hasTestdata)('operator test models', () => {
  for (const testCase of testCases()) test(testCase.name, () => check(testCase));

  afterAll(() => {
    const reasons = [...skipped].map(([reason, names]) => `${names.length} ${reason}`).join('; ');
    console.log(`shape rules: ${counts.values} models checked; skipped: ${reasons}`, counts);
  });

  test('most of the corpus is really checked', () => {
    expect(counts.values).toBeGreaterThan(800);
    expect(counts.dimsKnown).toBeGreaterThan(10 * counts.dimsOpen);
  });
});
if (!hasTestdata) console.log('skipped: Debian package libonnx-testdata is not installed');
