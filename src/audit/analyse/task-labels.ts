/** @file Well-known lists of classes: the names of a model's classes say what it tells apart. */
import type { TaskCue } from './task-cue.js';
import type { Modality } from './analysis.js';

interface KnownLabels {
  readonly list: string;
  readonly task: string;
  readonly modality: Modality;
  /** Names that lists of this kind hold; most of them must be there. */
  readonly names: readonly string[];
  readonly most?: number;
}

const known: readonly KnownLabels[] = [
  {
    list: 'COCO',
    task: 'object-detection',
    modality: 'vision',
    names: ['person', 'bicycle', 'fire hydrant', 'stop sign', 'parking meter', 'toothbrush', 'hair drier'],
    most: 100,
  },
  {
    list: 'PASCAL VOC',
    task: 'segmentation',
    modality: 'vision',
    names: ['aeroplane', 'bicycle', 'diningtable', 'pottedplant', 'tvmonitor', 'sheep'],
    most: 22,
  },
  {
    list: 'ImageNet',
    task: 'image-classification',
    modality: 'vision',
    names: ['tench', 'goldfish', 'hammerhead', 'tailed frog', 'bulbul', 'ear', 'toilet tissue'],
  },
  {
    list: 'CIFAR-10',
    task: 'image-classification',
    modality: 'vision',
    names: ['airplane', 'automobile', 'deer', 'frog', 'ship', 'truck'],
    most: 12,
  },
  {
    list: 'AudioSet',
    task: 'sound-recognition',
    modality: 'audio',
    names: ['speech', 'child speech, kid speaking', 'conversation', 'babbling', 'whispering', 'snoring'],
  },
  {
    list: 'Speech Commands',
    task: 'keyword-spotting',
    modality: 'audio',
    names: ['yes', 'no', 'up', 'down', 'left', 'right', 'stop', 'go'],
    most: 40,
  },
  {
    list: 'sentiments',
    task: 'sentiment-analysis',
    modality: 'text',
    names: ['positive', 'negative'],
    most: 5,
  },
  {
    list: 'emotions',
    task: 'face-attributes',
    modality: 'vision',
    names: ['angry', 'happy', 'sad', 'neutral', 'surprise', 'fear', 'disgust'],
    most: 12,
  },
  {
    list: 'activities',
    task: 'activity-recognition',
    modality: 'sensor',
    names: ['walking', 'sitting', 'standing', 'jogging', 'upstairs', 'downstairs', 'running'],
    most: 30,
  },
  {
    list: 'moderation',
    task: 'content-moderation',
    modality: 'vision',
    names: ['porn', 'hentai', 'sexy', 'neutral', 'drawings', 'nsfw', 'sfw'],
    most: 8,
  },
];

/** Cues from names of classes, one an entry, with or without their number. */
export function* labelCues(labels: readonly string[]): Generator<TaskCue> {
  const names = new Set(
    labels.map((label) =>
      label
        .trim()
        .toLowerCase()
        .replace(/^\d+[\s:,]+/, '')
        .replace(/_/g, ' '),
    ),
  );
  if (names.size === 0) return;
  for (const { list, task, modality, names: signs, most } of known) {
    const found = signs.filter((sign) => names.has(sign));
    if (found.length < 2 || found.length * 2 <= signs.length || names.size > (most ?? Infinity)) continue;
    yield {
      task,
      modality,
      source: 'labels',
      weight: 2,
      because: `its ${names.size} classes are those of ${list}: ${found.slice(0, 3).join(', ')} …`,
    };
  }
}
