/** @file The processor, memory and system under Node. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';
import type { HostDescription } from '../host-description.js';

/** Feature flags worth reporting: those that inference kernels choose their code path by. */
const FEATURES =
  /^(sse4_1|sse4_2|avx|avx2|f16c|fma|avx512f|avx512bw|avx512_vnni|avx512_bf16|avx_vnni|amx_tile|amx_int8|amx_bf16|asimd|asimdhp|asimddp|sve|sve2|i8mm|bf16|neon)$/;

/** Describes this machine from the operating system's own tables. */
export function describeNodeHost(): HostDescription {
  const cpuinfo = readCpuInfo();
  const logicalCores = availableParallelism();
  return {
    cpu: cpus()[0]?.model.trim() || 'unknown',
    arch: arch(),
    physicalCores: Math.max(1, Math.min(physicalCores(cpuinfo), logicalCores)),
    logicalCores,
    cpuFeatures: featuresOf(cpuinfo),
    memoryBytes: totalmem(),
    os: `${type()} ${release()}`,
    platform: `node ${process.versions.node}`,
  };
}

/** Bytes of memory that this process holds now, and the most it ever held (resident set). */
export function memoryUse(): { readonly residentBytes: number; readonly peakResidentBytes: number } {
  return { residentBytes: process.memoryUsage.rss(), peakResidentBytes: process.resourceUsage().maxRSS * 1024 };
}

/** Physical cores from /proc/cpuinfo text (Linux); exported for tests. `undefined` where it does not say. */
export function coresInCpuInfo(cpuinfo: string): number | undefined {
  const cores = new Set<string>();
  for (const block of cpuinfo.split(/\n\s*\n/)) {
    const socket = /^physical id\s*:\s*(\d+)/m.exec(block)?.[1];
    const core = /^core id\s*:\s*(\d+)/m.exec(block)?.[1];
    if (socket !== undefined && core !== undefined) cores.add(`${socket}:${core}`);
  }
  return cores.size > 0 ? cores.size : undefined;
}

function physicalCores(cpuinfo: string): number {
  const counted = coresInCpuInfo(cpuinfo);
  if (counted !== undefined) return counted;
  if (process.platform === 'darwin')
    try {
      const cores = Number(execFileSync('sysctl', ['-n', 'hw.physicalcpu'], { encoding: 'utf8' }));
      if (cores > 0) return cores;
    } catch {
      // sysctl may be forbidden in a sandbox; the logical count below is still an upper bound.
    }
  return cpus().length;
}

function featuresOf(cpuinfo: string): readonly string[] {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1];
  if (line !== undefined) return line.split(' ').filter((flag) => FEATURES.test(flag));
  return arch() === 'arm64' ? ['neon'] : [];
}

function readCpuInfo(): string {
  try {
    return process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  } catch {
    return '';
  }
}
