/** @file The costs that a search went by, as JSON: kept among a run's working files, so that other designs can be judged alike. */
import * as z from 'zod/mini';
import { inEnglish } from '../platform/index.js';
import { checkCosts, InvalidCostsError, type ExitCosts } from './costs.js';

const FORMAT = 'cuttle.search-costs';

const column = z.array(z.number().check(z.nonnegative()));
const schema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(1),
  unit: z.enum(['ms', 'macs']),
  segments: column,
  heads: column,
  memory: z.optional(z.object({ segments: column, heads: column })),
});

/** Costs as plain JSON. */
export function describeSearchCosts({ segments, heads, unit, memory }: ExitCosts): z.infer<typeof schema> {
  return {
    ...{ format: FORMAT, version: 1, unit, segments: [...segments], heads: [...heads] },
    ...(memory && { memory: { segments: [...memory.segments], heads: [...memory.heads] } }),
  };
}

/** Reads what `describeSearchCosts` gave. Throws InvalidCostsError for anything else. */
export function parseSearchCosts(json: unknown): ExitCosts {
  const parsed = schema.safeParse(json, inEnglish);
  if (!parsed.success)
    throw new InvalidCostsError(`these are no costs of a search: ${parsed.error.issues[0]!.message}`);
  const { segments, heads, unit, memory } = parsed.data;
  const costs: ExitCosts = {
    ...{ segments: Float64Array.from(segments), heads: Float64Array.from(heads), unit },
    ...(memory && {
      memory: { segments: Float64Array.from(memory.segments), heads: Float64Array.from(memory.heads) },
    }),
  };
  checkCosts(costs);
  return costs;
}
