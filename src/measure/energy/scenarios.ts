/** @file What inferences cost a user: the study's three uses, as battery share (gaugeNN §4.2, §4.5). */
import { CuttleError } from '../../ir/index.js';

/** A scenario, battery or inference rate that makes no sense. Exit code 2. */
export class ScenarioError extends CuttleError {
  constructor(message: string, hint: string) {
    super('usage', 'measure/scenario', message, { hint });
  }
}

/** How often a model runs in one use of a phone. */
export interface Scenario {
  readonly name: string;
  readonly description: string;
  readonly hours: number;
  readonly inferences: number;
  /** Kinds of models that it is about. */
  readonly tasks: readonly string[];
}

/** An hour of listening, a clip every second: the usual window of sound recognisers is about a second long. */
const soundWindowSeconds = 1;

/** The study's scenarios: 1 h of sound recognition, a day's typing of 275 words, 1 h of a video call at 15 frames a second. */
export const scenarios = {
  'sound-recognition': {
    name: 'sound-recognition',
    description: 'one hour of listening, one inference a second',
    hours: 1,
    inferences: 3600 / soundWindowSeconds,
    tasks: ['sound-recognition', 'keyword-spotting', 'speech-recognition', 'voice-activity-detection'],
  },
  typing: {
    name: 'typing',
    description: '275 words a day, one inference a word',
    hours: 24,
    inferences: 275,
    tasks: ['auto-complete', 'language-model', 'text-classification'],
  },
  'video-call': {
    name: 'video-call',
    description: 'one hour of a video call, segmented at 15 frames a second',
    hours: 1,
    inferences: 15 * 3600,
    tasks: ['segmentation', 'face-detection', 'pose-estimation'],
  },
} as const satisfies Readonly<Record<string, Scenario>>;

export interface Battery {
  readonly milliampHours: number;
  /** Nominal, 3.85 V for most phones. */
  readonly volts: number;
}

/** What a scenario costs. */
export interface ScenarioCost {
  readonly scenario: string;
  readonly joules: number;
  readonly milliampHours: number;
  /** Of a full battery, 0 to 1 and more. */
  readonly batteryShare: number;
  readonly batterySharePerHour: number;
  /** The device cannot run the model as often as the scenario asks. */
  readonly tooSlow: boolean;
}

/** Joules that a full battery holds: V · mAh · 3.6. Throws ScenarioError where a figure is not above zero. */
export function batteryJoules({ milliampHours, volts }: Battery): number {
  if (!(milliampHours > 0) || !(volts > 0))
    throw new ScenarioError(
      `a battery of ${milliampHours} mAh at ${volts} V is none`,
      'Give its capacity in mAh, such as 4000, and its voltage, such as 3.85.',
    );
  return volts * milliampHours * 3.6;
}

/** Battery share of a scenario: E_scenario / (V · C · 3.6 J/mAh). Throws ScenarioError for an impossible battery. */
export function scenarioCost(
  scenario: Scenario,
  inference: { readonly joules: number; readonly milliseconds: number },
  battery: Battery,
): ScenarioCost {
  const joules = inference.joules * scenario.inferences;
  const batteryShare = joules / batteryJoules(battery);
  return {
    scenario: scenario.name,
    joules,
    milliampHours: joules / (battery.volts * 3.6),
    batteryShare,
    batterySharePerHour: batteryShare / scenario.hours,
    tooSlow: inference.milliseconds * scenario.inferences > scenario.hours * 3_600_000,
  };
}
