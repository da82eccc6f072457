/** @file The inference server: every method through every door, split requests at every cut, batches, limits. */
import { describe, expect, test } from 'vitest';
import type { DesignChoice } from '../../src/exits/design.js';
import { openProgressive } from '../../src/exits/session.js';
import { readProgressive } from '../../src/exits/progressive.js';
import { Tensor } from '../../src/ir/index.js';
import { createRandom } from '../../src/platform/index.js';
import { openSession } from '../../src/runtime/index.js';
import { openSplitNetwork } from '../../src/split/network.js';
import {
  frameInput,
  inferRequest,
  modelDigest,
  numberIn,
  readServerReport,
  writeSplitParameters,
  type InferReply,
  type InferRequest,
} from '../../src/split/oip/index.js';
import { packTensors } from '../../src/split/packing/index.js';
import { SegmentWalk } from '../../src/split/segment-walk.js';
import { noise } from '../exits/networks.js';
import {
  allDoors,
  grpcDoor,
  httpDoor,
  modelFolder,
  plainModel,
  progressiveModel,
  refusalOf,
  serve,
} from './serving.js';

const native = { backend: 'native', threads: 1 } as const;
const images = (count: number, seed = 3): Tensor => noise(createRandom(seed), [count, 3, 8, 8]);
const plain = plainModel();
const progressive = progressiveModel();
const folder = modelFolder({
  'plain.onnx': plain,
  'exits.onnx': progressive,
  'many/1/model.onnx': plain,
  'many/2/model.onnx': plainModel(2),
});
const server = await serve({ models: [folder] });
const outputOf = (reply: InferReply, name: string): Tensor =>
  reply.outputs.find((output) => output.name === name)!.tensor;
const close = (a: Tensor, b: Tensor, tolerance = 1e-4): void => {
  expect(a.dims).toEqual(b.dims);
  const [left, right] = [a.data as Float32Array, b.data as Float32Array];
  expect(Math.max(...left.map((value, i) => Math.abs(value - right[i]!)))).toBeLessThan(tolerance);
};

