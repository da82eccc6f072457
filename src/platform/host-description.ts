/** @file What the machine under us is: one description for Node and browsers. */

/** The processor, memory and system that code runs on. */
export interface HostDescription {
  /** The processor's own name, or 'unknown' (browsers hide it). */
  readonly cpu: string;
  readonly arch: string;
  /** Cores that this process may use, hyper-threads not counted; browsers report only logical ones. */
  readonly physicalCores: number;
  readonly logicalCores: number;
  /** Instruction sets that change inference speed: avx2, avx512f, neon … Empty where they cannot be known. */
  readonly cpuFeatures: readonly string[];
  /** RAM in bytes; `undefined` where it cannot be known. */
  readonly memoryBytes: number | undefined;
  readonly os: string;
  /** `node 20.20.2`, or the browser's user agent. */
  readonly platform: string;
}
