/** @file What operators and the shapes of inputs and outputs say about a model's task. */
import type { AuditModel, AuditTensor } from '../read/model.js';
import type { Modality } from './analysis.js';
import type { BlockGraph } from './block-graph.js';
import { detectionHead } from './detection-head.js';
import { imageSize, type InputKind } from './input-kind.js';
import type { CueSource, TaskCue } from './task-cue.js';

const dims = ({ shape }: AuditTensor): readonly number[] => (shape ?? []).map((dim) => dim ?? 1);
const sizeOf = (tensor: AuditTensor): number => dims(tensor).reduce((size, dim) => size * dim, 1);
const shapeText = (tensor: AuditTensor): string => `[${tensor.shape?.map((dim) => dim ?? '?').join(', ') ?? '?'}]`;

/** Sizes of flat outputs that hold points of known meshes: task, count of points, which. */
const POINTS: Readonly<Record<number, readonly [task: string, what: string]>> = {
  136: ['face-landmarks', '68 points of a face'],
  196: ['face-landmarks', '98 points of a face'],
  212: ['face-landmarks', '106 points of a face'],
  1404: ['face-landmarks', '468 points of a face mesh in space'],
  1434: ['face-landmarks', '478 points of a face mesh in space'],
  213: ['face-landmarks', '71 points around an eye in space'],
  63: ['hand-landmarks', '21 points of a hand in space'],
  165: ['pose-estimation', '33 points of a body with 5 values each'],
  195: ['pose-estimation', '39 points of a body with 5 values each'],
};

/** What operators and the shapes of inputs and outputs say. */
export function* structureCues(model: AuditModel, input: InputKind | undefined, graph: BlockGraph): Generator<TaskCue> {
  const operators = new Set(model.layers.map(({ op }) => op.toLowerCase().replace(/[^a-z0-9]/g, '')));
  const any = (pattern: RegExp): string | undefined => [...operators].find((op) => pattern.test(op));
  const cue = (task: string, modality: Modality, source: CueSource, weight: 1 | 2 | 3, because: string): TaskCue => ({
    task,
    modality,
    source,
    weight,
    because,
  });
  const ctc = any(/^ctc/);
  if (ctc) {
    if (input?.kind === 'image') yield cue('text-recognition', 'vision', 'operators', 3, `the operator ${ctc}`);
    else yield cue('speech-recognition', 'audio', 'operators', 3, `the operator ${ctc}`);
  }
  const spectral = any(/^(rfft|audiospectrogram|mfcc|stft|melweight)/);
  if (spectral) yield cue('sound-recognition', 'audio', 'operators', 1, `the operator ${spectral}`);
  const ends = model.outputs.filter(({ shape }) => shape !== null);
  if (input?.kind === 'image') yield* visionCues(model, input, ends, graph, cue);
  else if (input?.kind === 'tokens') yield* textCues(model, ends, cue);
  else if (input !== undefined && input.kind !== 'unknown')
    yield* signalCues(model, input, ends, graph, operators, cue);
}

type MakeCue = (task: string, modality: Modality, source: CueSource, weight: 1 | 2 | 3, because: string) => TaskCue;