describe.each(allDoors(server.url))('$name', (door) => {
  test('health, readiness and metadata', async () => {
    expect(await door.live()).toBe(true);
    expect(await door.ready()).toBe(true);
    expect(await door.modelReady('plain')).toBe(true);
    expect(await door.modelReady('many', '2')).toBe(true);
    expect((await refusalOf(door.modelReady('many', '3'))).status).toBe('not-found');
    expect(await door.serverName()).toBe('cuttle');
    expect(await door.modelInputs('plain')).toEqual([{ name: 'input', datatype: 'FP32', shape: [-1, 3, 8, 8] }]);
    expect((await refusalOf(door.modelInputs('nothing'))).message).toMatch(/no model 'nothing'.*exits/s);
  });

  test('inference equals the session', async () => {
    const input = images(3);
    await using session = await openSession(plain, native);
    const { logits } = await session.run({ input });
    const reply = await door.infer(inferRequest('plain', [{ name: 'input', tensor: input }], { id: 'me' }));
    close(outputOf(reply, 'logits'), logits!);
    expect({ model: reply.model, version: reply.version, id: reply.id }).toEqual({
      model: 'plain',
      version: '1',
      id: 'me',
    });
    const report = readServerReport(reply.parameters)!;
    expect(report.batch).toBe(3);
    expect(report.load).toBeGreaterThanOrEqual(1);
    expect(report.computeMs).toBeGreaterThan(0);
  });

  test('the newest version answers where none is named', async () => {
    const request = inferRequest('many', [{ name: 'input', tensor: images(1) }]);
    expect((await door.infer(request)).version).toBe('2');
    const [first, second] = await Promise.all(['1', '2'].map((version) => door.infer({ ...request, version })));
    expect(outputOf(first!, 'logits').bytes).not.toEqual(outputOf(second!, 'logits').bytes);
  });

  test('a split request answers as the whole network does', async () => {
    const request = await splitRequest('exits', 5, images(2), undefined);
    const reply = await door.infer(request);
    expect(outputOf(reply, 'exit').dtype).toBe('int64');
    expect(outputOf(reply, 'label').dims).toEqual([2]);
  });

  test.each([
    [
      'another type',
      { inputs: [{ name: 'input', tensor: Tensor.of('float64', [1, 3, 8, 8], Array<number>(192).fill(0)) }] },
      'invalid',
      /float64\[1, 3, 8, 8\]/,
    ],
    [
      'another shape',
      { inputs: [{ name: 'input', tensor: images(1).reshape([1, 3, 64]) }] },
      'invalid',
      /float32\[1, 3, 64\], but/,
    ],
    ['a missing input', { inputs: [] }, 'invalid', /'input' is missing/],
    ['an unknown input', { inputs: [{ name: 'inptu', tensor: images(1) }] }, 'invalid', /no tensor 'inptu'/],
    ['an unknown output', { outputs: [{ name: 'scores' }] }, 'invalid', /no output 'scores'/],
    [
      'an empty batch',
      { inputs: [{ name: 'input', tensor: Tensor.floats([], [0, 3, 8, 8]) }] },
      'invalid',
      /batch is empty/,
    ],
    ['too large a batch', { inputs: [{ name: 'input', tensor: images(33) }] }, 'invalid', /33 is larger/],
    ['an unknown version', { version: '7' }, 'not-found', /no version '7'/],
    ['an unknown cut', { parameters: writeSplitParameters({ cut: 9999 }) }, 'invalid', /cut 9999 is not one of/],
    [
      'another model',
      { parameters: writeSplitParameters({ model: 'ab'.repeat(32) }) },
      'invalid',
      /is another one here/,
    ],
    ['no time', { parameters: writeSplitParameters({ deadlineMs: 0 }) }, 'too-slow', /deadline has passed/],
  ] as const)('%s is refused', async (_, change, status, message) => {
    const request = { ...inferRequest('plain', [{ name: 'input', tensor: images(1) }]), ...change };
    const error = await refusalOf(door.infer(request));
    expect({ status: error.status, message: error.message }).toEqual({
      status,
      message: expect.stringMatching(message) as string,
    });
  });
});

/** What a device that stopped at a cut sends. */
async function splitRequest(
  model: string,
  cut: number,
  input: Tensor,
  design: DesignChoice | undefined,
  bits = 32,
): Promise<InferRequest> {
  const network = openSplitNetwork(model === 'exits' ? progressive : plain);
  await using walk = new SegmentWalk(network, native);
  const tensors = cut === 0 ? { input } : (await walk.run({ from: 0, to: cut, tensors: { input } })).frontier!.tensors;
  const frame = packTensors(tensors, { bits, layout: 'planes', codec: 'lz4' });
  const parameters = writeSplitParameters({ cut, framed: true, design });
  return inferRequest(model, [frameInput(frame)], { parameters });
}

