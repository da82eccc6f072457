/** @file Energy of this computer's processor packages, by their own counters. Linux, and usually root only. */
import { powerZones, type PowerZone } from '../../platform/node/powercap.js';
import { counterMeter, MeterError, type EnergyMeter } from './meter.js';

/** Steps in which the counters rise: 2⁻¹⁴ J on all Intel processors since Sandy Bridge, about a millisecond of updates on top. */
const STEP_JOULES = 2 ** -14;

/**
 * The packages' counters as one meter. It holds the processor, not display, radio or power supply.
 * Throws MeterError where there are no counters (virtual machines hide them) or they may not be read.
 */
export function raplMeter(root?: string): EnergyMeter {
  const packages = powerZones(root).filter(({ name }) => name.startsWith('package'));
  if (packages.length === 0)
    throw new MeterError(
      'rapl',
      'this machine shows no RAPL energy counters',
      'They exist on Linux on Intel and AMD hardware; a virtual machine hides them. Use a power monitor’s CSV or a calibrated model.',
    );
  const read = (zone: PowerZone): number => {
    try {
      return zone.read();
    } catch {
      throw new MeterError(
        'rapl',
        `the energy counter ${zone.name} may not be read`,
        'Run as root, or make /sys/class/powercap/*/energy_uj readable.',
      );
    }
  };
  packages.forEach(read);
  // Each package wraps on its own: their differences are summed, so that the sum itself never wraps.
  let last = packages.map(read);
  let sum = 0;
  return counterMeter('rapl', packages.map(({ name }) => name).join(' + '), {
    wrapJoules: 0,
    resolutionJoules: STEP_JOULES * packages.length,
    read: () => {
      const current = packages.map(read);
      current.forEach((joules, i) => {
        const step = joules - last[i]!;
        sum += step >= 0 ? step : step + packages[i]!.wrapJoules;
      });
      last = current;
      return Promise.resolve(sum);
    },
  });
}
