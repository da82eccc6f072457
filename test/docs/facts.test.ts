/** @file Numbers and names in the docs that code states too. */
import { expect, test } from 'vitest';
import { MAX_IMAGE_PIXELS } from '../../src/data/decode.js';
import { CLASSES_KEY, PREPROCESSING_KEY } from '../../src/data/index.js';
import { knownDatasets } from '../../src/data/registry.js';
import { BAKED_KEY, DESIGN_FORMAT, EXITS_KEY, exitHeads, exitPolicies } from '../../src/exits/index.js';
import type { ErrorKind } from '../../src/ir/index.js';
import { exitCodes } from '../../src/cli/program.js';
import { defaultLimits } from '../../src/onnx/index.js';
import { ARCHITECTURE_KEY, architectures } from '../../src/zoo/index.js';
import { pageNamed } from './docs.js';
import { benches, floors } from './folders.js';

const grouped = (value: number): string => value.toLocaleString('en-GB');

test('safety.md states the default limits', () => {
  const { text } = pageNamed('docs/safety.md');
  const { maxMessages, maxListItems, maxGraphDepth, maxTypeDepth, maxRank, maxNameLength } = defaultLimits;
  const row = (what: string, value: string): string => `${what} | ${value} |`;
  for (const [what, value] of [
    ['protobuf messages', maxMessages],
    ['strings and attribute numbers in lists', maxListItems],
    ['graphs inside graphs', maxGraphDepth],
    ['types inside types', maxTypeDepth],
    ['dims of a tensor', maxRank],
    ['length of a name', maxNameLength],
    ['pixels', MAX_IMAGE_PIXELS],
  ] as const)
    expect(text).toContain(row(what, grouped(value)));
  const { minOpset, maxOpset, maxIrVersion } = defaultLimits;
  expect(text).toContain(`${minOpset}–${maxOpset}, up to ${maxIrVersion}`);
});

test('file-formats.md lists every metadata key', () => {
  const { text } = pageNamed('docs/file-formats.md');
  for (const key of [EXITS_KEY, BAKED_KEY, PREPROCESSING_KEY, CLASSES_KEY, ARCHITECTURE_KEY])
    expect(text).toContain(`| \`${key}\` |`);
  expect(text).toContain(DESIGN_FORMAT);
});

test('data.md lists every registered data set', () => {
  const { text } = pageNamed('docs/data.md');
  for (const name of Object.keys(knownDatasets)) expect(text).toContain(`\`${name}\``);
});

test('the index states the exit codes', () => {
  const { text } = pageNamed('docs/README.md');
  const words = {
    failed: 'failed',
    usage: 'wrong usage',
    invalid: 'input file or data invalid',
    unsupported: 'unsupported',
  };
  for (const [kind, what] of Object.entries(words) as [ErrorKind, string][])
    expect(text).toContain(`${exitCodes[kind]} ${what}`);
});

test('the changelog names what the tables hold', () => {
  const { text } = pageNamed('CHANGELOG.md');
  for (const kind of Object.keys(exitPolicies)) expect(text).toContain(kind);
  for (const kind of Object.keys(exitHeads)) expect(text.toLowerCase()).toContain(kind === 'pool' ? 'pooling' : kind);
  for (const stem of ['ResNet', 'VGG', 'MobileNetV2', 'LeNet']) expect(text).toContain(stem);
  expect(architectures.length).toBe(13);
});

test('architecture.md and README list every folder of src', () => {
  for (const folder of floors) {
    expect(pageNamed('docs/architecture.md').text).toContain(`\`${folder}\``);
    expect(pageNamed('README.md').text).toContain(`| \`src/${folder}\` |`);
  }
});

test('benches.md lists every bench and its command', () => {
  const { text } = pageNamed('docs/benches.md');
  for (const bench of benches) {
    expect(text).toContain(`| \`${bench}\` |`);
    expect(text).toContain(`node bench/${bench}/run.mjs`);
  }
});
