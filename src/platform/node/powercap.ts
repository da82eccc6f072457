/** @file Linux powercap: energy counters of processor packages and their parts (Intel and AMD RAPL). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One counter. */
export interface PowerZone {
  /** `package-0`, `psys` … */
  readonly name: string;
  readonly wrapJoules: number;
  /** Joules since some moment. Throws what the file system throws, EACCES above all. */
  read(): number;
}

/** Top-level zones below `root`: packages and, where there is one, the whole platform. Parts of a package (`core`, `dram`) are not listed, as the package holds them. */
export function powerZones(root = '/sys/class/powercap'): readonly PowerZone[] {
  let entries: readonly string[];
  try {
    entries = readdirSync(root);
  } catch {
    return [];
  }
  return entries
    .filter((entry) => /^[a-z-]*rapl(-mmio)?:\d+$/.test(entry))
    .sort()
    .flatMap((entry) => {
      const text = (file: string): string => readFileSync(join(root, entry, file), 'utf8').trim();
      try {
        const wrapJoules = Number(text('max_energy_range_uj')) / 1e6;
        return [{ name: text('name'), wrapJoules, read: () => Number(text('energy_uj')) / 1e6 }];
      } catch {
        return [];
      }
    });
}
