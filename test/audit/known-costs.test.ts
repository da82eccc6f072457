/** @file Networks of known cost (G3): MACs and parameters as published, by the audit's reader and by the graph's own cost model. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cuttle, scratchFolder } from '../cli/cli.js';
import { readAuditModel } from '../../src/audit/index.js';
import type { Model } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { LayerStack, type Features } from '../../src/zoo/layers.js';

/** MobileNetV1 (Howard et al. 2017, table 1): depthwise and pointwise convolutions by turns. */
function mobileNetV1(): Model {
  const stack = new LayerStack({ classes: 1000, input: [3, 224, 224], seed: 1 });
  const unit = (name: string, x: Features, channels: number, stride: number, groups = 1, kernel = 3): Features =>
    stack.relu(
      `${name}.relu`,
      stack.batchNorm(
        `${name}.bn`,
        stack.conv(name, x, channels, { kernel, stride, padding: (kernel - 1) / 2, groups }),
      ),
    );
  let x = unit('stem', stack.input(), 32, 2);
  const rows: readonly (readonly [channels: number, stride: number])[] = [
    [64, 1],
    [128, 2],
    [128, 1],
    [256, 2],
    [256, 1],
    [512, 2],
    ...Array.from({ length: 5 }, () => [512, 1] as const),
    [1024, 2],
    [1024, 1],
  ];
  rows.forEach(([channels, stride], i) => {
    x = unit(`dw${i}`, x, x.channels, stride, x.channels);
    x = unit(`pw${i}`, x, channels, 1, 1, 1);
  });
  return stack.classifier('mobilenet-v1', 'fc', stack.flatten('flatten', stack.globalAveragePool('pool', x)));
}

/** ResNet-18 with the stem of CIFAR's images: four groups of two blocks, 64 to 512 channels. */
function resNet18(): Model {
  const stack = new LayerStack({ classes: 10, input: [3, 32, 32], seed: 1 });
  const conv = (name: string, x: Features, channels: number, kernel: number, stride: number): Features =>
    stack.batchNorm(`${name}.bn`, stack.conv(name, x, channels, { kernel, stride, padding: (kernel - 1) / 2 }));
  let x = stack.relu('stem.relu', conv('stem', stack.input(), 64, 3, 1));
  [64, 128, 256, 512].forEach((channels, group) => {
    for (let block = 0; block < 2; block++) {
      const name = `${group}.${block}`;
      const stride = group > 0 && block === 0 ? 2 : 1;
      const inner = stack.relu(`${name}.relu1`, conv(`${name}.a`, x, channels, 3, stride));
      const outer = conv(`${name}.b`, inner, channels, 3, 1);
      const shortcut = stride === 1 ? x : conv(`${name}.c`, x, channels, 1, stride);
      x = stack.relu(`${name}.relu2`, stack.add(`${name}.add`, outer, shortcut));
    }
  });
  return stack.classifier('resnet-18', 'fc', stack.flatten('flatten', stack.globalAveragePool('pool', x)));
}

describe('networks of known cost', () => {
  const folder = scratchFolder();
  test.each([
    ['MobileNetV1, 224 × 224', mobileNetV1, 569e6, 4.2e6],
    ['ResNet-18, 32 × 32', resNet18, 555e6, 11.17e6],
  ] as const)('%s', { timeout: 60_000 }, async (_, build, macs, params) => {
    const bytes = encodeModel(build());
    const { totals } = readAuditModel('onnx', bytes);
    expect(Math.abs((totals.macs ?? 0) / macs - 1)).toBeLessThan(0.01);
    expect(Math.abs(totals.params / params - 1)).toBeLessThan(0.01);
    expect(totals.uncountedLayers).toBe(0);
    const path = join(folder, `${macs}.onnx`);
    writeFileSync(path, bytes);
    const { code, out } = await cuttle(['inspect', path, '--json']);
    expect(code).toBe(0);
    expect((JSON.parse(out) as { macs: number }).macs).toBe(totals.macs);
  });
});
