/** @file The `cuttle.exits` metadata of a progressive model: where each exit hangs, its output, its cost, its calibration. */
import * as z from 'zod/mini';

/** Key among the model's `metadata_props`. */
export const EXITS_KEY = 'cuttle.exits';

/** Name under which the network's own classifier appears among exits. */
export const FINAL_EXIT = 'final';

const count = z.int().check(z.nonnegative());
const temperature = z.number().check(z.positive());
const name = z.string().check(z.minLength(1));

export const exitInfoSchema = z.object({
  /** Graph output with the exit's logits, [batch, classes]. */
  output: name,
  /** The backbone value that the head reads. */
  value: name,
  /** The convolution or pool whose result that is. */
  node: name,
  /** Place among all candidates of the backbone; neighbours differ by one. */
  candidate: count,
  /** Channels, height and width of the value. */
  shape: z.tuple([count, count, count]),
  /** Every path from the input to the answer runs through the value. */
  blockEnd: z.boolean(),
  /** Backbone MACs up to the value, for one sample. */
  macs: count,
  /** These MACs as a share of the whole backbone's. */
  position: z.number().check(z.gte(0), z.lte(1)),
  head: z.object({ kind: name, width: count, macs: count, params: count }),
  /** Softmax temperature found by calibration; 1 before. */
  temperature,
});

export const exitsInfoSchema = z.object({
  version: z.literal(1),
  /** The one input to feed, and its dims after the batch. */
  input: name,
  inputShape: z.array(count),
  /** Symbol of the batch axis. */
  batch: name,
  classes: z.int().check(z.gte(2)),
  /** MACs of the backbone to its end, for one sample. */
  macs: count,
  /** In execution order. */
  exits: z.array(exitInfoSchema),
  /** The backbone's own answer: its logits' value, and the public output that shows them (or their softmax). */
  final: z.object({ output: name, logits: name, temperature }),
});

/** One trained exit of a progressive model. */
export type ExitInfo = z.infer<typeof exitInfoSchema>;
/** The whole metadata entry. */
export type ExitsInfo = z.infer<typeof exitsInfoSchema>;
