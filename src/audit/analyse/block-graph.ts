/** @file A model reduced to the steps that make an architecture: kernels, merges, pools; what lies between is skipped. */
import type { AuditLayer, AuditModel, AuditTensor } from '../read/model.js';
import { kernelAxes, kernelOf } from './kernel-axes.js';

export type StepKind =
  | 'convolution'
  | 'pointwise'
  | 'depthwise'
  | 'transposed'
  | 'dense'
  | 'matmul'
  | 'recurrent'
  | 'attention'
  | 'embedding'
  | 'add'
  | 'concat'
  | 'gate'
  | 'pool'
  | 'global-pool'
  | 'resize'
  | 'softmax'
  | 'shuffle'
  | 'detection'
  | 'other';

/** One step and the steps whose results it reads. */
export interface Step {
  readonly index: number;
  readonly kind: StepKind;
  readonly layer: AuditLayer;
  readonly from: readonly Step[];
  /** Of kernels; 0 where there is none. */
  readonly outputs: number;
  readonly inputs: number;
  /** Height and width of a kernel's window; 1 where there is none. */
  readonly window: readonly [number, number];
  readonly shape: AuditTensor['shape'];
}

export interface BlockGraph {
  readonly steps: readonly Step[];
  /** Steps that read a step's result. */
  readonly readers: ReadonlyMap<Step, readonly Step[]>;
  readonly count: (kind: StepKind) => number;
  /** The step that makes a value of the main graph, seen through what is skipped. */
  readonly maker: (value: string) => Step | undefined;
}

/** Reduces the main graph (all graphs where the main one has no kernels). */
export function blockGraph(model: AuditModel): BlockGraph {
  const main = model.layers.filter(({ graph }) => graph === undefined);
  const layers = main.some((layer) => kernelOf(layer)) ? main : model.layers;
  const steps: Step[] = [];
  const makers = new Map<string, Step | undefined>();
  const ranks = new Map<string, number>();
  for (const { name, shape } of model.inputs) if (shape) ranks.set(name, shape.length);
  for (const layer of layers) {
    const sources: Step[] = [];
    for (const { name } of layer.inputs) {
      const maker = makers.get(`${layer.graph ?? ''}\0${name}`);
      if (maker !== undefined && !sources.includes(maker)) sources.push(maker);
    }
    const kind = kindOf(layer, sources);
    let made = sources[0];
    if (kind !== undefined) {
      const kernel = kernelOf(layer);
      const axes = kernel && kernelAxes(kernel);
      made = {
        index: steps.length,
        kind,
        layer,
        from: sources,
        outputs: axes?.outputs ?? 0,
        inputs: axes?.inputs ?? 0,
        window: axes === undefined ? [1, 1] : [axes.window.at(-2) ?? 1, axes.window.at(-1) ?? 1],
        shape: layer.outputs[0]?.shape ?? null,
      };
      steps.push(made);
    }
    for (const { name } of layer.outputs) makers.set(`${layer.graph ?? ''}\0${name}`, made);
  }
  const readers = new Map<Step, Step[]>();
  const counts = new Map<StepKind, number>();
  for (const step of steps) {
    counts.set(step.kind, (counts.get(step.kind) ?? 0) + 1);
    for (const source of step.from) {
      const list = readers.get(source);
      if (list) list.push(step);
      else readers.set(source, [step]);
    }
  }
  return {
    steps,
    readers,
    count: (kind) => counts.get(kind) ?? 0,
    maker: (value) => makers.get(`\0${value}`),
  };
}

const CONCAT = /^(concat|concatenat|pack|stack)/;
const SHUFFLE = /^(shufflechannel|channelshuffle)/;
const ADD = /^(add|addv2|eltwise|binaryop|sum|addn|addlayer|average|stablehloadd)$/;
const GATE = /^(mul|multiply|scale|stablehlomultiply|multiplylayer|multiplybroadcastable)$/;
const GLOBAL = /^global|^(mean|reducemean|reduction|reduce)$/;

/** What a layer is in a block; `undefined` where it is passed over. */
function kindOf(layer: AuditLayer, sources: readonly Step[]): StepKind | undefined {
  const op = layer.op.toLowerCase().replace(/[^a-z0-9]/g, '');
  switch (layer.family) {
    case 'convolution':
    case 'depthwise-convolution':
      return convolutionKind(layer);
    case 'transposed-convolution':
      return 'transposed';
    case 'dense':
    case 'matmul':
    case 'recurrent':
    case 'attention':
    case 'embedding':
    case 'resize':
    case 'softmax':
    case 'detection':
      return layer.family;
    case 'pooling':
      return GLOBAL.test(op) || coversImage(layer) ? 'global-pool' : 'pool';
    case 'reduction':
      return GLOBAL.test(op) ? 'global-pool' : undefined;
    case 'elementwise':
      if (sources.length < 2) return undefined;
      if (ADD.test(op)) return 'add';
      return GATE.test(op) ? 'gate' : undefined;
    case 'movement':
      if (SHUFFLE.test(op)) return 'shuffle';
      return CONCAT.test(op) && sources.length >= 2 ? 'concat' : undefined;
    case 'normalisation':
      // Caffe's Scale also multiplies two values.
      return GATE.test(op) && sources.length >= 2 ? 'gate' : undefined;
    case 'other':
      return 'other';
    default:
      return undefined;
  }
}

function convolutionKind(layer: AuditLayer): StepKind {
  const kernel = kernelOf(layer);
  const axes = kernel && kernelAxes(kernel);
  if (axes === undefined) return layer.family === 'depthwise-convolution' ? 'depthwise' : 'convolution';
  const channels = channelsOf(layer.inputs[0]?.shape ?? null, axes.outputs);
  if (layer.family === 'depthwise-convolution' || (axes.inputs === 1 && axes.outputs > 1 && channels > 1))
    return 'depthwise';
  return axes.window.every((dim) => dim === 1) ? 'pointwise' : 'convolution';
}

/** Channels of an image, whichever axis they are: the number of outputs where it stands there, else the smaller end. */
function channelsOf(shape: AuditTensor['shape'], outputs: number): number {
  if (shape === null || shape.length < 3) return 1;
  const ends = [shape.length >= 4 ? shape[1] : shape[0], shape.at(-1)].map((dim) => dim ?? 1);
  return ends.includes(outputs) ? outputs : Math.min(...ends);
}

/** Whether a pool leaves one position of an image. */
function coversImage(layer: AuditLayer): boolean {
  const before = layer.inputs[0]?.shape;
  const after = layer.outputs[0]?.shape;
  if (!before || !after || after.length < 3) return false;
  const large = (shape: readonly (number | null)[]): number => shape.slice(1).filter((dim) => dim !== 1).length;
  return large(before) >= 2 && large(after) <= 1;
}
