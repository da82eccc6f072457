/** @file What goes wrong ends in one line that names the thing and the next step, and in the documented exit code. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { GraphBuilder, makeModel, tensorType, type Dim, type Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { classTree, idxFile, imageFile, tarOf, writeTree } from '../data/files.js';
import { cuttle, digitsModel, expectRefusal, jsonOf, scratchFolder, writeModel } from './cli.js';

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
let model = '';
let image = '';

/** A network of one operator. */
function graphModel(op: string, domain: string, from: readonly Dim[] = ['batch', 1, 28, 28]): Model {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', from));
  const y = b.op(op, [x], {}, { domain });
  const graph = b.graph('graph', [{ name: y, type: tensorType('float32', [from[0]!, 10]) }]);
  return makeModel(graph, { opsets: new Map([['', 18], ...(domain === '' ? [] : ([[domain, 1]] as const))]) });
}

beforeAll(async () => {
  model = writeModel(folder, 'lenet.onnx', digitsModel());
  image = at('digit.png');
  writeFileSync(image, await imageFile('png', [200], { width: 28, height: 28 }));
});

describe('words', () => {
  const cases: readonly (readonly [words: string, names: RegExp])[] = [
    ['fly', /unknown command 'fly'.*cuttle --help/],
    ['inspect', /missing required argument 'model'.*cuttle inspect --help/],
    ['inspect a.onnx b.onnx', /too many arguments/],
    ['inspect a.onnx --wings', /unknown option '--wings'.*cuttle inspect --help/],
    ['inspect a.onnx --top', /--top.*argument missing/],
    ['inspect a.onnx --top many', /--top: is not a number/],
    ['inspect a.onnx --dim batch', /--dim: 'batch' is not of the form name=size/],
    ['profile a.onnx --backend tpu', /--backend: .*native.*wasm/],
    ['profile a.onnx --threads 0', /--threads: must be at least 1/],
    ['train --data mnist --arch lenet-5', /--out: is required/],
    ['train --arch lenet-5 --out x.onnx', /--data: is required/],
    ['train --data mnist --out x.onnx', /--arch NAME or --model FILE/],
    ['train --data mnist --arch lenet-5 --model a.onnx --out x.onnx', /--arch NAME or --model FILE/],
    ['train --data mnist --arch alexnet --out x.onnx', /no architecture 'alexnet'.*lenet-5/],
    ['train --data mnist --arch lenet-5 --out x.onnx --epochs 1.5', /--epochs: must be a whole number/],
    ['train --data mnist --arch lenet-5 --out x.onnx --lr -1', /--lr: must be above zero/],
    ['train --data mnist --arch lenet-5 --out x.onnx --augment warp', /--augment: 'warp'/],
    ['train --data mnist --arch lenet-5 --out x.onnx --mean a,b', /--mean: 'a,b' is not a list of numbers/],
    ['train --data mnist --arch lenet-5 --out x.onnx --size big', /--size: 'big' is not a size/],
    ['adapt a.onnx --data mnist --out x', /--budget: is required/],
    ['adapt a.onnx --data mnist --budget 50%', /--out: is required/],
    ['adapt a.onnx --data mnist --budget fast --out x', /--budget: 'fast' is no latency budget/],
    ['adapt a.onnx --data mnist --budget 0% --out x', /--budget: '0%' is no latency budget/],
    ['adapt a.onnx --data mnist --budget 50% --out x --policy hope', /--policy: .*confidence/],
    ['adapt a.onnx --data mnist --budget 50% --out x --constraint best', /--constraint: .*worst-case/],
    ['eval a.onnx', /--data: is required/],
    ['run a.onnx', /--input FILE .*--prompt TEXT/],
    ['train --arch char-lstm --data mnist --out x.onnx', /--arch: 'char-lstm' reads text/],
    ['train --arch lenet-5 --data a.txt --out x.onnx', /--arch: 'lenet-5' takes images.*char-lstm/],
  ];
  test.each(cases)('cuttle %s', async (words, names) => {
    expectRefusal(await cuttle(words.split(' ')), 2, names);
  });

  test('with --json, standard output holds one document that says the same', async () => {
    const { code, out, err } = await cuttle(['eval', model, '--json']);
    expect(code).toBe(2);
    const { error } = JSON.parse(out) as { error: { code: string; message: string; hint: string } };
    expect(err.at(-1)).toBe(`error: ${error.message} — ${error.hint}`);
  });
});

