/** @file From files of measurements to rows. Pure. */
import * as z from 'zod/mini';
import { measurementSchema, type Measurement } from '../measurement.js';
import type { Cell } from './database.js';
import { StoreError } from './store-error.js';

const fileSchema = z.union([measurementSchema, z.array(measurementSchema)]);

/** The measurements in a parsed file. Throws StoreError of kind 'invalid'. */
export function parseMeasurements(json: unknown): readonly Measurement[] {
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) throw new StoreError('invalid', 'measurement', 'it is no measurement of a model');
  return [parsed.data].flat();
}

/** A row of the table `measurements`. */
export function measurementRow(measurement: Measurement, file: string): readonly Cell[] {
  const { model, device, backend, threads, affinity, batch, latencyMs, cv, energyMj, peakMemoryBytes, failure } =
    measurement;
  return [
    ...[model, device, backend, threads ?? null, affinity ?? null, batch],
    ...[latencyMs?.p50 ?? null, latencyMs?.p90 ?? null, latencyMs?.mean ?? null],
    ...[cv ?? null, energyMj ?? null, peakMemoryBytes ?? null, failure ?? null, file],
  ];
}
