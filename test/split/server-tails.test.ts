/** @file Exported tails: served by any server as plain models, they answer as the network does. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/platform/index.js';
import { openSession } from '../../src/runtime/index.js';
import { tailTransport } from '../../src/split/client/index.js';
import { CutError, frontierBytes } from '../../src/split/cuts.js';
import { openSplitNetwork } from '../../src/split/network.js';
import { openCodecs } from '../../src/split/packing/index.js';
import { SegmentWalk } from '../../src/split/segment-walk.js';
import { cheapCuts, exportTails } from '../../src/split/tails.js';
import { jsonOf, scratchFolder, writeModel } from '../cli/cli.js';
import { noise } from '../exits/networks.js';
import { plainModel, progressiveModel, serve } from './serving.js';

const native = { backend: 'native', threads: 1 } as const;
const image = noise(createRandom(4), [1, 3, 8, 8]);

describe('tails', () => {
  test('by themselves: those cuts that send less than every earlier one', () => {
    const network = openSplitNetwork(plainModel());
    const bytes = frontierBytes(network.cuts, { batch: 1 });
    const cheap = cheapCuts(network);
    expect(cheap[0]).toBe(0);
    expect(cheap.length).toBeGreaterThan(2);
    for (let i = 1; i < cheap.length; i++) expect(bytes[cheap[i]!]).toBeLessThan(bytes[cheap[i - 1]!]!);
  });

  test('have no exits, and the network’s logits', () => {
    const [whole, tail] = exportTails(progressiveModel(), { name: 'net', cuts: [3], bits: 8, layout: 'lanes' });
    expect(whole!.model.graph.outputs).toHaveLength(1);
    expect(tail!.model.graph.outputs.map(({ name }) => name)).toEqual(['logits']);
    expect(tail!.name).toBe('net.cut3');
  });

  test('cuts without anything behind them are refused', () => {
    const last = openSplitNetwork(plainModel()).cuts.cuts.length - 1;
    for (const cut of [last, 999, -1])
      expect(() => exportTails(plainModel(), { name: 'net', cuts: [cut], bits: 8, layout: 'lanes' })).toThrow(CutError);
  });
});

describe.each(['lanes', 'planes'] as const)('a repository with %s, written by the command', (layout) => {
  const folder = scratchFolder();
  const model = plainModel();
  const path = writeModel(folder, 'net.onnx', model);
  const out = join(folder, 'repository');

  test('is served, and answers split sessions’ requests', { timeout: 60_000 }, async () => {
    const said = await jsonOf([
      'export',
      path,
      '--target',
      'oip',
      '--out',
      out,
      '--cuts',
      '0,3,8',
      '--bits',
      '8',
      '--layout',
      layout,
    ]);
    expect(JSON.parse(readFileSync(join(out, 'net.tails.json'), 'utf8'))).toMatchObject({ tails: said['tails'] });
    expect(readFileSync(join(out, 'net.cut3/config.pbtxt'), 'utf8')).toMatch(
      layout === 'lanes'
        ? /\/packed" data_type: TYPE_UINT8 dims: \[ -1, \d+, 8, 8 \]/
        : /\/packed" data_type: TYPE_UINT8 dims: \[ -1 \]/,
    );
    const server = await serve({ models: [out] });
    expect(server.models.map(({ name }) => name).sort()).toEqual(['net', 'net.cut0', 'net.cut3', 'net.cut8']);
    const transport = tailTransport(server.url, said['tails'] as never);
    const network = openSplitNetwork(model);
    await using walk = new SegmentWalk(network, native);
    await using session = await openSession(model, native);
    const exact = (await session.run({ input: image }))['logits']!.data as Float32Array;
    for (const cut of [0, 3, 8]) {
      const tensors =
        cut === 0
          ? { input: image }
          : (await walk.run({ from: 0, to: cut, tensors: { input: image } })).frontier!.tensors;
      const prepared = transport.prepare({
        ...{ cut, tensors, logits: 'logits', design: undefined, deadlineMs: undefined },
        packing: { bits: 8, layout, codec: 'stored' },
        codecs: await openCodecs(),
      });
      const { logits } = await prepared.send(new AbortController().signal);
      expect(Math.max(...logits.map((value, i) => Math.abs(value - exact[i]!)))).toBeLessThan(0.1);
    }
  });
});

// Debian's protoc knows the text format; the message is written down here, as Triton publishes it.
const SCHEMA = `syntax = "proto3"; package c;
enum T { TYPE_INVALID = 0; TYPE_BOOL = 1; TYPE_UINT8 = 2; TYPE_UINT16 = 3; TYPE_INT64 = 9; TYPE_FP32 = 11; }
message Tensor { string name = 1; T data_type = 2; repeated int64 dims = 4; }
message Output { string name = 1; T data_type = 2; repeated int64 dims = 3; }
message Value { string string_value = 1; }
message ModelConfig { string name = 1; string platform = 2; int32 max_batch_size = 4; repeated Tensor input = 5;
  repeated Output output = 6; map<string, Value> parameters = 14; string backend = 17; }`;

test.skipIf(!existsSync('/usr/bin/protoc'))('config.pbtxt is protobuf text', () => {
  const folder = scratchFolder();
  writeFileSync(join(folder, 'c.proto'), SCHEMA);
  for (const { config } of exportTails(plainModel(), { name: 'net', cuts: [3], bits: 12, layout: 'planes' })) {
    const binary = execFileSync('protoc', [`--proto_path=${folder}`, '--encode=c.ModelConfig', 'c.proto'], {
      input: config,
    });
    expect(binary.length).toBeGreaterThan(50);
  }
});
