/** @file What is kept of one app: the unit that workers produce and the store takes. Plain JSON, without weights. */
import type { ModelAnalysis } from './analyse/analysis.js';
import type { App } from './app/app.js';
import type { Finding } from './find/finding.js';
import type { ModelFormat } from './formats.js';
import type { AuditQuantisation, AuditTensor, AuditTotals } from './read/model.js';

/** Where an app came from. `locator` is a path relative to the audited folder, or the address it was fetched from. */
export interface AppOrigin {
  readonly kind: 'file' | 'fdroid' | 'androzoo' | 'url';
  readonly locator: string;
  readonly sha256: string;
  readonly bytes: number;
  /** What the source says of the app, which its own manifest does not: F-Droid's categories, AndroZoo's market … */
  readonly listing?: {
    readonly name?: string;
    readonly categories?: readonly string[];
    readonly licence?: string;
    readonly added?: string;
    readonly market?: string;
  };
}

/** One model found in an app. */
export interface ModelRecord extends Omit<Finding, 'model' | 'format'> {
  readonly format: ModelFormat;
  /** SHA-256 of the bytes that belong to it, hexadecimal. */
  readonly sha256: string;
  /** What was read of it, or why it was not. */
  readonly content:
    | {
        readonly status: 'read';
        readonly name?: string;
        readonly producer?: string;
        readonly version?: string;
        readonly inputs: readonly AuditTensor[];
        readonly outputs: readonly AuditTensor[];
        readonly totals: AuditTotals;
        readonly quantisation: AuditQuantisation;
        readonly metadata: Readonly<Record<string, string>>;
        readonly notes: readonly string[];
        readonly analysis: ModelAnalysis;
      }
    | { readonly status: 'unread'; readonly reason: string };
}

/** One app, audited. The same app gives the same record, whoever audits it and when: no times, no machine, no order of work. */
export interface AppRecord {
  readonly schema: 1;
  readonly origin: AppOrigin;
  /** What reading the app said; `null` where the file could not be opened as anything, and `failure` says why. */
  readonly app: App | null;
  readonly failure?: string;
  /** Package or bundle identifier, label and version; the file's name where it has none. */
  readonly identifier: string;
  readonly label?: string;
  readonly version?: string;
  readonly versionCode?: number;
  /** The manifest's own category, else the source's, else `null`. */
  readonly category: string | null;
  readonly models: readonly ModelRecord[];
}