describe('split requests', () => {
  const door = grpcDoor(server.url, 'gRPC');

  test('every cut gives the logits of the whole', async () => {
    const input = images(2);
    await using session = await openSession(plain, native);
    const { logits } = await session.run({ input });
    const { cuts } = openSplitNetwork(plain).cuts;
    for (let cut = 0; cut < cuts.length - 1; cut++)
      close(outputOf(await door.infer(await splitRequest('plain', cut, input, undefined)), 'logits'), logits!);
  });

  test('exits decide as on the device', async () => {
    const input = images(6, 9);
    const design: DesignChoice = {
      exits: [0, 1],
      policy: { kind: 'confidence', thresholds: 0.16 },
      fallback: 'most-confident',
    };
    await using session = await openProgressive(readProgressive(progressive), design, native);
    const { answers } = await session.run(input);
    const reply = await door.infer(await splitRequest('exits', 0, input, design));
    expect(Array.from(outputOf(reply, 'exit').data, Number)).toEqual(answers.map(({ answeredBy }) => answeredBy));
    expect(Array.from(outputOf(reply, 'label').data, Number)).toEqual(answers.map(({ prediction }) => prediction));
    expect(new Set(answers.map(({ answeredBy }) => answeredBy)).size).toBeGreaterThan(1);
  });

  test('the frontier may come as ordinary tensors', async () => {
    const input = images(1);
    const request = inferRequest('plain', [{ name: 'input', tensor: input }], {
      parameters: writeSplitParameters({ cut: 0 }),
    });
    const framed = await door.infer(await splitRequest('plain', 0, input, undefined));
    expect(outputOf(await door.infer(request), 'logits').bytes).toEqual(outputOf(framed, 'logits').bytes);
  });

  test('packed to few bits, the answer stays near', async () => {
    const input = images(2);
    const exact = await door.infer(await splitRequest('plain', 4, input, undefined));
    const packed = await door.infer(await splitRequest('plain', 4, input, undefined, 8));
    close(outputOf(packed, 'logits'), outputOf(exact, 'logits'), 0.2);
    expect(outputOf(packed, 'logits').bytes).not.toEqual(outputOf(exact, 'logits').bytes);
  });

  test('metadata says which model it is and where it can be cut', async () => {
    const json = (await (await fetch(`${server.url}/v2/models/exits`)).json()) as {
      parameters: Record<string, unknown>;
    };
    expect(json.parameters).toMatchObject({ cuttle_model: await modelDigest(progressive), cuttle_packing: 'cutf1' });
    expect(numberIn(new Map(Object.entries(json.parameters)) as never, 'cuttle_cuts')).toBe(
      openSplitNetwork(progressive).cuts.cuts.length,
    );
  });

  test.each([
    ['a frame for another cut', (frame: Uint8Array) => ({ cut: 1, frame }), 'invalid', /takes no tensor 'input'/],
    [
      'a broken frame',
      (frame: Uint8Array) => ({ cut: 0, frame: frame.subarray(0, frame.length - 3) }),
      'invalid',
      /no valid frame/,
    ],
    [
      'a broken payload',
      (frame: Uint8Array) => ({
        cut: 0,
        frame: Uint8Array.from(frame, (byte, i) => (i > frame.length - 40 ? 255 - byte : byte)),
      }),
      'invalid',
      /LZ4|frame/,
    ],
    [
      'the last cut',
      (frame: Uint8Array) => ({ cut: openSplitNetwork(plain).cuts.cuts.length - 1, frame }),
      'invalid',
      /is not one of/,
    ],
    [
      'unknown exits',
      (frame: Uint8Array) => ({
        cut: 0,
        frame,
        design: { exits: [5], policy: { kind: 'confidence', thresholds: 1 }, fallback: 'last' } as const,
      }),
      'invalid',
      /not one of its 0 candidates/,
    ],
  ] as const)('%s is refused', async (_, make, status, message) => {
    const packed = packTensors(
      {
        input: Tensor.floats(
          new Float32Array(192).map((_, i) => i % 5),
          [1, 3, 8, 8],
        ),
      },
      { bits: 8, layout: 'lanes', codec: 'lz4' },
    );
    const { cut, frame, design } = { design: undefined, ...make(packed) };
    const parameters = writeSplitParameters({ cut, framed: true, design });
    const error = await refusalOf(
      door.infer(inferRequest('plain', [frameInput(Uint8Array.from(frame))], { parameters })),
    );
    expect({ status: error.status, message: error.message }).toEqual({
      status,
      message: expect.stringMatching(message) as string,
    });
  });
});

