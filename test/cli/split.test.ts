/** @file `cuttle split`: the table of a small network, and simulations over it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { goalsGiven } from '../../src/cli/split-goals.js';
import { parseSplitProfile } from '../../src/split/index.js';
import { cuttle, digitsModel, scratchFolder, writeModel } from './cli.js';

const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const model = writeModel(folder, 'digits.onnx', digitsModel('digits-cnn'));

describe('cuttle split', () => {
  test('table writes a split profile and shows every cut; simulate plays it', { timeout: 60_000 }, async () => {
    const out = at('profile.json');
    const table = ['split', 'table', model, '--data', 'mnist', '--limit', '200', '--bits', '2,8,32', '--threads', '1'];
    const shown = await cuttle([...table, '--out', out]);
    expect({ code: shown.code, err: shown.err.filter((line) => line.startsWith('error')) }).toEqual({
      code: 0,
      err: [],
    });
    expect(shown.out).toMatch(/cut +crosses +device +server +whole kB +2 bit +8 bit +≤1 pp +≤2 pp +≤5 pp/);
    const profile = parseSplitProfile(readFileSync(out, 'utf8'));
    expect(profile.model.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(profile.server.source).toBe('assumed');

    // It is not replaced without --force, and with --json prints what it writes.
    expect((await cuttle([...table, '--out', out])).code).toBe(2);
    const again = await cuttle([...table, '--out', out, '--force', '--json']);
    expect(parseSplitProfile(again.out)).toEqual(parseSplitProfile(readFileSync(out, 'utf8')));

    const plot = at('plot.svg');
    const words =
      '--bandwidth 20,0.1,20 --device-slow-down 20 --duration 6 --maximise throughput --policies ours,neurosurgeon';
    const played = await cuttle([
      'split',
      'simulate',
      out,
      ...words.split(' '),
      '--require',
      'accuracy>=0',
      '--out',
      plot,
      '--json',
    ]);
    expect({ code: played.code, err: played.err }).toEqual({ code: 0, err: [] });
    const result = JSON.parse(played.out) as {
      policies: { name: string; framesPerSecond: number }[];
      decisions: unknown[];
    };
    expect(result.policies.map(({ name }) => name)).toEqual(['ours', 'neurosurgeon']);
    expect(result.policies[0]!.framesPerSecond).toBeGreaterThanOrEqual(0.98 * result.policies[1]!.framesPerSecond);
    expect(result.decisions.length).toBeGreaterThan(1);
    expect(readFileSync(plot, 'utf8')).toMatch(/^<svg /);

    // A recorded link: one packet of 1,500 bytes every 10 ms.
    writeFileSync(at('link.trace'), Array.from({ length: 100 }, (_, i) => 10 * (i + 1)).join('\n'));
    const traced = await cuttle(['split', 'simulate', out, '--trace', at('link.trace'), '--duration', '2']);
    expect(traced.code).toBe(0);
    expect(traced.out).toMatch(/^policy +frames\/s/m);
  });

  test('says what is wrong', async () => {
    const refused: readonly (readonly [readonly string[], number, RegExp])[] = [
      [['split', 'fly', model], 2, /table or simulate/],
      [['split', 'table', model], 2, /--data/],
      [['split', 'simulate', model], 3, /split profile/],
      [['split', 'simulate', at('missing.json')], 3, /missing/],
    ];
    for (const [argv, code, words] of refused) {
      const result = await cuttle(argv);
      expect(result.code, argv.join(' ')).toBe(code);
      expect(result.err.join('\n')).toMatch(words);
    }
    expect(existsSync('split-profile.json')).toBe(false);
  });
});

describe('goals on the command line', () => {
  const given = (options: object) => goalsGiven({ infeasible: 'relax', ...options });

  test('bounds have units', () => {
    expect(given({ require: ['latency<=0.05s', 'accuracy >= 90%'], minimise: ['server'] })).toEqual({
      constraints: [
        { metric: 'latency', op: '<=', value: 50 },
        { metric: 'accuracy', op: '>=', value: 0.9 },
      ],
      targets: [{ metric: 'server', goal: 'min' }],
      infeasible: 'relax',
    });
    expect(given({}).targets).toEqual([{ metric: 'latency', goal: 'min' }]);
    expect(given({ target: ['accuracy>=0.8'], maximise: ['throughput'] }).targets).toEqual([
      { metric: 'accuracy', goal: 0.8 },
      { metric: 'throughput', goal: 'max' },
    ]);
  });

  test.each(['latency', 'speed<=3', 'latency<=fast', 'latency<5', 'accuracy>=90ms', 'latency<=1..2'])(
    '%s is none',
    (text) => {
      expect(() => given({ require: [text] })).toThrow();
    },
  );
});
