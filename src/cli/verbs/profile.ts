/** @file `cuttle profile`: where a model's time goes on this device, layer by layer. */
import { z } from 'zod';
import {
  analyseProfile,
  measureRoofline,
  networkSample,
  networkSize,
  type AnalysedLayer,
  type AnalysedProfile,
} from '../../measure/index.js';
import type { Model } from '../../ir/index.js';
import { basename, exists, FileExistsError, writeJson } from '../../platform/node/files.js';
import { profileModel, type Profile, type ProfileLayer } from '../../runtime/index.js';
import { ARCHITECTURE_KEY } from '../../zoo/index.js';
import { dimOptions } from '../dims.js';
import { binaryBytes, magnitude, milliseconds, percent, significant, textTable } from '../../report/index.js';
import { sessionFlags, sessionGiven, sessionOptions } from '../session-options.js';
import { openModel } from '../open-model.js';
import { defineVerb, option } from '../verb.js';

export const profile = defineVerb({
  name: 'profile',
  summary: "Measure where a model's time goes on this device, layer by layer.",
  args: [['<model>', 'an ONNX file']],
  flags: [
    ['--runs <count>', 'measured runs (default 50)'],
    ['--warm-up <count>', 'runs before the clock counts (default 10)'],
    ['--openings <count>', 'open the sessions anew so often, the runs shared among them (default 3)'],
    ['--dim <name=size...>', 'size of a symbolic dimension, such as batch=8; 1 where not given'],
    ['--top <count>', 'list only the slowest layers'],
    ['--no-roofline', 'leave out what the device could do at most (saves a second)'],
    ['--save <file>', 'write the profile with a description of every layer, for cuttle bench fit (JSON)'],
    ['--force', 'replace an existing file'],
    ...sessionFlags,
  ],
  options: z.object({
    runs: option.count().default(50),
    warmUp: option.count(0).default(10),
    openings: option.count().default(3),
    dim: dimOptions,
    top: option.count().optional(),
    roofline: z.boolean().default(true),
    save: option.text().optional(),
    force: option.flag(),
    ...sessionOptions,
  }),
  examples: [
    'cuttle profile cuttle-demo/progressive.onnx --top 10',
    'cuttle profile cuttle-demo/progressive.onnx --threads 1 --json > profile.json',
  ],
  async run({ args, options, console, signal }) {
    const { save, force } = options;
    if (save !== undefined && !force && (await exists(save))) throw new FileExistsError(save);
    const model = await openModel(args[0]!, console);
    const measured = await profileModel(model, {
      ...sessionGiven(options),
      symbols: options.dim,
      runs: options.runs,
      warmup: options.warmUp,
      openings: options.openings,
      signal,
    });
    const { device, latencyMs } = measured;
    const analysed = options.roofline
      ? analyseProfile(model, measured, await measureRoofline({ ...sessionGiven(options), signal }))
      : undefined;
    const json = analysed === undefined ? measured : { ...measured, ...analysed };
    if (save !== undefined) {
      const name = basename(args[0]!).replace(/\.onnx$/i, '');
      await writeJson(save, { ...json, sample: networkSample(name, groupOf(model, name), model, measured) }, { force });
    }
    const layers = analysed?.layers ?? measured.layers;
    const shown = options.top === undefined ? layers : [...layers].sort((a, b) => b.ms - a.ms).slice(0, options.top);
    return {
      json,
      text: [
        `${args[0]} on ${device.cpu} (${device.threads} threads, ${device.executionProvider})`,
        `one run takes ${milliseconds(latencyMs.p50)} (p90 ${milliseconds(latencyMs.p90)}, p99 ${milliseconds(latencyMs.p99)}, mean ${milliseconds(latencyMs.mean)})`,
        ...(analysed === undefined
          ? []
          : [...describeAccount(analysed, measured.quietMs ?? latencyMs.p50), ...describeRoofline(analysed)]),
        ...describeMemory(model, measured),
        ...describeProviders(measured),
        '',
        textTable<ProfileLayer | AnalysedLayer>(
          [
            { name: 'layer', value: (layer) => layer.name },
            { name: 'operator', value: (layer) => layer.op },
            { name: 'time', align: 'right', value: (layer) => milliseconds(layer.ms) },
            { name: 'share', align: 'right', value: (layer) => percent(layer.share) },
            ...(analysed === undefined ? [] : ROOFLINE_COLUMNS),
            {
              name: 'fused with it',
              value: (layer) => (layer.members ?? []).filter((name) => name !== layer.name).join(' '),
            },
          ],
          shown,
        ),
        ...(analysed === undefined ? [] : ['', operatorTable(analysed)]),
      ].join('\n'),
    };
  },
});