describe('batches', () => {
  test('clients share runs, and each gets its own rows', async () => {
    const shared = await serve({ models: [folder], maxBatch: 8, batchDelayMs: 50 });
    const doors = allDoors(shared.url);
    const inputs = Array.from({ length: 12 }, (_, i) => images(1, 100 + i));
    await using session = await openSession(plain, native);
    const replies = await Promise.all(
      inputs.map((input, i) =>
        doors[i % doors.length]!.infer(inferRequest('plain', [{ name: 'input', tensor: input }])),
      ),
    );
    const sizes = replies.map(({ parameters }) => readServerReport(parameters)!.batch);
    expect(Math.max(...sizes)).toBe(8);
    for (const [i, reply] of replies.entries())
      close(outputOf(reply, 'logits'), (await session.run({ input: inputs[i]! }))['logits']!);
  });

  test('split requests of one cut and policy share runs; one with a broken payload spoils no other', async () => {
    const shared = await serve({ models: [folder], maxBatch: 8, batchDelayMs: 50 });
    const door = grpcDoor(shared.url, 'gRPC');
    const design: DesignChoice = { exits: [1], policy: { kind: 'confidence', thresholds: 0.16 }, fallback: 'last' };
    const requests = await Promise.all(
      [1, 2, 3].map((count, i) => splitRequest('exits', 3, images(count, 50 + i), design, 8)),
    );
    const alone = await Promise.all(requests.map((request) => grpcDoor(server.url, 'gRPC').infer(request)));
    const frame = requests[0]!.inputs[0]!.tensor.bytes;
    const broken = Uint8Array.from(frame, (byte, i) => (i > frame.length - 60 ? 255 - byte : byte));
    const [bad, ...good] = await Promise.allSettled([
      door.infer({ ...requests[0]!, inputs: [frameInput(broken)] }),
      ...requests.map((request) => door.infer(request)),
    ]);
    expect(bad.status).toBe('rejected');
    good.forEach((settled, i) => {
      const reply = (settled as PromiseFulfilledResult<InferReply>).value;
      expect(readServerReport(reply.parameters)!.batch).toBeGreaterThanOrEqual(6);
      for (const name of ['exit', 'label'])
        expect(outputOf(reply, name).bytes).toEqual(outputOf(alone[i]!, name).bytes);
      close(outputOf(reply, 'logits'), outputOf(alone[i]!, 'logits'));
    });
  });
});

describe('limits', () => {
  const request = inferRequest('plain', [{ name: 'input', tensor: images(1) }]);

  test('a full queue refuses and says when to try again', async () => {
    const tight = await serve({ models: [folder], queue: 2, batchDelayMs: 10_000, maxBatch: 4 });
    for (const door of [httpDoor(tight.url, true), grpcDoor(tight.url, 'gRPC')]) {
      const waiting = [0, 1].map(() => {
        const stop = new AbortController();
        return { stop, done: door.infer(request, stop.signal).catch(() => 'stopped') };
      });
      await expect.poll(() => /^cuttle_queue_requests 2$/m.test(tight.metrics())).toBe(true);
      const error = await refusalOf(door.infer(request));
      expect(error.status).toBe('overloaded');
      expect(error.retryAfterMs).toBeGreaterThan(0);
      for (const { stop } of waiting) stop.abort();
      await Promise.all(waiting.map(({ done }) => done));
      await expect
        .poll(() => [door.name, /^cuttle_queue_requests 0$/m.test(tight.metrics())])
        .toEqual([door.name, true]);
    }
    expect(tight.metrics()).toMatch(/cuttle_dropped_total\{where="queue"\} 4/);
  });

  test('a deadline that passes in the queue is answered in time', async () => {
    const slow = await serve({ models: [folder], batchDelayMs: 10_000 });
    for (const door of allDoors(slow.url)) {
      const error = await refusalOf(door.infer({ ...request, parameters: writeSplitParameters({ deadlineMs: 60 }) }));
      expect(error.status).toBe('too-slow');
    }
    expect(slow.metrics()).toMatch(/^cuttle_queue_requests 0$/m);
  });

  test('one client’s requests at a time and per second are bounded, another client is let in', async () => {
    const bounded = await serve({ models: [folder], perClient: 1, batchDelayMs: 10_000, maxBatch: 2 });
    const door = httpDoor(bounded.url, true);
    const as = (client: string) => ({ ...request, parameters: writeSplitParameters({ client }) });
    const first = door.infer(as('a'));
    await expect.poll(() => /^cuttle_queue_requests 1$/m.test(bounded.metrics())).toBe(true);
    expect((await refusalOf(door.infer(as('a')))).status).toBe('limited');
    // The second client's request fills the batch, so that both are answered.
    await Promise.all([first, door.infer(as('b'))]);

    const rated = await serve({ models: [folder], perClientRate: 2 });
    const outcomes = await Promise.allSettled([0, 1, 2].map(() => httpDoor(rated.url, true).infer(request)));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  });

  test('bodies beyond the limit are refused at every door, whether they say so or not', async () => {
    const small = await serve({ models: [folder], maxRequestBytes: 2000 });
    const large = inferRequest('plain', [{ name: 'input', tensor: images(8) }]);
    for (const door of allDoors(small.url)) {
      expect(['too-large', 'limited', 'invalid']).toContain((await refusalOf(door.infer(large))).status);
      await door.infer(inferRequest('plain', [{ name: 'input', tensor: images(1) }])).catch((error: unknown) => {
        // JSON of one image is larger than the limit; binary data is not.
        if (door.name !== 'HTTP, JSON') throw error;
      });
    }
    const unsaid = await fetch(`${small.url}/v2/models/plain/infer`, {
      method: 'POST',
      duplex: 'half',
      body: new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000)) }),
    } as RequestInit);
    expect(unsaid.status).toBe(413);
  });
});

