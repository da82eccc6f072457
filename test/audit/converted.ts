/** @file Converted models against recorded runs of the runtime that they come from. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { dataTypes, type DataType, Tensor, type Model } from '../../src/ir/index.js';
import { openSession } from '../../src/runtime/index.js';

/** At most 2,048 elements of an output, every `step`-th. */
interface RecordedOutput {
  readonly shape: readonly number[];
  readonly dtype: DataType;
  readonly step: number;
  readonly data: string;
}

/** One run, as test/oracles/record-audit-convert.py and record-audit-operators.py write it. */
export interface RecordedRun {
  readonly signature?: string;
  readonly inputs: readonly (readonly [name: string, shape: readonly number[], dtype: DataType])[];
  readonly outputs: Readonly<Record<string, RecordedOutput>>;
}

/** A file of recorded runs by name. */
export function recordedRuns<T extends RecordedRun>(name: string): Readonly<Record<string, T>> {
  const path = resolve(import.meta.dirname, '../fixtures/audit', name);
  return JSON.parse(readFileSync(path, 'utf8')) as Readonly<Record<string, T>>;
}

/** The generator of the recording scripts: uniform in [0, 1), 24 bits. */
function numbers(count: number, seed: number): Float64Array {
  const found = new Float64Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    found[i] = (state >>> 8) / 2 ** 24;
  }
  return found;
}

/** What the recording scripts feed an input with. */
function given(shape: readonly number[], dtype: DataType, seed: number): Tensor {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const of = (x: number): number => {
    if (dtype === 'int8') return Math.floor(x * 256) - 128;
    if (dtype === 'uint8') return Math.floor(x * 256);
    if (dtype === 'bool') return x < 0.5 ? 0 : 1;
    return dtype.startsWith('float') ? x * 2 - 1 : Math.floor(x * 4);
  };
  return Tensor.of(dtype as 'float32', shape, Array.from(numbers(count, seed), of));
}

/** How far an output is from the recorded one. */
export interface Distance {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly expectedShape: readonly number[];
  /** Largest difference: of floats relative to the range of the recorded values (at least 1e-6), of integers as it is. */
  readonly largest: number;
  /** Share of elements that differ by more than one. */
  readonly beyondOne: number;
}

/** The same picture with its channels behind the batch. */
function channelsFirst(tensor: Tensor): Tensor {
  const [batch, channels] = [tensor.dims[0]!, tensor.dims.at(-1)!];
  const spatial = tensor.dims.slice(1, -1);
  const places = spatial.reduce((product, dim) => product * dim, 1);
  const from = tensor.data as Float32Array;
  const to = from.slice();
  for (let n = 0; n < batch; n++)
    for (let at = 0; at < places; at++)
      for (let c = 0; c < channels; c++) to[(n * channels + c) * places + at] = from[(n * places + at) * channels + c]!;
  return Tensor.of(tensor.dtype as 'float32', [batch, channels, ...spatial], to);
}

/** Runs a converted model on the recorded inputs; `moved` names those that go in channels first. */
export async function distances(
  model: Model,
  run: RecordedRun,
  moved: readonly string[] = [],
): Promise<readonly Distance[]> {
  await using session = await openSession(model, { threads: 1 });
  const feeds = Object.fromEntries(
    run.inputs.flatMap(([name, shape, dtype], i) => {
      const known = session.inputNames.includes(name) ? name : session.inputNames[i]!;
      const tensor = given(shape, dtype, i + 1);
      return [[known, moved.includes(known) ? channelsFirst(tensor) : tensor]];
    }),
  );
  const made = await session.run(feeds);
  return Object.entries(run.outputs).map(([name, expected], i): Distance => {
    const output = made[name] ?? made[session.outputNames[i]!]!;
    const bytes = Uint8Array.from(Buffer.from(expected.data, 'base64'));
    const values = new (dataTypes[expected.dtype].array as Float32ArrayConstructor)(bytes.buffer);
    let [low, high, largest, beyond] = [Infinity, -Infinity, 0, 0];
    const data = output.data as ArrayLike<number | bigint>;
    values.forEach((value, place) => {
      const [want, have] = [Number(value), Number(data[place * expected.step])];
      low = Math.min(low, want);
      high = Math.max(high, want);
      const distance = Number.isNaN(want) && Number.isNaN(have) ? 0 : want === have ? 0 : Math.abs(want - have);
      if (!(distance <= largest)) largest = distance;
      if (!(distance <= 1)) beyond++;
    });
    const floating = expected.dtype.startsWith('float');
    return {
      name,
      dtype: output.dtype,
      shape: output.dims,
      expectedShape: expected.shape,
      largest: floating ? largest / Math.max(1e-6, high - low || 0) : largest,
      beyondOne: beyond / values.length,
    };
  });
}
