/** @file `cuttle bench energy`: what a power monitor recorded, as energy per inference and as battery share of everyday uses. */
import { z } from 'zod';
import {
  perInference,
  PowerTraceError,
  readingOfTrace,
  readMonitorCsv,
  scenarioCost,
  scenarios,
} from '../../measure/index.js';
import { basename, readText } from '../../platform/node/files.js';
import { percent, textTable } from '../../report/index.js';
import { defineVerb, option, UsageError } from '../verb.js';

const seconds = z.coerce.number('is not a number');

export const benchEnergy = defineVerb({
  name: 'energy',
  summary: 'Turn a power monitor’s recording into energy per inference, and into battery share of everyday uses.',
  args: [['<recording>', 'CSV with a time column and power, or current and voltage (Monsoon, Otii, Joulescope …)']],
  flags: [
    ['--from <seconds>', 'when the inferences began, on the recording’s clock'],
    ['--to <seconds>', 'when they ended'],
    ['--inferences <count>', 'how many ran in between'],
    ['--idle-from <seconds>', 'begin of a stretch without inferences, whose mean power is taken off'],
    ['--idle-to <seconds>', 'its end'],
    ['--idle-watts <watts>', 'idle power, where it was measured otherwise'],
    ['--volts <volts>', 'supply voltage, where the file has a current alone'],
    ['--battery <mAh>', 'capacity of the battery for the scenarios (default 4000)'],
    ['--battery-volts <volts>', 'its voltage (default 3.85)'],
  ],
  options: z.object({
    from: seconds.optional(),
    to: seconds.optional(),
    inferences: option.count(),
    idleFrom: seconds.optional(),
    idleTo: seconds.optional(),
    idleWatts: z.coerce.number('is not a number').min(0, 'must not be negative').optional(),
    volts: option.positive().optional(),
    battery: option.positive().default(4000),
    batteryVolts: option.positive().default(3.85),
  }),
  examples: ['cuttle bench energy recording.csv --from 12.5 --to 42.5 --inferences 1000 --idle-from 1 --idle-to 11'],
  async run({ args, options }) {
    const trace = readMonitorCsv(await readText(args[0]!), options.volts);
    const active = { from: options.from ?? trace.seconds[0]!, to: options.to ?? trace.seconds.at(-1)! };
    if (!(active.to > active.from)) throw new PowerTraceError('--from is not before --to', 'Give both in seconds.');
    const reading = readingOfTrace(trace, active, idleOf(options), basename(args[0]!));
    const energy = perInference(reading, options.inferences);
    const battery = { milliampHours: options.battery, volts: options.batteryVolts };
    const inference = { joules: energy.joulesPerInference, milliseconds: (1000 * energy.seconds) / energy.inferences };
    const costs = Object.values(scenarios).map((scenario) => ({
      description: scenario.description,
      ...scenarioCost(scenario, inference, battery),
    }));
    return {
      json: { energy, battery, scenarios: costs },
      text: [
        `measured by: ${energy.meter} (${energy.source})`,
        `${(1000 * energy.joulesPerInference).toPrecision(4)} mJ per inference: ${energy.totalJoules.toPrecision(4)} J in ${energy.seconds.toPrecision(4)} s (${energy.watts.toPrecision(3)} W), of which the idle device drew ${energy.idleWatts!.toPrecision(3)} W`,
        ...(energy.coarse ? ['The energy is within ten steps of the recording: let more inferences run.'] : []),
        '',
        textTable(
          [
            { name: 'use', value: ({ description }) => description },
            { name: 'energy', align: 'right', value: ({ joules }) => `${joules.toPrecision(3)} J` },
            {
              name: `of ${battery.milliampHours} mAh`,
              align: 'right',
              value: ({ batteryShare, tooSlow }) => (tooSlow ? 'too slow' : percent(batteryShare)),
            },
            {
              name: 'per hour',
              align: 'right',
              value: ({ batterySharePerHour, tooSlow }) => (tooSlow ? '–' : percent(batterySharePerHour, 2)),
            },
          ],
          costs,
        ),
      ].join('\n'),
    };
  },
});

function idleOf(options: {
  readonly idleFrom?: number | undefined;
  readonly idleTo?: number | undefined;
  readonly idleWatts?: number | undefined;
}): number | { readonly from: number; readonly to: number } {
  const { idleFrom, idleTo, idleWatts } = options;
  if (idleWatts !== undefined && idleFrom === undefined && idleTo === undefined) return idleWatts;
  if (idleWatts === undefined && idleFrom !== undefined && idleTo !== undefined) return { from: idleFrom, to: idleTo };
  throw new UsageError(
    'the idle device’s power must be known once',
    'Give --idle-from and --idle-to, or --idle-watts (0 to count everything drawn).',
  );
}
