/** @file What a benchmark varies: provider, threads, batch, precision, resolution; and how a configuration is named. */
import * as z from 'zod/mini';

/** Number formats that a model can be put into. */
export const precisions = ['fp32', 'fp16', 'int8-dynamic', 'int8-static'] as const;

export type Precision = (typeof precisions)[number];

/** JSON schema of one configuration. */
export const configurationSchema = z.object({
  /** The back end: `native`, `wasm` or `webgpu`. */
  provider: z.enum(['native', 'wasm', 'webgpu']),
  threads: z.int().check(z.positive()),
  batch: z.int().check(z.positive()),
  precision: z.enum(precisions),
  /** Height and width that the inputs were given; absent where the model's own were kept. */
  resolution: z.optional(z.array(z.int().check(z.positive())).check(z.length(2))),
});

export type Configuration = z.infer<typeof configurationSchema>;

/** Which values of each kind are tried; every combination is one configuration. */
export interface Sweep {
  readonly providers: readonly Configuration['provider'][];
  readonly threads: readonly number[];
  readonly batches: readonly number[];
  readonly precisions: readonly Precision[];
  /** `undefined`: the model's own size. */
  readonly resolutions: readonly (readonly [height: number, width: number] | undefined)[];
}

/** All combinations of a sweep, threads innermost. */
export function configurationsOf(sweep: Sweep): readonly Configuration[] {
  return sweep.resolutions.flatMap((resolution) =>
    sweep.precisions.flatMap((precision) =>
      sweep.batches.flatMap((batch) =>
        sweep.providers.flatMap((provider) =>
          sweep.threads.map((threads): Configuration => ({
            ...{ provider, threads, batch, precision },
            ...(resolution && { resolution: [...resolution] }),
          })),
        ),
      ),
    ),
  );
}

/** A configuration in words, the same for equal ones: `native, 2 threads, batch 1, fp32, 96×96`. */
export function configurationName({ provider, threads, batch, precision, resolution }: Configuration): string {
  const size = resolution === undefined ? '' : `, ${resolution.join('×')}`;
  return `${provider}, ${threads} thread${threads === 1 ? '' : 's'}, batch ${batch}, ${precision}${size}`;
}
