/** @file Who may ask a lab: hosts that cannot be rebound, the lab's own pages, and bearers of the right token. */
import { sha256, sameSecret } from '../../platform/node/hash.js';
import type { WebRequest } from '../../platform/node/web-messages.js';
import { LabError } from './errors.js';
import type { LabQueue } from './queue.js';

/** Tokens of a lab, kept in its folder. */
export interface LabSecrets {
  /** Submits, cancels and reads results. */
  readonly ownerToken: string;
  /** Lets agents join, and nothing else. */
  readonly joinToken: string;
}

/**
 * Throws LabError 'lab/host' unless the request names this server by an IP address, as `localhost`, or by a name in `names`:
 * a page whose own name has been pointed here (DNS rebinding) names itself. Throws 'lab/origin' for pages of other origins.
 */
export function checkHost({ headers }: Pick<WebRequest, 'headers'>, names: ReadonlySet<string>): void {
  const host = headers.get('host')?.toLowerCase() ?? '';
  const name = host.replace(/:\d+$/, '');
  if (name !== 'localhost' && !isAddress(name) && !names.has(name))
    throw new LabError('usage', 'lab/host', `this lab is not called '${name.slice(0, 64)}'`, {
      hint: 'Ask for it by its IP address, or start it with --allow-host.',
    });
  const origin = headers.get('origin')?.toLowerCase();
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
    throw new LabError('usage', 'lab/origin', 'pages of other origins may not ask this lab');
}

/** An IPv4 address, or an IPv6 address in brackets. */
function isAddress(name: string): boolean {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(name);
  return four !== null ? four.slice(1).every((part) => Number(part) < 256) : /^\[[0-9a-f:.]+\]$/.test(name);
}

/** Whether a server on this host is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);
}

/** The owner. Throws LabError 'lab/token'. */
export function checkOwner(request: WebRequest, { ownerToken }: LabSecrets): void {
  if (!sameSecret(ownerToken, tokenOf(request))) throw tokenError("the owner's token");
}

/** Somebody who may join. Throws LabError 'lab/token'. */
export function checkJoin(request: WebRequest, { joinToken, ownerToken }: LabSecrets): void {
  const token = tokenOf(request);
  // Both are compared whatever the first gives: the time says nothing.
  const [asAgent, asOwner] = [sameSecret(joinToken, token), sameSecret(ownerToken, token)];
  if (!asAgent && !asOwner) throw tokenError('the join token');
}

/** A device, by its own secret. Throws LabError 'lab/token'. */
export function checkDevice(request: WebRequest, id: string, queue: LabQueue): void {
  const device = queue.device(id);
  const right = sameSecret(device?.secretHash ?? '', sha256(tokenOf(request)));
  if (device === undefined || !right) throw tokenError("a device's secret");
}

/** The owner, or any device. Throws LabError 'lab/token'. */
export function checkReader(request: WebRequest, secrets: LabSecrets, queue: LabQueue): void {
  if (sameSecret(secrets.ownerToken, tokenOf(request))) return;
  if (!queue.hasSecret(sha256(tokenOf(request)))) throw tokenError("the owner's token or a device's secret");
}

function tokenOf({ headers }: WebRequest): string {
  return /^Bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? '';
}

function tokenError(needed: string): LabError {
  return new LabError('usage', 'lab/token', `the bearer token is missing or wrong: ${needed} is needed`, {
    hint: 'The tokens stand in lab.json of the lab’s folder; `cuttle lab serve` prints the one for agents.',
  });
}
