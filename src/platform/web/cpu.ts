/** @file What a browser tells of its machine. */
import type { HostDescription } from '../host-description.js';

/** A description from `navigator`; what browsers hide is 'unknown' or `undefined`. */
export function describeWebHost(): HostDescription {
  const cores = navigator.hardwareConcurrency || 1;
  // Chromium alone reports memory, rounded to a power of two and capped.
  const { deviceMemory } = navigator as Navigator & { readonly deviceMemory?: number };
  return {
    cpu: 'unknown',
    arch: 'unknown',
    physicalCores: cores,
    logicalCores: cores,
    cpuFeatures: [],
    memoryBytes: deviceMemory === undefined ? undefined : deviceMemory * 2 ** 30,
    os: 'unknown',
    platform: navigator.userAgent,
  };
}
