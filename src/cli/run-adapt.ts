/** @file What the verbs adapt and demo share: run the job in a folder, show progress, write artefacts and report, sum up. */
import { adapt, type Adapted, type AdaptEvent, type AdaptOptions } from '../exits/adapt/adapt.js';
import { exitNamesOf } from '../exits/open-classifier.js';
import { sha256 } from '../platform/node/hash.js';
import { claimFolder, folderWorkspace, writeArtefacts, type Artefacts } from './adapt-folder.js';
import { writeAdaptReport } from './adapt-report.js';
import type { Progress } from './console.js';
import { milliseconds, percent, significant, textTable } from '../report/index.js';
import type { VerbContext, VerbResult } from './verb.js';
import { tellStudio } from './tell-studio.js';
import { showTraining } from './verbs/train.js';

export interface AdaptJob extends Omit<AdaptOptions, 'identity' | 'workspace' | 'signal' | 'onEvent'> {
  /** Of the model, for people. */
  readonly name: string;
  readonly dataName: string;
  readonly out: string;
  readonly force: boolean;
  readonly modelSha256: string;
  /** Whose profile the search is for, where it is not this device's: part of the artefacts' names. */
  readonly device?: string;
}

/** What decides whether an output folder belongs to this job. */
export function identityOf(job: Pick<AdaptJob, 'modelSha256' | 'dataName'>): string {
  return sha256(JSON.stringify([job.modelSha256, job.dataName]));
}

/** Runs the main job and writes everything below `job.out`. Throws what the steps throw. */
export async function runAdapt(
  context: Pick<VerbContext<unknown>, 'console' | 'signal'>,
  job: AdaptJob,
): Promise<VerbResult> {
  const identity = identityOf(job);
  const workspace = folderWorkspace(job.out);
  await claimFolder(job.out, identity, job.force);
  const adapted = await adapt({
    ...job,
    identity,
    workspace,
    signal: context.signal,
    onEvent: showAdapting(context.console),
  });
  const artefacts = await writeArtefacts(job, adapted);
  const report = await writeAdaptReport(job, adapted);
  return { json: describe(adapted, artefacts, report), text: summary(job, adapted, report) };
}

/** The documented JSON of `cuttle adapt`. */
function describe(adapted: Adapted, artefacts: Artefacts, report: string): unknown {
  const { backbone, designs, unreachable, progressive } = adapted;
  return {
    backbone,
    device: adapted.machine,
    latencyFrom: adapted.device === 'here' ? 'measured' : 'profile',
    designs: designs.map(({ budget, limitMs, found, test }) => ({
      budget: budget.asked,
      limitMs,
      exits: exitNamesOf(progressive, found.choice),
      policy: found.choice.policy,
      fallback: found.choice.fallback,
      accuracy: test.accuracy,
      calibrationAccuracy: found.predicted.accuracy,
      latencyMs: {
        predicted: found.predicted.latency.average,
        predictedWorstCase: found.predicted.latency.worstCase,
        measured: test.latency?.baked.typicalMean ?? null,
        measuredStaged: test.latency?.staged.typicalMean ?? null,
        measuredBackbone: test.latency?.backbone.typicalMean ?? null,
      },
      exitRates: test.exitRates,
    })),
    unreachable: unreachable.map(({ budget, limitMs, lowestMs }) => ({ budget: budget.asked, limitMs, lowestMs })),
    baselines: Object.fromEntries(
      (['SDN-6', 'BranchyNet-2'] as const).map((name) => [
        name,
        designs.map(({ budget, baselines }) => {
          const design = baselines[name];
          return design === undefined
            ? { budget: budget.asked, accuracy: null, latencyMs: null }
            : {
                budget: budget.asked,
                accuracy: design.predicted.accuracy,
                latencyMs: design.predicted.latency.average,
              };
        }),
      ]),
    ),
    artefacts: { ...artefacts, report },
  };
}

function summary(job: AdaptJob, adapted: Adapted, report: string): string {
  const { backbone, designs, unreachable } = adapted;
  return [
    `${job.name}: ${percent(backbone.accuracy)} of ${job.data.test.size} test images right, ${milliseconds(backbone.latencyMs)} an image${adapted.device === 'here' ? '' : ' on the profiled device'}`,
    '',
    textTable(
      [
        { name: 'budget', align: 'right', value: ({ budget }) => budget.asked },
        { name: 'accuracy', align: 'right', value: ({ test }) => percent(test.accuracy) },
        { name: 'predicted', align: 'right', value: ({ found }) => milliseconds(found.predicted.latency.average) },
        {
          name: 'measured',
          align: 'right',
          value: ({ test }) => milliseconds(test.latency?.baked.typicalMean ?? NaN),
        },
        {
          name: 'speed-up',
          align: 'right',
          value: ({ test: { latency } }) =>
            latency ? `${significant(latency.backbone.typicalMean / latency.baked.typicalMean)}×` : '–',
        },
        { name: 'exits', align: 'right', value: ({ found }) => String(found.predicted.instantiated.length) },
        ...(['SDN-6', 'BranchyNet-2'] as const).map((name) => ({
          name: `${name} *`,
          align: 'right' as const,
          value: ({ baselines }: Adapted['designs'][number]) => percent(baselines[name]?.predicted.accuracy ?? NaN),
        })),
      ],
      designs,
    ),
    '* accuracy on the calibration images under the same budget, with the same heads',
    ...unreachable.map(
      ({ budget, limitMs, lowestMs }) =>
        `${budget.asked} (${milliseconds(limitMs)}) cannot be met: the fastest design takes ${milliseconds(lowestMs)}`,
    ),
    '',
    `models, designs and report are in ${job.out}; open ${report}`,
  ].join('\n');
}

/** Progress lines for adapt's events. */
function showAdapting(console: VerbContext<unknown>['console']): (event: AdaptEvent) => void {
  let training: ReturnType<typeof showTraining> | undefined;
  let memo: Progress | undefined;
  return (event) => {
    if (event.kind === 'found') {
      const { policy, limitMs, latencyMs, backboneMs, accuracy, exits } = event;
      const found = { policy, budget: limitMs, latency: latencyMs, backbone: backboneMs, accuracy, exits };
      return tellStudio({ kind: 'design', ...found });
    }
    if (event.kind === 'memo' || event.kind === 'measuring')
      tellStudio({ kind: 'phase', name: event.kind, done: event.done, total: event.total });
    else if (event.kind !== 'training') tellStudio({ kind: 'phase', name: event.kind });
    switch (event.kind) {
      case 'candidates':
        return console.log(
          `exits at ${event.count} of ${event.of} candidates: ${event.head.kind} heads${event.head.width > 0 ? `, ${event.head.width} channels` : ''}`,
        );
      case 'training': {
        const { group, groups } = event.event;
        if (event.event.event.kind === 'start')
          training = showTraining(console, groups > 1 ? `exits ${group}/${groups}` : 'exits');
        return training?.(event.event.event);
      }
      case 'reused':
        return console.log(event.what === 'exits' ? 'exits are trained already' : 'the memo is there already');
      case 'memo':
        memo ??= console.progress('memo', event.total);
        memo.update(event.done);
        if (event.done === event.total) memo.end();
        return undefined;
      case 'profiling':
        return console.log(event.where === 'here' ? 'profiling on this device' : 'measuring on the other device');
      case 'searching':
        return console.log('searching designs');
      case 'measuring':
        return console.log(`measuring design ${event.done + 1} of ${event.total}`);
    }
  };
}