function* visionCues(
  model: AuditModel,
  image: Extract<InputKind, { kind: 'image' }>,
  ends: readonly AuditTensor[],
  graph: BlockGraph,
  cue: MakeCue,
): Generator<TaskCue> {
  const head = detectionHead(model, graph);
  if (head) {
    const isOperator = head.evidence[0]!.startsWith('the operator');
    yield cue('object-detection', 'vision', isOperator ? 'operators' : 'shapes', 3, head.evidence.join('; '));
    return;
  }
  const mesh = ends.find((output) => sizeOf(output) >= 165 && POINTS[sizeOf(output)] !== undefined);
  if (mesh && ends.length >= 2) {
    const [task, what] = POINTS[sizeOf(mesh)]!;
    yield cue(
      task,
      'vision',
      'shapes',
      3,
      `output ${shapeText(mesh)}: ${what}, beside ${ends.length - 1} more outputs`,
    );
    return;
  }
  for (const output of ends) {
    const size = imageSize(output);
    const shape = dims(output);
    const [height, width, depth] = shape.slice(-3);
    // Maps of many channels are no images to `imageSize`; either end may be the channels.
    const maps = shape.length === 4 && shape.filter((dim, i) => i > 0 && dim > 1).length >= 2;
    const isFirst = maps && width === depth && height !== width;
    const map = maps
      ? isFirst
        ? { height: width!, width: depth!, channels: height! }
        : { height: height!, width: width!, channels: depth! }
      : undefined;
    const made = size && size.height > 1 ? size : map;
    if (made && image.height > 0 && made.height > 0) {
      const scale = made.height / image.height;
      if (scale > 1.5 && Number.isInteger(scale) && made.channels === image.channels)
        yield cue(
          'super-resolution',
          'vision',
          'shapes',
          3,
          `output ${shapeText(output)} is ${scale} times as large as the input`,
        );
      else if (scale === 1 && made.channels === 3 && image.channels === 3)
        yield cue(
          'image-enhancement',
          'vision',
          'shapes',
          2,
          `output ${shapeText(output)} is an image of the input's size`,
        );
      else if ([17, 18, 19, 14, 16, 34, 51].includes(made.channels) && scale <= 0.5 && scale >= 1 / 32)
        yield cue(
          'pose-estimation',
          'vision',
          'shapes',
          2,
          `output ${shapeText(output)} holds maps of ${made.channels} points`,
        );
      else if (scale <= 1 && scale >= 1 / 8 && made.channels <= 256 && isDense(model, graph))
        yield cue(
          'segmentation',
          'vision',
          'shapes',
          made.channels > 1 ? 3 : 2,
          `output ${shapeText(output)} is a map of ${made.channels} classes over the image`,
        );
      continue;
    }
    const flat = sizeOf(output);
    const points = POINTS[flat];
    if (points && ends.length <= 4 && !endsInSoftmax(model, output))
      yield cue(points[0], 'vision', 'shapes', flat === 63 ? 1 : 2, `output ${shapeText(output)}: ${points[1]}`);
    if (shape.length === 4 && shape.at(-1) === 3 && shape.at(-2) === 17)
      yield cue('pose-estimation', 'vision', 'shapes', 3, `output ${shapeText(output)}: 17 points of a body`);
    if (ends.length > 3 || graph.steps.length < 2) continue;
    const isVector = shape.filter((dim) => dim > 1).length === 1;
    if (isVector && endsInSoftmax(model, output))
      yield cue(
        'image-classification',
        'vision',
        'shapes',
        3,
        `output ${shapeText(output)} is a softmax over ${flat} classes`,
      );
    else if (isVector && (flat === 1000 || flat === 1001))
      yield cue(
        'image-classification',
        'vision',
        'shapes',
        2,
        `output ${shapeText(output)}: as many classes as ImageNet has`,
      );
    else if (isVector && [64, 128, 192, 256, 512, 1024, 1280].includes(flat))
      yield cue(
        'image-embedding',
        'vision',
        'shapes',
        endsInNorm(model, output) ? 3 : 1,
        `output ${shapeText(output)} is a vector of ${flat}`,
      );
    else if (isVector && ends.length === 1 && flat <= 10_000 && points === undefined)
      yield cue(
        'image-classification',
        'vision',
        'shapes',
        flat > 1 && graph.count('global-pool') > 0 && graph.steps.at(-1)?.outputs === flat ? 2 : 1,
        `output ${shapeText(output)} is a vector of ${flat}`,
      );
    else if (shape.length === 3 && shape.at(-1)! > 10 && shape[1]! >= 10 && graph.count('recurrent') > 0)
      yield cue('text-recognition', 'vision', 'shapes', 2, `output ${shapeText(output)}: classes along a line`);
  }
}

/** Whether a network makes maps as its work, not on its way: it enlarges, or never shrinks much. */
function isDense(model: AuditModel, graph: BlockGraph): boolean {
  return (
    graph.count('resize') + graph.count('transposed') > 0 ||
    model.layers.some(({ op }) => /depthtospace|pixelshuffle|batchtospace/i.test(op.replace(/_/g, '')))
  );
}

function endsIn(model: AuditModel, output: AuditTensor, pattern: RegExp): boolean {
  let name = output.name;
  for (let i = 0; i < 6; i++) {
    const maker = model.layers.findLast(
      ({ outputs, graph }) => graph === undefined && outputs.some((each) => each.name === name),
    );
    if (maker === undefined) return false;
    if (pattern.test(maker.family) || pattern.test(maker.op) || pattern.test(maker.activation ?? '')) return true;
    // Reshapes and conversions may follow it.
    if (maker.family !== 'movement' && maker.family !== 'quantise' && !/cast/i.test(maker.op)) return false;
    name = maker.inputs[0]?.name ?? '';
  }
  return false;
}