describe('models', () => {
  const broken: readonly (readonly [
    what: string,
    name: string,
    code: number,
    names: RegExp,
    make: (path: string) => void,
  ])[] = [
    ['a missing file', 'none.onnx', 3, /none\.onnx.* does not exist/, () => undefined],
    ['a folder', 'folder.onnx', 3, /folder\.onnx.* is a folder/, (path) => mkdirSync(path)],
    ['an empty file', 'empty.onnx', 3, /empty\.onnx.* empty/, (path) => writeFileSync(path, '')],
    ['a text', 'text.onnx', 3, /text\.onnx.* text/, (path) => writeFileSync(path, 'no model at all\n'.repeat(50))],
    [
      'HTML',
      'page.onnx',
      3,
      /page\.onnx/,
      (path) => writeFileSync(path, '<!DOCTYPE html><html><body>404</body></html>'),
    ],
    ['an image', 'image.onnx', 3, /image\.onnx/, (path) => writeFileSync(path, readFileSync(image))],
    [
      'random bytes',
      'random.onnx',
      3,
      /random\.onnx/,
      (path) =>
        writeFileSync(
          path,
          Uint8Array.from({ length: 999 }, (_, i) => (i * 7919) % 251),
        ),
    ],
    [
      'a truncated model',
      'short.onnx',
      3,
      /short\.onnx.*ends early/,
      (path) => writeFileSync(path, readFileSync(model).subarray(0, 100_000)),
    ],
    [
      'opset 6',
      'opset6.onnx',
      4,
      /opset6\.onnx.*opset 6/,
      (path) => writeFileSync(path, encodeModel({ ...digitsModel(), opsets: new Map([['', 6]]) })),
    ],
  ];
  test.each(broken)('%s', async (_, name, code, names, make) => {
    make(at(name));
    for (const verb of [['inspect'], ['profile', '--runs', '1'], ['run', '--input', image]])
      expectRefusal(await cuttle([verb[0]!, at(name), ...verb.slice(1)]), code, names);
    expectRefusal(await cuttle(['eval', at(name), '--data', 'mnist', '--limit', '100']), code, names);
    const out = at(`${name}-out`);
    expectRefusal(
      await cuttle(['adapt', at(name), '--data', 'mnist', '--limit', '100', '--budget', '50%', '--out', out]),
      code,
      names,
    );
    expectRefusal(await cuttle(['train', '--model', at(name), '--data', 'mnist', '--out', `${out}.onnx`]), code, names);
  });

  test.each([
    ['of no domain', 'FancyConv', ''],
    ['of a foreign domain', 'Swish', 'com.example'],
  ])('an unknown operator %s', async (_, op, domain) => {
    const path = writeModel(folder, `${op}.onnx`, graphModel(op, domain));
    for (const verb of ['inspect', 'profile']) expectRefusal(await cuttle([verb, path]), 4, new RegExp(op));
    const data = ['--data', 'mnist', '--limit', '100'];
    expectRefusal(await cuttle(['train', '--model', path, ...data, '--out', at('never.onnx')]), 4, new RegExp(op));
  });

  test('a model that is no classifier of images', async () => {
    const path = writeModel(folder, 'vector.onnx', graphModel('Relu', '', [1, 4]));
    const outcome = await cuttle(['run', path, '--input', image]);
    expect([2, 3, 4]).toContain(outcome.code);
    expectRefusal(outcome, outcome.code, /x|input/);
  });

  test('other classes than the data has', async () => {
    const tree = at('two-classes');
    await writeTree(tree, await classTree(['cat', 'dog'], 20));
    const data = ['--data', tree, '--channels', 'gray'];
    expectRefusal(
      await cuttle(['train', '--model', model, ...data, '--out', at('never.onnx')]),
      2,
      /10 classes.*the data has 2/,
    );
    const outcome = await cuttle(['adapt', model, ...data, '--budget', '50%', '--out', at('never')]);
    expectRefusal(outcome, outcome.code, /10.*2|2.*10/);
    expect([2, 3]).toContain(outcome.code);
  });
});

