/** @file `cuttle adapt`: from a trained classifier, images and a latency budget to an early-exit network that meets it. */
import { z } from 'zod';
import { resolvePreprocessing, standardAugmentation } from '../../data/index.js';
import { parseBudgets } from '../../exits/adapt/budget.js';
import { policiesNamed } from '../../exits/adapt/search-designs.js';
import { policyKinds } from '../../exits/policies/index.js';
import type { PolicyKind } from '../../exits/policies/policy.js';
import { exitHeads, type HeadKind } from '../../exits/heads/index.js';
import { isExitCosts, parseExitCosts, type ExitCostsFile } from '../../exits/costs-file.js';
import { basename, readJson } from '../../platform/node/files.js';
import { sha256OfFile } from '../../platform/node/hash.js';
import { parseProfile, type Profile } from '../../runtime/index.js';
import { claimFolder } from '../adapt-folder.js';
import { identityOf, runAdapt } from '../run-adapt.js';
import {
  dataFlags,
  dataOptions,
  openImages,
  preprocessingFlags,
  preprocessingGiven,
  preprocessingOptions,
  reportAssumed,
} from '../data-options.js';
import { measureOnDevice } from '../lab-device.js';
import { LAB_FOLDER } from '../lab-options.js';
import { sessionFlags, sessionGiven, sessionOptions } from '../session-options.js';
import { openModel } from '../open-model.js';
import { defineVerb, option, UsageError } from '../verb.js';

const headKinds = Object.keys(exitHeads) as [HeadKind, ...HeadKind[]];

