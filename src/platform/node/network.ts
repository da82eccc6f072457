/** @file What other machines call this one: its name, and its addresses. */
import { hostname, networkInterfaces } from 'node:os';

/** This machine's name, without its domain. */
export function hostName(): string {
  return hostname().split('.')[0]!;
}

/** IPv4 addresses of this machine's networks, those of its own machine alone left out. */
export function lanAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
  );
}
