/** @file One thing to audit, as a source names it: a line of a run's plan. */
import type { AppOrigin } from '../record.js';

/** Plain JSON. Holds no secrets: keys are added when it is fetched. */
export interface PlanItem {
  readonly kind: AppOrigin['kind'];
  /** As in the record: a path relative to the audited folder, or an address. */
  readonly locator: string;
  /** Where it lies, for files: an absolute path. */
  readonly file?: string;
  /** Where it is fetched from, for all others. */
  readonly url?: string;
  /** What the source says of its contents; checked. */
  readonly sha256?: string;
  readonly bytes?: number;
  readonly listing?: AppOrigin['listing'];
  /** The user named this file: it gets a record whatever it is. Others get one where they are an app, an archive or a model. */
  readonly named?: true;
}

/** A name of the file for paths in its record: the last part of the locator, or the checksum where addresses are all alike. */
export function itemName({ kind, locator, sha256 }: PlanItem): string {
  if (kind === 'androzoo' && sha256 !== undefined) return `${sha256}.apk`;
  const path = kind === 'file' ? locator : locator.replace(/[?#].*$/s, '');
  return /([^/\\]+)[/\\]*$/.exec(path)?.[1] ?? 'app';
}