describe('tokens and origins', () => {
  test('every door asks for the token; probes need none', async () => {
    const guarded = await serve({ models: [folder], tokens: new Map([['right-one', 'alice']]) });
    const request = inferRequest('plain', [{ name: 'input', tensor: images(1) }]);
    for (const token of [undefined, 'wrong-one'])
      for (const door of allDoors(guarded.url, { token }))
        expect((await refusalOf(door.infer(request))).status).toBe('unauthenticated');
    for (const door of allDoors(guarded.url, { token: 'right-one' })) await door.infer(request);
    expect((await fetch(`${guarded.url}/v2/health/ready`)).status).toBe(200);
    expect((await fetch(`${guarded.url}/v2/models/plain`)).headers.get('www-authenticate')).toBe('Bearer');
    expect((await fetch(`${guarded.url}/metrics`)).status).toBe(401);
  });

  test('pages of allowed origins may ask, others may not', async () => {
    const open = await serve({ models: [folder], origins: ['https://app.example'] });
    const ask = (origin: string, method: string) =>
      fetch(`${open.url}/inference.GRPCInferenceService/ServerLive`, {
        method,
        headers: {
          origin,
          ...(method === 'OPTIONS'
            ? { 'access-control-request-method': 'POST' }
            : { 'content-type': 'application/json' }),
        },
        ...(method === 'POST' ? { body: '{}' } : {}),
      });
    const preflight = await ask('https://app.example', 'OPTIONS');
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/authorization.*connect-protocol-version/);
    const answer = await ask('https://app.example', 'POST');
    expect(await answer.json()).toEqual({ live: true });
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect((await ask('https://evil.example', 'OPTIONS')).headers.get('access-control-allow-origin')).toBeNull();
  });
});

test('metrics count what happened', async () => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  expect(text).toMatch(/cuttle_inferences_total\{model="plain",door="grpc",outcome="ok"\} \d+/);
  expect(text).toMatch(/cuttle_inference_seconds_bucket\{model="plain",le="\+Inf"\} \d+/);
  expect(text).toMatch(/^cuttle_models 4$/m);
  for (const line of text.trim().split('\n'))
    expect(line).toMatch(/^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [\d.e+-]+)$/);
});
