/** @file From the outcome of adapt to its HTML report. */
import { samplePixels, type ImageDataset } from '../data/index.js';
import type { Adapted, AdaptedDesign, AdaptOptions } from '../exits/adapt/adapt.js';
import type { DesignChoice } from '../exits/design.js';
import { exitPolicies, thresholdAt } from '../exits/policies/index.js';
import { exitNamesOf } from '../exits/open-classifier.js';
import { exitAccuracy } from '../exits/scores.js';
import { costOf } from '../passes/index.js';
import {
  encodePng,
  pngDataUri,
  renderAdaptReport,
  significant,
  type AdaptReportData,
  type ReportExamples,
} from '../report/index.js';
import { joinPath, writeFileAtomic } from '../platform/node/files.js';

/** Images shown per exit. */
const EXAMPLES = 12;

/** What the report says besides what adapt found. */
export interface ReportContext extends Pick<AdaptOptions, 'data' | 'backbone' | 'constraint'> {
  readonly name: string;
  readonly dataName: string;
  readonly out: string;
  readonly device?: string;
}

/** Writes `report.html` into the output folder and returns its path. */
export async function writeAdaptReport(context: ReportContext, adapted: Adapted): Promise<string> {
  const path = joinPath(context.out, context.device === undefined ? 'report.html' : `report-${context.device}.html`);
  await writeFileAtomic(path, renderAdaptReport(reportData(context, adapted)), { force: true });
  return path;
}

/** Writes one image of a data set as a PNG file. */
export async function writeExampleImage(path: string, dataset: ImageDataset, index: number): Promise<void> {
  const { channels, height, width } = dataset;
  await writeFileAtomic(path, encodePng({ channels, height, width, pixels: samplePixels(dataset, index) }), {
    force: true,
  });
}

