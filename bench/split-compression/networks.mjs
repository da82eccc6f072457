/** @file The networks of the split benches: where they come from, and their split profiles in bench/.work/split. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSplitProfile } from '../../dist/split/index.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const shared = join(root, '../shared');
export const work = join(root, 'bench/.work/split');

/**
 * `every`: of the cuts where only ReLU outputs cross, every n-th is measured. Progressive models are made by
 * bench/hapi/prepare.mjs (ResNets) and bench/split-compression/train.mjs (MobileNetV2, VGG).
 */
export const networks = {
  resnet20: { title: 'ResNet-20 with exits', file: join(root, 'bench/.work/hapi/resnet20/progressive.onnx'), every: 2 },
  resnet56: { title: 'ResNet-56 with exits', file: join(root, 'bench/.work/hapi/resnet56/progressive.onnx'), every: 8 },
  mobilenet: { title: 'MobileNetV2 ×0.5 with exits', file: join(work, 'mobilenet/progressive.onnx'), every: 3 },
  vgg: { title: 'VGG-11 with exits', file: join(work, 'vgg/progressive.onnx'), every: 1 },
  plain20: { title: 'ResNet-20, plain', file: join(shared, 'models/cifar10/resnet20-cifar10.onnx'), every: 2 },
};

export const profileFile = (name) => join(work, `${name}.json`);

/** The profiles that have been measured, by name. */
export function measuredProfiles(names = Object.keys(networks)) {
  const found = names.filter((name) => existsSync(profileFile(name)));
  if (found.length === 0) throw new Error('no split profile: run bench/split-compression/run.mjs first');
  return Object.fromEntries(found.map((name) => [name, parseSplitProfile(readFileSync(profileFile(name), 'utf8'))]));
}
