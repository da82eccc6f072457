/** @file Options of `cuttle split`. */
import { z } from 'zod';
import { SPLIT_POLICIES } from '../split/index.js';
import { preprocessingFlags, preprocessingOptions } from './data-options.js';
import { sessionFlags, sessionOptions } from './session-options.js';
import { goalFlags, goalOptions } from './split-goals.js';
import { option } from './verb.js';

const simulateFlags = [
  ['--trace <file>', 'simulate: recorded link to the server, Mahimahi format, .gz allowed'],
  ['--trace-down <file>', 'simulate: recorded link from the server (default: the same as to it)'],
  ['--bandwidth <list>', 'simulate: Mbit/s in equal steps over the duration, such as 20,0.5,20 (default 10)'],
  ['--latency <ms>', 'simulate: there and back (default 40)'],
  ['--device-slow-down <list>', 'simulate: factors in equal steps over the duration (default 1)'],
  ['--server-slow-down <list>', 'simulate: the same for the server (default 1)'],
  ['--duration <seconds>', 'simulate: virtual time (default 60)'],
  ['--interval <ms>', 'simulate: a frame each so many ms (default: as many as can be served)'],
  ['--timeout <ms>', 'simulate: without an answer by then the device finishes a frame itself (default 5000)'],
  ['--policies <list>', `simulate: what to compare (default ours): ${Object.keys(SPLIT_POLICIES).join(', ')}`],
  ...goalFlags.map(([notation, what]) => [notation, `simulate: ${what}`] as const),
] as const;

const simulateOptions = {
  trace: option.text().optional(),
  traceDown: option.text().optional(),
  bandwidth: option.numbers().optional(),
  latency: z.coerce.number('is not a number').min(0, 'must not be negative').default(40),
  deviceSlowDown: option.numbers().optional(),
  serverSlowDown: option.numbers().optional(),
  duration: option.positive().default(60),
  interval: option.positive().optional(),
  timeout: option.positive().default(5000),
  policies: option.text().default('ours'),
  ...goalOptions,
};

/** What both actions take, checked and typed. */
export const splitOptions = z.object({
  data: option.text().optional(),
  limit: option.count().default(1000),
  onBad: z.enum(['count', 'stop']).default('count'),
  calibrateOn: z.enum(['test', 'train']).default('test'),
  out: option.text().optional(),
  bits: option.numbers().optional(),
  thresholds: option.numbers().optional(),
  policy: z.enum(['confidence', 'entropy', 'margin', 'patience']).default('confidence'),
  fallback: z.enum(['most-confident', 'last']).default('last'),
  exits: option.numbers().optional(),
  cuts: z.union([z.enum(['sparse', 'all']), option.numbers()]).default('sparse'),
  staticScale: option.flag(),
  link: option.positive().default(10),
  deviceProfile: option.text().optional(),
  serverProfile: option.text().optional(),
  ...simulateOptions,
  seed: option.seed(),
  force: option.flag(),
  ...preprocessingOptions,
  ...sessionOptions,
});

export type SplitOptions = z.infer<typeof splitOptions>;

/** Flags of both actions. */
export const splitFlags = [
  ['--data <source>', 'table: images, as for cuttle eval'],
  ['--limit <count>', 'table: measure on at most this many images (default 1000)'],
  ['--on-bad <what>', 'table: count (and name) unreadable images, or stop at the first: count, stop'],
  ['--calibrate-on <part>', 'table: where images come from without a val part: test (default) or train'],
  ['--out <file>', 'table: the split profile (default split-profile.json); simulate: an SVG plot of the decisions'],
  ['--bits <list>', 'table: bit-widths to measure, 1 to 16, 32 for unchanged (default 1,2,3,4,6,8,16,32)'],
  ['--thresholds <list>', 'table: thresholds shared by all exits (default 19 from 0.3 to 0.999)'],
  ['--policy <name>', 'table: when to leave: confidence (default), entropy, margin, patience'],
  ['--fallback <kind>', 'table: answer of samples that no exit stops: last (default) or most-confident (SPINN)'],
  [
    '--exits <list>',
    'table: the exits of a progressive model that take part, by number (default: those nearest to 15, 30 … 90 % of the operations)',
  ],
  ['--cuts <which>', 'table: sparse (default: where only ReLU outputs cross), all, or a list of cuts'],
  ['--static-scale', 'table: measure ranges taken beforehand (up to 5 bits), too, and how many samples they clamp'],
  ['--link <Mbps>', 'table: link that layouts and codecs are chosen for (default 10)'],
  ['--device-profile <file>', 'table: profile of the device (cuttle profile --json); measured here where omitted'],
  ['--server-profile <file>', 'table: profile of the server; taken as fast as the device where omitted'],
  ...simulateFlags,
  ['--seed <number>', 'seed of data splits and of the simulation (default 0)'],
  ['--force', 'replace an existing output file'],
  ...preprocessingFlags,
  ...sessionFlags,
] as const;