function reportData(context: ReportContext, adapted: Adapted): AdaptReportData {
  const { data, constraint } = context;
  const { backbone, designs, fronts, profile, machine, progressive, scores } = adapted;
  const { total } = costOf(context.backbone);
  const budgetLabel = ({ budget }: { readonly budget: AdaptedDesign['budget'] }): string =>
    budget.asked.replace('%', ' %');
  const latency = (predicted: { readonly average: number; readonly worstCase: number }): number =>
    constraint === 'average' ? predicted.average : predicted.worstCase;
  const baselines = (['SDN-6', 'BranchyNet-2'] as const).map((name) => ({ name, swept: fronts.baselines[name] }));
  return {
    title: `${fileName(context.name)} with early exits`,
    model: {
      name: fileName(context.name),
      params: total.params,
      macs: total.macs,
      accuracy: { calibration: exitAccuracy(scores, scores.exits - 1), test: backbone.accuracy },
      // Measured beside the designs, where it was: their speed-ups are ratios within one run.
      latencyMs: designs[0]?.test.latency?.backbone.typicalMean ?? backbone.latencyMs,
    },
    device: [
      ['processor', machine.cpu],
      ['threads', String(machine.threads)],
      ['runtime', `${machine.runtime}, ${machine.executionProvider}`],
      ['system', `${machine.os}, ${machine.platform}`],
    ],
    dataset: {
      name: context.dataName,
      train: data.train.size,
      calibration: data.calibration.size,
      test: data.test.size,
      classes: data.test.classes.length,
    },
    constraint: constraint === 'average' ? 'average' : 'worst case',
    budgets: fronts.outcomes.map((outcome) => ({ label: budgetLabel(outcome), latencyMs: outcome.limitMs })),
    front: [
      {
        name: 'Cuttle, best designs',
        kind: 'designs',
        points: fronts.front.map(({ predicted }) => ({
          latency: latency(predicted.latency),
          accuracy: predicted.accuracy,
          predicted: true,
        })),
      },
      {
        name: 'Cuttle, measured',
        kind: 'designs',
        points: designs.flatMap((design) =>
          design.test.latency === undefined
            ? []
            : [
                {
                  latency: design.test.latency.baked.typicalMean,
                  accuracy: design.test.accuracy,
                  label: budgetLabel(design),
                },
              ],
        ),
      },
      ...baselines.map(({ name, swept }) => ({
        name,
        kind: 'baseline' as const,
        points: swept.map(({ predicted }) => ({
          latency: latency(predicted.latency),
          accuracy: predicted.accuracy,
          predicted: true,
        })),
      })),
      {
        name: 'plain network',
        kind: 'backbone',
        points: [{ latency: backbone.latencyMs, accuracy: fronts.backbone.accuracy, predicted: true }],
      },
    ],
    designs: designs.map((design) => ({
      budget: budgetLabel(design),
      exits: exitNamesOf(progressive, design.found.choice),
      policy: describePolicy(design.found.choice),
      accuracy: { calibration: design.found.predicted.accuracy, test: design.test.accuracy },
      latency: { predicted: latency(design.found.predicted.latency), measured: design.test.latency?.baked.typicalMean },
      feasible: true,
    })),
    baselines: designs.flatMap((design) =>
      baselines.flatMap(({ name }) => {
        const predicted = design.baselines[name]?.predicted;
        return predicted === undefined
          ? []
          : [
              {
                name,
                budget: budgetLabel(design),
                accuracy: { calibration: predicted.accuracy },
                latency: { predicted: latency(predicted.latency) },
              },
            ];
      }),
    ),
    exitHistograms: designs.map((design) => ({
      design: budgetLabel(design),
      exits: exitNamesOf(progressive, design.found.choice).map((name, i) => ({
        name,
        share: design.test.exitRates[i]!,
        accuracy: design.test.exitAccuracy[i] ?? undefined,
      })),
    })),
    layers: (profile?.layers ?? []).map(({ name, op, ms, share }) => ({ name, op, ms, share })),
    examplesByExit: examples(data.test, adapted),
    training: [],
    notes: [
      ...(adapted.device === 'profile'
        ? ['Latencies come from the profile of another device; nothing was timed here.']
        : []),
      ...fronts.outcomes.flatMap((outcome) =>
        outcome.found === undefined
          ? [
              `Budget ${budgetLabel(outcome)} (${significant(outcome.limitMs)} ms) cannot be met: the fastest design takes ${significant(outcome.lowestMs)} ms.`,
            ]
          : [],
      ),
      `Accuracies of designs are on ${data.test.size} test images that took no part in training or calibration; baselines and front are on the ${data.calibration.size} calibration images.`,
    ],
  };
}

/** Test images that the first design (the first budget asked for) answered at each of its exits. */
function examples(test: ImageDataset, { designs, progressive }: Adapted): readonly ReportExamples[] {
  const [design] = designs;
  if (design === undefined) return [];
  const { exitOf, labels, confidence } = design.test;
  const { channels, height, width } = test;
  const names = exitNamesOf(progressive, design.found.choice);
  return design.found.predicted.instantiated.map((exit, place) => {
    const here = Array.from(exitOf.keys()).filter((sample) => exitOf[sample] === exit);
    // Spread over the set, because its order may go by class.
    const shown = Array.from(
      { length: Math.min(EXAMPLES, here.length) },
      (_, i) => here[Math.floor((i * here.length) / Math.min(EXAMPLES, here.length))]!,
    );
    return {
      exit: names[place]!,
      images: shown.map((sample) => ({
        src: pngDataUri({ channels, height, width, pixels: samplePixels(test, sample) }),
        label: test.classes[test.labels[sample]!]!,
        predicted: test.classes[labels[sample]!]!,
        confidence: confidence[sample]!,
      })),
    };
  });
}

function describePolicy(choice: DesignChoice): string {
  const policy = exitPolicies[choice.policy.kind];
  const sign = policy.leaves === 'at-least' ? '≥' : '<';
  if (choice.exits.length === 0) return 'runs to the end';
  const thresholds = new Set(choice.exits.map((_, place) => significant(thresholdAt(choice.policy, place))));
  return `${choice.policy.kind} ${sign} ${[...thresholds].join(', ')}`;
}

const fileName = (path: string): string => path.replace(/^.*[\\/]/, '').replace(/\.onnx$/, '');