export const adapt = defineVerb({
  name: 'adapt',
  summary: 'Give a trained classifier early exits that meet a latency budget on this device.',
  args: [['<model>', 'a trained image classifier, ONNX']],
  flags: [
    ...dataFlags,
    [
      '--budget <budget...>',
      "latency budget: a share of the model's own latency (50%) or a time (4ms); several allowed",
    ],
    ['--out <folder>', 'where models, designs and the report go; a repeated run continues there'],
    ['--constraint <kind>', 'what the budget bounds: average (default) or worst-case'],
    ['--policy <name>', `when to leave: ${policyKinds.join(', ')}, or auto to try all (default confidence)`],
    ['--thresholds <kind>', 'shared (default) by all exits, or per-exit'],
    ['--fallback <kind>', 'answer of samples that no exit stops: most-confident (default) or last'],
    ['--profile <file>', 'profile or exit costs of the progressive model on another device: search for that one'],
    ['--device <name>', 'have this device of a lab measure the network, and search for it'],
    ['--lab <place>', 'folder or URL of the lab with that device (default cuttle-lab)'],
    ['--lab-token <text>', "the lab owner's token, where --lab is a URL"],
    ['--device-backend <name>', 'what that device computes on: native, wasm, webgpu (default auto)'],
    ['--device-patience <seconds>', 'how long that device may let the job wait (default 600)'],
    ['--head <name>', `exit head: ${headKinds.join(', ')} (default msdnet)`],
    ['--head-width <channels>', 'channels of the heads (of 128, 64 … 8 the most for a tenth of the network)'],
    ['--epochs <count>', 'passes over the training images for the exits (default 3)'],
    ['--lr <rate>', 'peak learning rate of the exits (default 0.002)'],
    ['--batch <count>', 'images per training step (default 128)'],
    ['--joint', 'train backbone and exits together; by default the backbone stays as it is, to the byte'],
    ['--distill <alpha>', 'also learn from the final exit: alpha · cross-entropy + (1 − alpha) · KL'],
    ['--block-ends', 'exits only where every path runs through one tensor'],
    ['--max-exits <count>', 'train at most this many candidate exits, spread over the network'],
    ['--heads-per-step <count>', 'train this many heads at a time, to save memory'],
    ['--max-memory <MiB>', 'bound on weights and activations of a design'],
    ['--calibrate-on <part>', 'where calibration images come from without a val part: test (default) or train'],
    ['--latency-samples <count>', 'test images that are timed one by one (default 100)'],
    ['--effort <evaluations>', 'designs that the search scores per budget (default 18000)'],
    ...preprocessingFlags,
    ...sessionFlags,
    ['--seed <number>', 'seed of splits, weights and search (default 0)'],
    ['--force', 'write into a folder that holds something else'],
  ],
  options: z.object({
    ...dataOptions,
    budget: z
      .array(z.string(), { error: 'is required: say how fast the network must be, such as --budget 50%' })
      .transform((texts, context) => {
        try {
          return parseBudgets(texts);
        } catch (error) {
          context.addIssue({ code: 'custom', message: (error as Error).message });
          return z.NEVER;
        }
      }),
    out: z.string({ error: 'is required: the folder for models, designs and the report' }),
    constraint: z.enum(['average', 'worst-case']).default('average'),
    policy: z.enum(['auto', ...policyKinds] as ['auto', ...PolicyKind[]]).default('confidence'),
    thresholds: z.enum(['shared', 'per-exit']).default('shared'),
    fallback: z.enum(['most-confident', 'last']).default('most-confident'),
    profile: option.text().optional(),
    device: option.text().optional(),
    lab: option.text().default(LAB_FOLDER),
    labToken: option.text().optional(),
    deviceBackend: option.text().default('auto'),
    devicePatience: option.positive().default(600),
    head: z.enum(headKinds).default('msdnet'),
    headWidth: option.count().optional(),
    epochs: option.count().default(3),
    lr: option.positive().default(0.002),
    batch: option.count().optional(),
    joint: option.flag(),
    distill: z.coerce.number('is not a number').min(0).max(1).optional(),
    blockEnds: option.flag(),
    maxExits: option.count().optional(),
    headsPerStep: option.count().optional(),
    maxMemory: option.positive().optional(),
    calibrateOn: z.enum(['test', 'train']).default('test'),
    latencySamples: option.count().default(100),
    effort: option.count(100).optional(),
    seed: option.seed(),
    force: option.flag(),
    ...preprocessingOptions,
    ...sessionOptions,
  }),
  examples: [
    'cuttle adapt cuttle-demo/backbone.onnx --data mnist --budget 50% --out digits-adapted',
    'cuttle adapt cuttle-demo/backbone.onnx --data mnist --budget 30% 70% --constraint worst-case --out digits-adapted',
  ],
  async run(context) {
    const { args, options } = context;
    const path = args[0]!;
    const { device } = options;
    if (options.profile !== undefined && device !== undefined)
      throw new UsageError('--profile and --device both say whom the search is for', 'Give one of them.');
    const profile = options.profile === undefined ? undefined : readCosts(await readJson(options.profile));
    const backbone = await openModel(path, context.console);
    const { preprocessing, assumed } = resolvePreprocessing(backbone, preprocessingGiven(options));
    reportAssumed(context, assumed);
    const modelSha256 = await sha256OfFile(path);
    await claimFolder(options.out, identityOf({ modelSha256, dataName: options.data }), options.force);
    const data = await openImages(
      context,
      options,
      { seed: options.seed, calibrateOn: options.calibrateOn },
      preprocessing,
    );
    return await runAdapt(context, {
      name: path,
      out: options.out,
      force: options.force,
      modelSha256,
      // Part of file names.
      device:
        device?.replace(/[^\p{L}\p{N}.]+/gu, '-') ??
        (options.profile && basename(options.profile).replace(/\.json$/, '')),
      dataName: options.data,
      backbone,
      data,
      preprocessing,
      profile,
      measureElsewhere:
        device === undefined
          ? undefined
          : (progressive) =>
              measureOnDevice(
                progressive,
                {
                  ...{ device, lab: options.lab, token: options.labToken, backend: options.deviceBackend },
                  ...{ threads: options.threads ?? 1, patienceMs: options.devicePatience * 1000 },
                },
                context,
              ),
      budgets: options.budget,
      constraint: options.constraint,
      policies: policiesNamed(options.policy),
      fallback: options.fallback,
      effort: {
        seed: options.seed,
        thresholds: options.thresholds,
        ...(options.effort !== undefined && { evaluations: options.effort }),
      },
      maxMemory: options.maxMemory === undefined ? undefined : options.maxMemory * 2 ** 20,
      recipe: {
        head: { kind: options.head, width: options.headWidth },
        candidates: { blockEndsOnly: options.blockEnds, max: options.maxExits },
        backbone: options.joint ? 'joint' : 'frozen',
        distillation: options.distill === undefined ? undefined : { alpha: options.distill, temperature: 3 },
        epochs: options.epochs,
        batchSize: options.batch,
        learningRate: options.lr,
        augment: data.train.channels === 3 ? standardAugmentation : undefined,
        maxHeadsPerStep: options.headsPerStep,
      },
      session: { threads: 1, ...sessionGiven(options) },
      seed: options.seed,
      latencySamples: options.latencySamples,
    });
  },
});

/** A profile, or exit costs. Throws ProfileFormatError and ExitCostsFormatError. */
function readCosts(json: unknown): Profile | ExitCostsFile {
  return isExitCosts(json) ? parseExitCosts(json) : parseProfile(json);
}
