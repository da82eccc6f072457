/** @file Options of `cuttle lab`, for all of its actions. */
import { z } from 'zod';
import type { ToolName } from '../measure/android/tools.js';
import { jobKinds } from '../measure/lab/protocol.js';
import { dimOptions } from './dims.js';
import { countsOption } from './list-options.js';
import { option } from './verb.js';

/** Where a lab lies when nobody says. */
export const LAB_FOLDER = 'cuttle-lab';

/** Benchmark programs that run what a lab hands out. */
const tools = ['tflite', 'onnxruntime'] as const satisfies readonly ToolName[];

export const labFlags = [
  ['--dir <folder>', "serve: where the lab's journal, models and results are kept (default cuttle-lab)"],
  [
    '--host <address>',
    'serve: address to listen on (default 127.0.0.1); 0.0.0.0 for all, with the join token as the key',
  ],
  ['--port <number>', 'serve: port to listen on; 0 for any free one (default 8420)'],
  ['--tls-cert <file>', 'serve: certificate chain (PEM); phones give threads and WebGPU to https pages alone'],
  ['--tls-key <file>', 'serve: its private key (PEM)'],
  ['--allow-host <names...>', 'serve: names besides addresses by which the lab may be asked'],
  ['--lease <seconds>', 'serve: a device that is silent for so long loses its job (default 30)'],
  ['--attempts <count>', 'serve: devices that may lose a job before it counts as failed (default 3)'],
  ['--token <text>', "join: the lab's join token; other actions: the owner's token, where --lab is a URL"],
  ['--name <text>', 'join: name of this device (default: its host name)'],
  ['--max-jobs <count>', 'join: leave after so many jobs'],
  ['--android [serial]', 'join: not this machine but the phone that is attached to it over adb'],
  ['--program <file>', 'join --android: the framework’s benchmark program, built for the phone’s ABI'],
  ['--tool <name>', `join --android: whose program it is: ${tools.join(', ')} (default tflite)`],
  ['--cool-to <celsius>', 'join --android: wait before each job until the phone is this cool'],
  ['--adb <host:port>', 'join --android: the adb server (default 127.0.0.1:5037)'],
  ['--lab <place>', "submit, devices, jobs, results, query, cancel: the lab's folder or URL (default cuttle-lab)"],
  ['--device <names...>', 'submit: one job for each of these devices, or all; without it any one device takes it'],
  ['--kind <name>', `submit: ${jobKinds.join(', ')} (default latency)`],
  [
    '--backend <names>',
    'submit: native, wasm, webgpu, litert, litert-webgpu, a phone’s delegate, or auto; several separated by commas (default auto)',
  ],
  ['--threads <counts>', 'submit: thread counts, such as 1,2,4'],
  ['--batch <counts>', 'submit: batch sizes, such as 1,8'],
  ['--dim <name=size...>', 'submit: size of a symbolic dimension, such as length=128'],
  ['--runs <count>', 'submit: measured runs (default 50)'],
  ['--warm-up <count>', 'submit: runs before the clock counts (default 10)'],
  ['--min-seconds <number>', 'submit: measure for at least this long'],
  ['--again', 'submit: measure anew what was measured already'],
  ['--wait', 'submit: wait for the results and list them'],
  ['--csv [file]', 'results: as CSV, into a file or on standard output'],
  ['--parquet <file>', 'results: as a Parquet file'],
] as const;

const names = z.string().transform((text) => text.split(',').map((name) => name.trim()));

export const labOptions = z.object({
  dir: option.text().default(LAB_FOLDER),
  host: option.text().default('127.0.0.1'),
  port: option.count(0).max(65535, 'must be at most 65535').default(8420),
  tlsCert: option.text().optional(),
  tlsKey: option.text().optional(),
  allowHost: z.array(z.string()).optional(),
  lease: option.positive().default(30),
  attempts: option.count().default(3),
  token: option.text().optional(),
  name: option.text().optional(),
  maxJobs: option.count().optional(),
  android: z.union([z.literal(true), z.string()]).optional(),
  program: option.text().optional(),
  tool: z.enum(tools).default('tflite'),
  coolTo: option.positive().optional(),
  adb: z
    .string()
    .regex(/^[^:]+:\d{1,5}$/, 'is not an address such as 127.0.0.1:5037')
    .default('127.0.0.1:5037'),
  lab: option.text().default(LAB_FOLDER),
  device: z.array(z.string()).optional(),
  kind: z.enum(jobKinds).default('latency'),
  backend: names.prefault('auto'),
  threads: countsOption.optional(),
  batch: countsOption.optional(),
  dim: dimOptions,
  runs: option.count().default(50),
  warmUp: option.count(0).default(10),
  minSeconds: option.positive().optional(),
  again: option.flag(),
  wait: option.flag(),
  csv: z.union([z.boolean(), z.string()]).optional(),
  parquet: option.text().optional(),
});

export type LabOptions = z.infer<typeof labOptions>;