describe('images', () => {
  test('run: an image that is none', async () => {
    for (const [name, bytes, names] of [
      ['empty.png', '', /empty\.png/],
      ['text.jpg', 'not an image', /text\.jpg/],
      ['short.png', readFileSync(image).subarray(0, 40), /short\.png/],
    ] as const) {
      writeFileSync(at(name), bytes);
      expectRefusal(await cuttle(['run', model, '--input', at(name)]), 3, names);
    }
    expectRefusal(await cuttle(['run', model, '--input', at('gone.png')]), 3, /gone\.png/);
    expectRefusal(await cuttle(['run', model, '--input', folder]), 3, /no image file/);
  });

  test('eval: data that is none', async () => {
    const classes = await classTree(['a', 'b'], 6);
    const tar = await tarOf(classes);
    const images = idxFile([3, 28, 28], new Uint8Array(3 * 28 * 28));
    const kinds: Readonly<Record<string, Uint8Array | string>> = {
      'empty.tar': '',
      'cut.tar.gz': tar.subarray(0, tar.length - 200),
      'text.tar.gz': 'no archive',
      'no-tar.tar.gz': gzipSync('no archive'),
      'idx/t10k-images-idx3-ubyte': images.subarray(0, 500),
      'idx/t10k-labels-idx1-ubyte': idxFile([3], new Uint8Array(3)),
      'idx-count/t10k-images-idx3-ubyte': images,
      'idx-count/t10k-labels-idx1-ubyte': idxFile([5], new Uint8Array(5)),
      'cifar/test_batch.bin': new Uint8Array(3073 + 5),
      'notes/readme.txt': 'no images here',
    };
    await writeTree(at('data'), kinds);
    mkdirSync(at('data/nothing'));
    const sources = new Set([...Object.keys(kinds).map((name) => name.replace(/\/.*/, '')), 'nothing', 'missing']);
    for (const source of sources) {
      const outcome = await cuttle(['eval', model, '--data', at(`data/${source}`)]);
      expectRefusal(outcome, 3, /data\/|t10k-(images|labels)|test_batch/);
    }
  });

  test('bad files are named and counted; --on-bad stop ends the command', async () => {
    const tree = await writeTree(at('mixed'), {
      ...(await classTree(
        Array.from({ length: 10 }, (_, digit) => String(digit)),
        4,
      )),
      '3/broken.png': 'not an image',
      '4/empty.png': '',
    });
    const words = ['eval', model, '--data', tree, '--latency-samples', '2'];
    const counted = await cuttle(words);
    expect(counted.code).toBe(0);
    expect(counted.err.join('\n')).toMatch(/warning: 2 files cannot be used: .*3\/broken\.png.*4\/empty\.png/);
    expectRefusal(await cuttle([...words, '--on-bad', 'stop']), 3, /broken\.png|empty\.png/);
  });
});

describe('files of Cuttle’s own', () => {
  test('an existing output is kept without --force', async () => {
    const before = readFileSync(model);
    const words = ['train', '--arch', 'lenet-5', '--data', 'mnist', '--limit', '100', '--out', model];
    expectRefusal(await cuttle(words), 2, /lenet\.onnx.*already exists.*--force/);
    const kept = at('kept');
    await writeTree(kept, { 'thesis.txt': 'mine' });
    expectRefusal(
      await cuttle(['adapt', model, '--data', 'mnist', '--limit', '100', '--budget', '50%', '--out', kept]),
      2,
      /kept.*not empty.*--force/,
    );
    expect(readFileSync(model).equals(before)).toBe(true);
    expect(readFileSync(join(kept, 'thesis.txt'), 'utf8')).toBe('mine');
  });

  test('a design that cannot be read, or for a plain model', async () => {
    const data = ['--data', 'mnist', '--limit', '100'];
    writeFileSync(at('design.json'), '{}');
    expectRefusal(
      await cuttle(['eval', model, ...data, '--design', at('design.json')]),
      2,
      /--design is for progressive/,
    );
  });

  test('a profile that is none, or of another model', async () => {
    const words = ['adapt', model, '--data', 'mnist', '--limit', '100', '--budget', '50%', '--out', at('profiled')];
    writeFileSync(at('broken.json'), '{"kind": ');
    writeFileSync(at('other.json'), '{"kind": "shopping"}');
    expectRefusal(await cuttle([...words, '--profile', at('gone.json')]), 3, /gone\.json/);
    expectRefusal(await cuttle([...words, '--profile', at('broken.json')]), 3, /broken\.json|profile/);
    expectRefusal(await cuttle([...words, '--profile', at('other.json')]), 3, /profile/);
    const profile = await jsonOf(['profile', model, '--runs', '2', '--warm-up', '1']);
    writeFileSync(at('foreign.json'), JSON.stringify(profile));
    expectRefusal(
      await cuttle([...words, '--epochs', '1', '--max-exits', '1', '--profile', at('foreign.json')]),
      3,
      /profile/,
    );
  });
});
