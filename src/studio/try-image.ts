/** @file One image through a progressive model, every exit's word on it, and who answered by which score. */
import { readClasses, resolvePreprocessing } from '../data/index.js';
import { preprocessImageBytes } from '../data/node.js';
import {
  allExits,
  checkDesign,
  exitPolicies,
  gateScore,
  logitsOutputs,
  nextStreak,
  openProgressive,
  readProgressive,
  rowEvidence,
  temperaturesOf,
  type DesignChoice,
  type Progressive,
} from '../exits/index.js';
import { softmaxRows } from '../exits/open-classifier.js';
import type { Tensor } from '../ir/index.js';
import { loadModel } from '../onnx/node.js';
import { now } from '../platform/index.js';
import { openSession, type Session } from '../runtime/index.js';
import type { TriedExit, TryView } from './messages.js';

/** Classes that are listed per exit. */
const TOP = 3;

/** A progressive model that is kept open for many images. */
export interface TryModel extends AsyncDisposable {
  try(image: Uint8Array, design: DesignChoice | undefined, signal?: AbortSignal): Promise<TryView>;
}

/** Opens a progressive model. Throws NotProgressiveError for another, and what the runtime throws. */
export async function openTry(path: string): Promise<TryModel> {
  const progressive = readProgressive(await loadModel(path));
  const { preprocessing } = resolvePreprocessing(progressive.model);
  const classes = readClasses(progressive.model);
  const whole = await openSession(progressive.model, { threads: 1 });
  return {
    async try(bytes, given, signal) {
      const design = given ?? allExits(progressive);
      checkDesign(design, progressive.info.exits.length);
      const image = await preprocessImageBytes(bytes, preprocessing);
      const nameOf = (index: number): string => classes?.[index] ?? String(index);
      const logits = await logitsOf(whole, progressive, image, signal);
      const { answer, latencyMs } = await runInEarnest(progressive, design, image, signal);
      const policy = exitPolicies[design.policy.kind];
      return {
        label: nameOf(answer.prediction),
        ...{ exit: answer.exit, answeredBy: answer.answeredBy, latencyMs },
        policy: { kind: policy.kind, title: policy.title, evidence: policy.evidence, leaves: policy.leaves },
        exits: explain(progressive, design, logits, answer.exit, nameOf),
        input: { height: preprocessing.height, width: preprocessing.width, channels: preprocessing.channels },
      };
    },
    [Symbol.asyncDispose]: () => whole.release(),
  };
}

/** Logits of every exit, the final one last. */
async function logitsOf(
  session: Session,
  { info }: Progressive,
  image: Tensor,
  signal: AbortSignal | undefined,
): Promise<readonly Float32Array[]> {
  const names = logitsOutputs(info);
  const outputs = await session.run({ [info.input]: image }, { outputs: names, signal });
  return names.map((name) => outputs[name]!.data as Float32Array);
}

/** The design as it runs: stages after the answer are not computed. The second run is timed. */
async function runInEarnest(
  progressive: Progressive,
  design: DesignChoice,
  image: Tensor,
  signal: AbortSignal | undefined,
) {
  await using session = await openProgressive(progressive, design, { threads: 1 });
  await session.run(image, { signal });
  const started = now();
  const { answers } = await session.run(image, { signal });
  return { answer: answers[0]!, latencyMs: now() - started };
}

/** What each exit saw, in order; those behind the answer are what the network would have said. */
function explain(
  { info }: Progressive,
  design: DesignChoice,
  logits: readonly Float32Array[],
  stopped: number,
  nameOf: (index: number) => string,
): readonly TriedExit[] {
  const policy = exitPolicies[design.policy.kind];
  const temperatures = temperaturesOf(info);
  const final = info.exits.length;
  const last = design.truncated === true ? design.exits.at(-1)! : final;
  let streak = 0;
  let previous: number | undefined;
  return logits.map((row, exit): TriedExit => {
    const position = design.exits.indexOf(exit);
    const inDesign = position >= 0 || exit === last;
    const place = position >= 0 ? position : design.exits.length;
    const temperature = inDesign ? (design.policy.temperatures?.[place] ?? 1) : temperatures[exit]!;
    const seen = { prediction: 0, top1: 0, entropy: 0, margin: 0 };
    rowEvidence(row, 0, info.classes, temperature, seen);
    if (inDesign) {
      streak = previous === undefined ? 0 : nextStreak(streak, previous, seen.prediction);
      previous = seen.prediction;
    }
    const gate = design.policy.gates?.[position];
    const evidence = { ...seen, streak, gate: gate === undefined ? NaN : gateScore(gate, seen) };
    const { thresholds } = design.policy;
    const threshold =
      position < 0 || exit === last ? undefined : typeof thresholds === 'number' ? thresholds : thresholds[position];
    const probabilities = softmaxRows(
      row.map((logit) => logit / temperature),
      info.classes,
    );
    return {
      ...{ exit, inDesign, leaves: exit === stopped },
      name: info.exits[exit]?.value ?? 'final',
      ran: inDesign && exit <= stopped,
      label: nameOf(seen.prediction),
      score: evidence[policy.evidence],
      ...(threshold !== undefined && { threshold }),
      top: Array.from(probabilities, (probability, index) => ({ label: nameOf(index), probability }))
        .sort((a, b) => b.probability - a.probability)
        .slice(0, TOP),
    };
  });
}
