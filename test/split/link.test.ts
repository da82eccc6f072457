/** @file The link emulator in virtual time. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bytesPerMs,
  ETHERNET_TCP,
  fixedRate,
  LinkError,
  LinkModel,
  meanRate,
  parseTrace,
  steppedRate,
  traceRate,
  type LinkRate,
} from '../../src/split/link/index.js';

const shared = resolve(import.meta.dirname, '../../../shared/data/traces');

describe('a fixed rate', () => {
  test('takes latency + bytes / bandwidth', () => {
    const link = new LinkModel({ rate: fixedRate(bytesPerMs(8)), latencyMs: 20 });
    expect(bytesPerMs(8)).toBe(1000);
    expect(link.transferMs(50_000, 3)).toBe(70);
    expect(link.transferMs(0, 3)).toBe(20);
    // Alone on the link each time, however often it is asked.
    expect(link.transferMs(50_000, 3)).toBe(70);
  });

  test('messages queue up, latency does not', () => {
    const link = new LinkModel({ rate: fixedRate(100), latencyMs: 5 });
    expect(link.send(1000, 0)).toEqual({ left: 10, arrives: 15 });
    expect(link.send(1000, 2)).toEqual({ left: 20, arrives: 25 });
    expect(link.send(1000, 50)).toEqual({ left: 60, arrives: 65 });
  });

  test('headers count against the bandwidth', () => {
    const link = new LinkModel({ rate: fixedRate(1514), packets: ETHERNET_TCP });
    expect(link.transferMs(1448 * 10, 0)).toBeCloseTo(10, 10);
    expect(link.transferMs(1, 0)).toBeCloseTo(67 / 1514, 10);
  });
});

test('steps and outages', () => {
  const rate = steppedRate([
    { from: 0, bytesPerMs: 10 },
    { from: 100, bytesPerMs: 1 },
    { from: 200, bytesPerMs: 0 },
    { from: 300, bytesPerMs: 5 },
  ]);
  const ms = (bytes: number, at: number): number => new LinkModel({ rate }).transferMs(bytes, at);
  expect(ms(1000, -50)).toBe(100);
  expect(ms(1050, 0)).toBe(150);
  expect(ms(1150, 0)).toBe(310);
  expect(ms(0, 250)).toBe(0);
  expect(new LinkModel({ rate: fixedRate(0) }).transferMs(1, 0)).toBe(Infinity);
  const out = new LinkModel({
    rate: fixedRate(1),
    outages: [
      { from: 10, to: 30 },
      { from: 100, to: Infinity },
    ],
  });
  expect(out.transferMs(20, 0)).toBe(40);
  expect(out.transferMs(20, 15)).toBe(35);
  expect(out.transferMs(200, 0)).toBe(Infinity);
});

describe('a trace', () => {
  const trace = parseTrace('0\n2\n2\n2\n7\n10\n');

  test('delivers one packet per line and begins anew at its end', () => {
    const ms = (bytes: number, at: number): number => new LinkModel({ rate: traceRate(trace) }).transferMs(bytes, at);
    expect(ms(1500, 0)).toBe(0);
    expect(ms(1501, 0)).toBe(2);
    expect(ms(1500, 3)).toBe(4);
    // 7, 10, then the next period: 10 + 0, 10 + 2.
    expect(ms(4 * 1500, 3)).toBe(9);
    expect(ms(6 * 1500 * 100, 0)).toBe(1000);
    expect(meanRate(trace, { from: 0, to: 10 })).toBe((5 * 1500) / 10);
    expect(ms(1500, 10)).toBe(0);
    expect(ms(4500, 10)).toBe(2);
  });

  test('a delivery serves one message, or what is left of it the next in the queue', () => {
    const link = new LinkModel({ rate: traceRate(trace) });
    const sent = [1000, 1000, 1000, 3000].map((bytes) => link.send(bytes, 0).left);
    expect(sent).toEqual([0, 2, 2, 2]);
    expect(link.send(100, 2).left).toBe(7);
    // The rest of that delivery is lost: nothing was waiting.
    expect(link.send(100, 8).left).toBe(10);
  });

  test('deliveries in an outage are lost', () => {
    const link = new LinkModel({ rate: traceRate(trace), outages: [{ from: 2, to: 9 }] });
    expect(link.transferMs(3000, 0)).toBe(10);
  });

  test.each(['', 'x', '5\n3', '0\n0', '-1\n4', '1\nNaN'])('%j is refused', (text) => {
    expect(() => parseTrace(text)).toThrow(LinkError);
  });

  test('recorded ones', () => {
    const path = resolve(shared, 'Verizon-LTE-short.down.gz');
    if (!existsSync(path)) return console.warn(`skipped: ${path} is not there`);
    const recorded = parseTrace(gunzipSync(readFileSync(path)).toString());
    const link = new LinkModel({ rate: traceRate(recorded) });
    const mean = meanRate(recorded, { from: 0, to: recorded.periodMs });
    const bytes = 50 * mean * recorded.periodMs;
    expect(link.transferMs(bytes, 0) / recorded.periodMs).toBeCloseTo(50, 0);
  });
});

test('jitter and stalls are as often as asked, and repeat with the seed', () => {
  const options = { rate: fixedRate(100), latencyMs: 10, jitterMs: 4, stalls: { probability: 0.25 }, seed: 7 };
  const draw = (): number[] => {
    const link = new LinkModel(options);
    return Array.from({ length: 4000 }, (_, i) => link.transferMs(100, i));
  };
  const times = draw();
  expect(draw()).toEqual(times);
  const finite = times.filter(Number.isFinite);
  expect(finite.length / times.length).toBeCloseTo(0.75, 1);
  expect(Math.min(...finite)).toBeGreaterThanOrEqual(11);
  expect(Math.max(...finite)).toBeLessThanOrEqual(15);
  expect(finite.reduce((a, b) => a + b, 0) / finite.length).toBeCloseTo(13, 0);
  const late = new LinkModel({ ...options, jitterMs: 0, stalls: { probability: 1, ms: 500 } });
  expect(late.transferMs(100, 0)).toBe(511);
  for (const wrong of [{ latencyMs: -1 }, { jitterMs: NaN }, { stalls: { probability: 2 } }])
    expect(() => new LinkModel({ ...options, ...wrong })).toThrow(LinkError);
});

test('a queue never gives more than the link has, and keeps the order', () => {
  const rates = fc.oneof(
    fc.double({ min: 0.5, max: 500, noNaN: true }).map(fixedRate),
    fc
      .array(fc.nat(50), { minLength: 2, maxLength: 30 })
      .map((gaps) =>
        traceRate(parseTrace(gaps.reduce<number[]>((t, g) => [...t, (t.at(-1) ?? 1) + g], []).join('\n'))),
      ),
  );
  const messages = fc.array(fc.tuple(fc.nat(5000), fc.nat(40)), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(rates, messages, (rate: LinkRate, list) => {
      const link = new LinkModel({ rate, latencyMs: 3 });
      const whole = new LinkModel({ rate });
      let at = 0;
      let total = 0;
      let last = -Infinity;
      for (const [bytes, gap] of list) {
        at += gap;
        total += bytes;
        const { left, arrives } = link.send(bytes, at);
        expect(left).toBeGreaterThanOrEqual(Math.max(at, last));
        expect(arrives).toBeGreaterThanOrEqual(left + 3);
        // All at once from the start would not be later.
        expect(whole.transferMs(total, 0)).toBeLessThanOrEqual(left + 1e-6);
        last = left;
      }
    }),
  );
});
