/** @file What a model is for: cues from metadata, labels, operators, shapes and names are added up; without any, nothing is claimed. */
import type { AuditModel, AuditTensor } from '../read/model.js';
import type { Judgement, Modality, TaskGuess } from './analysis.js';
import { blockGraph } from './block-graph.js';
import { modalityOf, type InputKind } from './input-kind.js';
import { structureCues } from './task-structure.js';
import type { CueSource, TaskCue } from './task-cue.js';
import { labelCues } from './task-labels.js';
import { taskWords, wordsOf } from './task-words.js';

/** What is known beside the model itself. */
export interface TaskHints {
  readonly path: string;
  /** Names of classes, one an entry. */
  readonly labels?: readonly string[];
}

const UNKNOWN: TaskGuess = { modality: 'other', task: 'unknown' };

/** Judges the task. `observed` where metadata states it or an operator decides it, `derived` where structure does or two kinds of cues agree. */
export function taskOf(model: AuditModel, hints: TaskHints): Judgement<TaskGuess> {
  const input = modalityOf(model);
  const cues = [
    ...metadataCues(model),
    ...labelCues(hints.labels ?? metadataLabels(model)),
    ...structureCues(model, input?.kind, blockGraph(model)),
    ...nameCues(model, hints.path),
  ].filter((cue) => input === undefined || cue.source === 'metadata' || compatible(cue, input.modality));
  const parents = new Map(taskWords.flatMap(({ task, parent }) => (parent === undefined ? [] : [[task, parent]])));
  let best: { task: string; score: number; cues: readonly TaskCue[] } | undefined;
  const order = new Map(taskWords.map(({ task }, index) => [task, index]));
  const tasks = [...new Set(cues.map(({ task }) => task))].sort((a, b) => (order.get(a) ?? 99) - (order.get(b) ?? 99));
  for (const task of tasks) {
    const own = cues.filter((cue) => cue.task === task);
    // What speaks for detection speaks for face detection, too, once something says "face".
    const inherited = cues.filter((cue) => cue.task === parents.get(task));
    const all = [...own, ...inherited];
    const isWeak = own.every(({ weight, source }) => weight === 1 && source === 'names');
    if (isWeak && inherited.every(({ source }) => source === 'names')) continue;
    const score = strongest(all);
    if (best === undefined || score > best.score) best = { task, score, cues: all };
  }
  const modality = input?.modality;
  if (best === undefined)
    return {
      value: { ...UNKNOWN, modality: modality ?? 'other' },
      confidence: 'suspected',
      evidence: input ? [inputEvidence(input.input, input.kind)] : [],
    };
  const sources = new Set(best.cues.map(({ source }) => source));
  const decided = best.cues.filter(({ weight }) => weight === 3);
  const first = best.cues.find(({ task }) => task === best.task)!;
  return {
    value: { modality: first.modality, task: best.task },
    confidence: decided.some(
      ({ source, task }) => task === best.task && (source === 'metadata' || source === 'operators'),
    )
      ? 'observed'
      : decided.length > 0 || sources.size >= 2
        ? 'derived'
        : 'suspected',
    evidence: [
      ...new Set([
        ...best.cues.map(({ because }) => because),
        ...(input ? [inputEvidence(input.input, input.kind)] : []),
      ]),
    ],
  };
}

/** The strongest cue of each kind counts: ten words of one file name are one fact. */
function strongest(cues: readonly TaskCue[]): number {
  const best = new Map<CueSource, number>();
  for (const { source, weight } of cues) best.set(source, Math.max(best.get(source) ?? 0, weight));
  let sum = 0;
  for (const weight of best.values()) sum += weight;
  return sum;
}

/** Whether a cue fits what the model is fed. A spectrogram and a series look alike, so do a sound and a vector of readings. */
function compatible(cue: TaskCue, modality: Modality): boolean {
  if (cue.modality === modality || modality === 'other') return true;
  const both: readonly Modality[] = [cue.modality, modality];
  return both.includes('audio') && both.includes('sensor') ? true : cue.modality === 'other';
}

function inputEvidence({ name, shape, dtype }: AuditTensor, kind: InputKind): string {
  return `input '${short(name)}' of [${shape?.map((dim) => dim ?? '?').join(', ') ?? '?'}] ${dtype ?? ''}: ${kind.kind}`;
}

const short = (text: string): string => (text.length <= 60 ? text : `${text.slice(0, 40)}…${text.slice(-16)}`);

function metadataLabels(model: AuditModel): readonly string[] {
  const text = model.metadata['labels'];
  return text === undefined ? [] : text.split('\n');
}

/** What the model's own description says. */
function* metadataCues(model: AuditModel): Generator<TaskCue> {
  for (const [key, text] of Object.entries(model.metadata)) {
    if (!/name|description|task|type|content/i.test(key) || key === 'labels') continue;
    const words = wordsOf(text);
    for (const row of taskWords)
      if (row.words.test(words))
        yield {
          task: row.task,
          modality: row.modality,
          source: 'metadata',
          weight: 3,
          because: `metadata '${short(key)}' says '${short(text)}'`,
        };
  }
}

/** Words in the path, the model's name and its outputs. */
function* nameCues(model: AuditModel, path: string): Generator<TaskCue> {
  const parts = path.split('/');
  const texts: readonly (readonly [text: string, where: string])[] = [
    [parts.at(-1)?.replace(/\.[A-Za-z0-9]{1,9}$/, '') ?? '', 'the file'],
    [parts.slice(-4, -1).join(' '), 'the folder'],
    [model.name ?? '', 'the model'],
    ...model.outputs.slice(0, 8).map(({ name }) => [name.split(/[;/]/).at(-1) ?? '', 'an output'] as const),
  ];
  for (const [text, where] of texts) {
    if (text === '') continue;
    const words = wordsOf(text);
    for (const row of taskWords) {
      const found = row.words.exec(words) ?? row.weak?.exec(words);
      if (!found) continue;
      yield {
        task: row.task,
        modality: row.modality,
        source: 'names',
        weight: row.words.test(words) && where !== 'an output' ? 2 : 1,
        because: `the name of ${where} says '${found[0]}'`,
      };
    }
  }
}
