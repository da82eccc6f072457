/** @file The main job from the command line: artefacts that plain ONNX Runtime runs, another device without retraining, Ctrl-C without loss. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { PREPROCESSING_KEY } from '../../src/data/index.js';
import { BAKED_KEY, EXITS_KEY } from '../../src/exits/index.js';
import { decodeModel } from '../../src/onnx/index.js';
import { imageFile } from '../data/files.js';
import { cuttle, digitsModel, expectRefusal, isBuilt, jsonOf, scratchFolder, start, writeModel } from './cli.js';

const folder = scratchFolder();
const at = (...names: string[]): string => join(folder, ...names);
const data = ['--data', 'mnist', '--limit', '200'];
// Heads that cost next to nothing: every budget here is met, however noisy the machine is.
const quick = ['--epochs', '1', '--max-exits', '4', '--head', 'pool', '--effort', '300', '--latency-samples', '5'];
let model = '';
let image = '';

interface AdaptJson {
  readonly backbone: { readonly accuracy: number; readonly latencyMs: number };
  readonly designs: readonly {
    readonly budget: string;
    readonly limitMs: number;
    readonly exits: readonly string[];
    readonly policy: { readonly kind: string };
    readonly accuracy: number;
    readonly latencyMs: {
      readonly predicted: number;
      readonly predictedWorstCase: number;
      readonly measured: number | null;
    };
    readonly exitRates: readonly number[];
  }[];
  readonly unreachable: readonly { readonly budget: string }[];
  readonly baselines: Readonly<Record<string, readonly { readonly budget: string }[]>>;
  readonly artefacts: {
    readonly progressive: string;
    readonly profile: string;
    readonly baked: readonly string[];
    readonly design: readonly string[];
    readonly report: string;
  };
}

const adapt = async (words: readonly string[], onLine?: (line: string) => void): Promise<AdaptJson> =>
  (await jsonOf(['adapt', model, ...data, ...quick, ...words], { onLine })) as unknown as AdaptJson;

const published = (name: string) =>
  z.fromJSONSchema(
    JSON.parse(readFileSync(new URL(`../../docs/schemas/${name}.schema.json`, import.meta.url), 'utf8')) as Record<
      string,
      unknown
    >,
  );
const metadata = (path: string, key: string): unknown =>
  JSON.parse(decodeModel(readFileSync(path)).metadata.get(key)!) as unknown;

beforeAll(async () => {
  model = writeModel(folder, 'resnet.onnx', digitsModel('resnet-8'));
  image = at('digit.png');
  writeFileSync(image, await imageFile('png', [200], { width: 28, height: 28 }));
});

describe('adapt', () => {
  let first: AdaptJson;
  beforeAll(async () => {
    first = await adapt(['--budget', '80%', '95%', '--out', at('out')]);
  });

  test('the documented fields', () => {
    expect(first.designs.map(({ budget }) => budget)).toEqual(['80%', '95%']);
    expect(first.backbone.latencyMs).toBeGreaterThan(0);
    for (const design of first.designs) {
      expect(design.latencyMs.predicted).toBeLessThanOrEqual(design.limitMs * 1.000001);
      expect(design.latencyMs.measured).toBeGreaterThan(0);
      expect(design.exitRates).toHaveLength(design.exits.length);
      expect(design.exitRates.reduce((sum, rate) => sum + rate, 0)).toBeCloseTo(1, 9);
      expect(design.policy.kind).toBe('confidence');
    }
    expect(Object.keys(first.baselines)).toEqual(['SDN-6', 'BranchyNet-2']);
    expect(first.artefacts.baked).toHaveLength(2);
    expect(first.artefacts.design).toHaveLength(2);
  });

  test('every artefact is there and keeps its published schema', () => {
    const { progressive, profile, baked, design, report } = first.artefacts;
    expect(readFileSync(report, 'utf8').length).toBeGreaterThan(0);
    const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8')) as unknown;
    published('profile').parse(json(profile));
    for (const path of design) published('design').parse(json(path));
    published('exits').parse(metadata(progressive, EXITS_KEY));
    published('preprocessing').parse(metadata(progressive, PREPROCESSING_KEY));
    for (const path of baked) published('baked').parse(metadata(path, BAKED_KEY));
  });

  test('plain ONNX Runtime runs them; the backbone in the progressive model answers as before', async () => {
    const pixels = Float32Array.from({ length: 28 * 28 }, (_, i) => ((i * 37) % 97) / 97);
    const feeds = { input: new OrtTensor('float32', pixels, [1, 1, 28, 28]) };
    const outputsOf = async (path: string) => {
      const session = await InferenceSession.create(path, { logSeverityLevel: 3 });
      return session.run(feeds);
    };
    const plain = await outputsOf(model);
    const progressive = await outputsOf(first.artefacts.progressive);
    expect(Object.keys(progressive).length).toBe(5);
    expect(progressive['logits']!.data).toEqual(plain['logits']!.data);
    for (const path of first.artefacts.baked) {
      const { exit, label, logits } = (metadata(path, BAKED_KEY) as { outputs: Record<string, string> }).outputs;
      const answer = await outputsOf(path);
      const values = [...(answer[logits!]!.data as Float32Array)];
      expect(Number(answer[label!]!.data[0])).toBe(values.indexOf(Math.max(...values)));
      expect(Number(answer[exit!]!.data[0])).toBeGreaterThanOrEqual(0);
    }
  });

  test('eval and run take them: baked and progressive with its design agree', async () => {
    const { progressive, baked, design } = first.artefacts;
    const evaluated = async (path: string, more: readonly string[] = []) =>
      (await jsonOf(['eval', path, ...data, '--latency-samples', '2', ...more])) as {
        kind: string;
        accuracy: number;
        exits: { name: string; share: number }[];
      };
    const one = await evaluated(baked[0]!);
    const staged = await evaluated(progressive, ['--design', design[0]!]);
    expect([one.kind, staged.kind]).toEqual(['baked', 'progressive']);
    expect(staged.accuracy).toBe(one.accuracy);
    expect(staged.exits.map(({ share }) => share)).toEqual(one.exits.map(({ share }) => share));
    expect(one.exits.map(({ name }) => name)).toEqual(first.designs[0]!.exits);

    const answers = [await jsonOf(['run', baked[0]!, '--input', image])];
    answers.push(await jsonOf(['run', progressive, '--design', design[0]!, '--input', image]));
    expect(answers[0]!.label).toBe(answers[1]!.label);
    expect(answers[0]!.exit).toBe(answers[1]!.exit);

    writeFileSync(at('broken-design.json'), '{"format": "cuttle.design", "version": 1}');
    const words = ['run', progressive, '--input', image, '--design', at('broken-design.json')];
    const refusal = await cuttle(words);
    expectRefusal(refusal, refusal.code, /design/);
    expect([2, 3]).toContain(refusal.code);
  });

  test('eval and run in the other modes: one exit alone, a deadline, a budget that the images share', async () => {
    const { progressive, baked } = first.artefacts;
    const evaluated = async (...more: string[]) =>
      (await jsonOf(['eval', progressive, ...data, '--latency-samples', '2', ...more])) as {
        accuracy: number;
        exits: { name: string; share: number }[];
      };
    const [plain, alone, atTheEnd] = [
      (await jsonOf(['eval', model, ...data, '--latency-samples', '2'])) as { accuracy: number },
      await evaluated('--exit', 'final'),
      await evaluated('--deadline', '60000'),
    ];
    expect(alone.accuracy).toBe(plain.accuracy);
    expect(alone.exits).toEqual([{ name: 'final', share: 1, accuracy: plain.accuracy }]);
    // With all the time in the world the policy alone decides.
    const always = await evaluated();
    expect(atTheEnd.accuracy).toBe(always.accuracy);
    expect(atTheEnd.exits).toEqual(always.exits);
    const early = await evaluated('--exit', '0');
    expect(early.exits.map(({ share }) => share)).toEqual([1]);
    expect((await jsonOf(['run', progressive, '--input', image, '--exit', '0'])).exit).toBe(early.exits[0]!.name);

    // All the budget there is beyond the dearest: nobody has to leave; with less, more leave early than with more.
    const leaving = async (share: string): Promise<number> =>
      1 - (await evaluated('--batch-budget', share)).exits.at(-1)!.share;
    expect(await leaving('60%')).toBeGreaterThan(await leaving('120%'));

    const refusals: readonly [readonly string[], RegExp][] = [
      [['eval', progressive, ...data, '--exit', '99'], /no exit '99'/],
      [['eval', progressive, ...data, '--exit', '0', '--deadline', '5'], /two modes/],
      [['eval', progressive, ...data, '--exit', '0', '--batch-budget', '50%'], /a mode of its own/],
      [['eval', baked[0]!, ...data, '--deadline', '5'], /progressive models/],
      [['eval', progressive, ...data, '--batch-budget', '50'], /percentage/],
    ];
    for (const [words, names] of refusals) expectRefusal(await cuttle(words), 2, names);
  });

  test('again, for another device: nothing is trained, the trained bytes stay', async () => {
    const trained = readFileSync(at('out/work/exits.onnx'));
    const lines: string[] = [];
    // The other device is four times as slow.
    const profile = JSON.parse(readFileSync(first.artefacts.profile, 'utf8')) as {
      latencyMs: Record<string, number>;
      layers: { ms: number }[];
      kernelMs: number;
    };
    const slow = {
      ...profile,
      latencyMs: { ...profile.latencyMs, p50: profile.latencyMs['p50']! * 4 },
      kernelMs: profile.kernelMs * 4,
      layers: profile.layers.map((layer) => ({ ...layer, ms: layer.ms * 4 })),
    };
    writeFileSync(at('same.json'), JSON.stringify(profile));
    writeFileSync(at('slow.json'), JSON.stringify(slow));
    const other = await adapt(['--budget', '95%', '--profile', at('slow.json'), '--out', at('out')], (line) =>
      lines.push(line),
    );
    expect(lines.join('\n')).toMatch(/trained already/);
    expect(lines.join('\n')).not.toMatch(/epoch/);
    expect(readFileSync(at('out/work/exits.onnx')).equals(trained)).toBe(true);
    const same = await adapt(['--budget', '95%', '--profile', at('same.json'), '--out', at('out')]);
    expect(other.backbone.latencyMs / same.backbone.latencyMs).toBeCloseTo(4, 6);
    expect(other.designs[0]!.latencyMs.measured).toBeNull();

    const worst = await adapt([
      '--budget',
      '95%',
      '--constraint',
      'worst-case',
      '--policy',
      'auto',
      '--out',
      at('out'),
    ]);
    expect(worst.designs[0]!.latencyMs.predictedWorstCase).toBeLessThanOrEqual(worst.designs[0]!.limitMs * 1.000001);
    expect(readFileSync(at('out/work/exits.onnx')).equals(trained)).toBe(true);
  });

  test('a budget that nothing meets: exit code 1; beside one that is met: said, and exit code 0', async () => {
    const words = ['adapt', model, ...data, ...quick, '--out', at('out')];
    expectRefusal(await cuttle([...words, '--budget', '1us']), 1, /no design meets the budget of 0\.001 ms/);
    const mixed = await adapt(['--budget', '1us,95%', '--out', at('out')]);
    expect(mixed.unreachable.map(({ budget }) => budget)).toEqual(['1us']);
    expect(mixed.designs.map(({ budget }) => budget)).toEqual(['95%']);
  });

  test('a folder of another model is not overwritten', async () => {
    const other = writeModel(folder, 'other.onnx', digitsModel('resnet-8', 1));
    const words = ['adapt', other, ...data, ...quick, '--budget', '95%', '--out', at('out')];
    expectRefusal(await cuttle(words), 2, /another model.*--force/);
  });

  test('backbone and exits trained together', async () => {
    const joint = await adapt(['--joint', '--budget', '95%', '--out', at('joint')]);
    expect(joint.designs).toHaveLength(1);
    const weights = (path: string) => decodeModel(readFileSync(path)).graph.initializers;
    const [before, after] = [weights(model), weights(joint.artefacts.progressive)];
    const changed = [...before].filter(([name, tensor]) => {
      const now = after.get(name);
      return now !== undefined && !tensor.data.every((value, i) => value === now.data[i]);
    });
    expect(changed.length).toBeGreaterThan(0);
  });
});

describe.skipIf(!isBuilt)('Ctrl-C', () => {
  const train = ['train', '--arch', 'lenet-5', ...data, '--batch', '16', '--epochs', '5', '--threads', '1', '--json'];

  test('train: a checkpoint stays, the same command continues, the result is that of a run in one go', async () => {
    const straight = await start([...train, '--out', 'straight.onnx'], folder).ended;
    expect(straight.code).toBe(0);
    const cut = [...train, '--out', 'cut.onnx'];
    const running = start(cut, folder, (line) => {
      if (/epoch 2\/5/.test(line)) running.interrupt();
    });
    const stopped = await running.ended;
    expectRefusal(stopped, 1, /stopped after step \d+.*same command continues/);
    expect(JSON.parse(stopped.out)).toMatchObject({ error: { code: 'train/interrupted' } });
    expect(existsSync(at('cut.onnx'))).toBe(false);
    expect(existsSync(at('cut.onnx.checkpoint'))).toBe(true);

    const resumed = await start(cut, folder).ended;
    expect(resumed.err.join('\n')).toMatch(/continues at step \d+ of/);
    const results = [straight, resumed].map(({ out }) => JSON.parse(out) as Record<string, unknown>);
    expect(results[1]).toMatchObject({ accuracy: results[0]!.accuracy, loss: results[0]!.loss, epochs: 5 });
    expect(readFileSync(at('cut.onnx')).equals(readFileSync(at('straight.onnx')))).toBe(true);
    expect(existsSync(at('cut.onnx.checkpoint'))).toBe(false);
  });

  test('adapt: the exits continue where they were, and are those of a run in one go', async () => {
    const words = (out: string) => [
      'adapt',
      model,
      ...data,
      ...quick,
      '--epochs',
      '2',
      '--budget',
      '95%',
      '--out',
      at(out),
    ];
    expect((await cuttle(words('straight'))).code).toBe(0);
    const stop = new AbortController();
    const stopped = await cuttle(words('cut'), {
      signal: stop.signal,
      onLine: (line) => (/epoch 1\/2/.test(line) ? stop.abort() : undefined),
    });
    expectRefusal(stopped, 1, /stopped after step \d+.*same command continues/);
    expect(readdirSync(at('cut/work'))).toContain('exits.checkpoint');
    const resumed = await cuttle(words('cut'));
    expect(resumed.err.join('\n')).toMatch(/continues at step/);
    expect(resumed.code).toBe(0);
    expect(readFileSync(at('cut/work/exits.onnx')).equals(readFileSync(at('straight/work/exits.onnx')))).toBe(true);
    expect(readdirSync(at('cut/work'))).not.toContain('exits.checkpoint');
  });

  test('adapt: stopped anywhere, it says so in one line', async () => {
    for (const sign of [/^mnist: /, /^searching designs/, /^measuring design/]) {
      const stop = new AbortController();
      const words = ['adapt', model, ...data, ...quick, '--epochs', '2', '--budget', '95%', '--out', at('cut')];
      const stopped = await cuttle(words, {
        signal: stop.signal,
        onLine: (line) => (sign.test(line) ? stop.abort() : undefined),
      });
      expect({ sign: String(sign), aborted: stop.signal.aborted }).toEqual({ sign: String(sign), aborted: true });
      // The last step may have nothing left to stop.
      if (stopped.code !== 0) expectRefusal(stopped, 1, /interrupted|stopped/);
    }
  });
});

describe.skipIf(!isBuilt)('the command as a process', () => {
  test('one JSON document on standard output, remarks on standard error, exit codes', async () => {
    const cwd = at('process');
    mkdirSync(cwd);
    const ended = await Promise.all(
      [['inspect', model, '--json'], ['inspect', 'none.onnx', '--json'], ['inspect', 'none.onnx'], ['--version']].map(
        (words) => start(words, cwd).ended,
      ),
    );
    const [good, bad, text, version] = ended;
    expect(good!.code).toBe(0);
    expect(JSON.parse(good!.out)).toMatchObject({ format: 'onnx' });
    expect(good!.err).toEqual([]);
    expectRefusal(bad!, 3, /none\.onnx/);
    expect(JSON.parse(bad!.out)).toMatchObject({ error: { message: expect.stringContaining('none.onnx') as string } });
    expectRefusal(text!, 3, /none\.onnx/);
    expect(text!.out).toBe('');
    const { version: expected } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(version!.out.trim()).toBe(expected);
  });
});