const endsInSoftmax = (model: AuditModel, output: AuditTensor): boolean => endsIn(model, output, /softmax/i);
const endsInNorm = (model: AuditModel, output: AuditTensor): boolean =>
  endsIn(model, output, /l2_?norm|^normalize$|lpnorm/i);

function* textCues(model: AuditModel, ends: readonly AuditTensor[], cue: MakeCue): Generator<TaskCue> {
  const names = model.inputs.map(({ name }) => name.toLowerCase()).join(' ');
  const isBert = /segment|token_?type/.test(names) || (/input_?ids/.test(names) && /mask/.test(names));
  if (isBert && ends.length === 2 && ends.every((end) => sizeOf(end) === sizeOf(ends[0]!) && sizeOf(end) >= 64))
    yield cue(
      'question-answering',
      'text',
      'shapes',
      3,
      `two outputs of ${shapeText(ends[0]!)}: where an answer begins and ends`,
    );
  for (const end of ends) {
    const shape = dims(end);
    const last = shape.at(-1) ?? 1;
    const isVector = shape.filter((dim) => dim > 1).length === 1;
    if (last >= 5000)
      yield cue(
        'language-modelling',
        'text',
        'shapes',
        2,
        `output ${shapeText(end)}: a score for each of ${last} words`,
      );
    else if (isVector && endsInSoftmax(model, end) && last <= 256)
      yield cue(
        'text-classification',
        'text',
        'shapes',
        3,
        `output ${shapeText(end)} is a softmax over ${last} classes`,
      );
    else if (isVector && [100, 128, 256, 300, 384, 512, 768, 1024].includes(last))
      yield cue('text-embedding', 'text', 'shapes', 2, `output ${shapeText(end)} is a vector of ${last}`);
    else if (isVector && last <= 64)
      yield cue('text-classification', 'text', 'shapes', 1, `output ${shapeText(end)} is a vector of ${last}`);
  }
}

function* signalCues(
  model: AuditModel,
  input: InputKind,
  ends: readonly AuditTensor[],
  graph: BlockGraph,
  operators: ReadonlySet<string>,
  cue: MakeCue,
): Generator<TaskCue> {
  const given = model.inputs[0]!;
  const isAudio = input.kind === 'waveform' || input.kind === 'spectrogram';
  const same = ends.find(({ shape }) => shape !== null && given.shape !== null && shape.join() === given.shape.join());
  const dense = graph.steps.filter(({ kind }) => kind === 'dense' || kind === 'matmul').map(({ outputs }) => outputs);
  if (same && model.inputs.length === 1 && dense.length >= 3 && Math.min(...dense) * 4 <= sizeOf(given))
    yield cue(
      'anomaly-detection',
      'sensor',
      'shapes',
      3,
      `the output has the shape of the input, through a layer of ${Math.min(...dense)}: an autoencoder`,
    );
  for (const end of ends) {
    const classes = dims(end).at(-1) ?? 1;
    const isVector = dims(end).filter((dim) => dim > 1).length <= 1;
    if (isAudio && isVector && classes === 521)
      yield cue(
        'sound-recognition',
        'audio',
        'shapes',
        3,
        `output ${shapeText(end)}: the 521 classes of AudioSet that YAMNet tells apart`,
      );
    else if (isAudio && isVector && classes >= 2 && classes <= 2000 && endsInSoftmax(model, end)) {
      yield cue(
        'sound-recognition',
        'audio',
        'shapes',
        2,
        `output ${shapeText(end)} is a softmax over ${classes} classes`,
      );
      if (input.kind === 'spectrogram' && classes <= 36 && input.steps <= 200 && model.totals.params < 1_000_000)
        yield cue(
          'keyword-spotting',
          'audio',
          'shapes',
          1,
          `about a second of ${input.bins} bins, ${classes} classes, a small model`,
        );
    } else if (input.kind === 'series' && isVector && classes >= 2 && classes <= 64 && [3, 6, 9].includes(input.bins))
      yield cue(
        'activity-recognition',
        'sensor',
        'shapes',
        2,
        `${input.steps} readings of ${input.bins} axes, ${classes} classes`,
      );
    else if (
      isAudio &&
      !isVector &&
      classes >= 26 &&
      classes <= 50_000 &&
      operators.size > 0 &&
      dims(end).length === 3 &&
      classes !== input_bins(input)
    )
      yield cue('speech-recognition', 'audio', 'shapes', 2, `output ${shapeText(end)}: ${classes} symbols along time`);
  }
}

const input_bins = (input: InputKind): number => (input.kind === 'spectrogram' ? input.bins : 0);