const ROOFLINE_COLUMNS = [
  { name: 'GFLOP/s', align: 'right', value: (layer: ProfileLayer | AnalysedLayer) => rate(layer, 'gflops') },
  { name: 'GB/s', align: 'right', value: (layer: ProfileLayer | AnalysedLayer) => rate(layer, 'gbPerSecond') },
  { name: 'bound by', value: (layer: ProfileLayer | AnalysedLayer) => ('bound' in layer ? layer.bound : '') },
  {
    name: 'of roof',
    align: 'right',
    value: (layer: ProfileLayer | AnalysedLayer) => ('ofRoof' in layer ? percent(layer.ofRoof ?? NaN, 0) : ''),
  },
] as const;

function rate(layer: ProfileLayer | AnalysedLayer, of: 'gflops' | 'gbPerSecond'): string {
  return 'bound' in layer ? significant(layer[of]) : '';
}

function describeAccount({ accounted }: AnalysedProfile, quietMs: number): string[] {
  const { kernelMs, dispatchMs, callMs, ofLatency } = accounted;
  return [
    `layers ${milliseconds(kernelMs)} (${milliseconds(dispatchMs)} of it to start them) + handing over inputs and outputs ${milliseconds(callMs)} explain ${percent(ofLatency)} of the ${milliseconds(quietMs)} of the quieter half of the runs`,
  ];
}

function describeMemory(model: Model, { inputs, memory }: Profile): string[] {
  const { params, peakActivationBytes } = networkSize(model, inputs);
  const process = memory === undefined ? '' : `; the process held at most ${binaryBytes(memory.peakResidentBytes)}`;
  return [
    `${magnitude(params)} parameters, at most ${binaryBytes(peakActivationBytes)} of activations at once${process}`,
  ];
}

/** Where layers ran, told where not all ran on one provider. */
function describeProviders({ layers }: Profile): string[] {
  const counts = new Map<string, number>();
  for (const { provider } of layers) if (provider !== undefined) counts.set(provider, (counts.get(provider) ?? 0) + 1);
  const away = layers.filter(({ fallback }) => fallback === true).length;
  if (counts.size < 2 && away === 0) return [];
  const shared = [...counts].map(([provider, count]) => `${count} on ${provider}`).join(', ');
  return [`layers: ${shared}${away > 0 ? `; ${away} fell back` : ''}`];
}

/** The architecture that a network is a variant of: from the zoo's metadata or the file's name, up to its first number. */
function groupOf({ metadata }: Model, name: string): string {
  const stored = architectureSchema.safeParse(parseJson(metadata.get(ARCHITECTURE_KEY)));
  const full = stored.success ? stored.data.name : name;
  return /^[a-z_ -]*[a-z]/i.exec(full)?.[0] ?? full;
}

const architectureSchema = z.object({ name: z.string() });

function parseJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

function describeRoofline({ roofline, bounds }: AnalysedProfile): string[] {
  const { gflops, gbPerSecond, dispatchMs, ridge } = roofline;
  return [
    `the device reaches ${significant(gflops)} GFLOP/s and ${significant(gbPerSecond)} GB/s (they meet at ${significant(ridge)} operations per byte); an operator without work takes ${milliseconds(dispatchMs)}`,
    `kernel time bound by: compute ${percent(bounds.compute)}, memory ${percent(bounds.memory)}, overhead ${percent(bounds.overhead)}`,
  ];
}

function operatorTable({ operators }: AnalysedProfile): string {
  return textTable(
    [
      { name: 'operator', value: ({ op }) => op },
      { name: 'layers', align: 'right', value: ({ layers }) => String(layers) },
      { name: 'time', align: 'right', value: ({ ms }) => milliseconds(ms) },
      { name: 'share', align: 'right', value: ({ share }) => percent(share) },
      { name: 'MACs', align: 'right', value: ({ macs }) => magnitude(macs) },
      { name: 'GFLOP/s', align: 'right', value: ({ gflops }) => significant(gflops) },
      { name: 'GB/s', align: 'right', value: ({ gbPerSecond }) => significant(gbPerSecond) },
    ],
    operators,
  );
}
