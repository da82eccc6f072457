/** @file Two snapshots of a market: which apps and models came, went, changed or stayed, and how the use of services grew. */
import { subjects } from '../evidence/subjects.js';
import type { SubjectKind } from '../evidence/kinds.js';
import { modelFormats } from '../formats.js';
import type { AppRecord, ModelRecord } from '../record.js';
import type { ModelAnalysis } from './analysis.js';
import { relationOf } from './lineage.js';

export type ModelChange = 'added' | 'removed' | 'updated' | 'same';

/** How many models there were, are, and what became of them. */
export interface ChangeCounts {
  readonly before: number;
  readonly after: number;
  readonly added: number;
  readonly removed: number;
  readonly updated: number;
  readonly same: number;
}

/** What became of one model of one app. */
export interface ModelStep {
  /** `identifier` of the app. */
  readonly app: string;
  readonly category: string;
  readonly framework: string;
  readonly task: string;
  readonly change: ModelChange;
  /** SHA-256 and path in each snapshot, where it is in that. */
  readonly before?: { readonly sha256: string; readonly path: string };
  readonly after?: { readonly sha256: string; readonly path: string };
  /** Why two different files are one model that was updated. */
  readonly because?: 'same weights' | 'same network' | 'same path' | 'shared layers' | 'same architecture';
}

/** In how many apps a framework, service or accelerator was seen. */
export interface SubjectGrowth {
  readonly subject: string;
  readonly kind: SubjectKind;
  readonly before: number;
  readonly after: number;
}

export interface SnapshotComparison {
  readonly apps: {
    readonly before: number;
    readonly after: number;
    /** Identifiers, sorted. */
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly updated: readonly string[];
    readonly same: readonly string[];
  };
  /** Apps with at least one model. */
  readonly appsWithModels: { readonly before: number; readonly after: number };
  readonly appsWithCloud: { readonly before: number; readonly after: number };
  readonly models: ChangeCounts;
  /** Different model files. */
  readonly uniqueModels: { readonly before: number; readonly after: number };
  readonly byCategory: Readonly<Record<string, ChangeCounts>>;
  readonly byFramework: Readonly<Record<string, ChangeCounts>>;
  readonly byTask: Readonly<Record<string, ChangeCounts>>;
  readonly subjects: readonly SubjectGrowth[];
  readonly steps: readonly ModelStep[];
}

/** What a comparison needs of an app: the rest of a record may be large. */
interface AppState {
  readonly identifier: string;
  readonly sha256: string;
  readonly versionCode: number;
  readonly category: string;
  readonly models: readonly ModelState[];
  readonly subjects: ReadonlySet<string>;
}

interface ModelState {
  readonly sha256: string;
  readonly path: string;
  readonly framework: string;
  readonly task: string;
  readonly analysis: ModelAnalysis | undefined;
}

/**
 * Compares two snapshots, app by app; apps are the same by identifier. Of several versions in one snapshot the newest counts.
 * Suspected models count as none. A model whose file changed is `updated` where its path, learned numbers or layers tie it to one of before.
 */
export function compareSnapshots(before: Iterable<AppRecord>, after: Iterable<AppRecord>): SnapshotComparison {
  const [old, now] = [statesOf(before), statesOf(after)];
  const added: string[] = [];
  const removed: string[] = [];
  const updated: string[] = [];
  const same: string[] = [];
  const steps: ModelStep[] = [];
  for (const identifier of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const [was, is] = [old.get(identifier), now.get(identifier)];
    if (was === undefined) added.push(identifier);
    else if (is === undefined) removed.push(identifier);
    else (was.sha256 === is.sha256 ? same : updated).push(identifier);
    steps.push(...stepsOf(identifier, is?.category ?? was!.category, was?.models ?? [], is?.models ?? []));
  }
  const states = [[...old.values()], [...now.values()]] as const;
  const both = (count: (apps: readonly AppState[]) => number): { before: number; after: number } => ({
    before: count(states[0]),
    after: count(states[1]),
  });
  const cloud = Object.keys(subjects).filter((name) => subjects[name]!.kind === 'cloud');
  return {
    apps: { before: old.size, after: now.size, added, removed, updated, same },
    appsWithModels: both((apps) => apps.filter(({ models }) => models.length > 0).length),
    appsWithCloud: both((apps) => apps.filter((app) => cloud.some((name) => app.subjects.has(name))).length),
    models: tally(steps),
    uniqueModels: both((apps) => new Set(apps.flatMap(({ models }) => models.map(({ sha256 }) => sha256))).size),
    byCategory: grouped(steps, 'category'),
    byFramework: grouped(steps, 'framework'),
    byTask: grouped(steps, 'task'),
    subjects: Object.entries(subjects).flatMap(([subject, { kind }]) => {
      const counts = both((apps) => apps.filter((app) => app.subjects.has(subject)).length);
      return counts.before + counts.after > 0 ? [{ subject, kind, ...counts }] : [];
    }),
    steps,
  };
}

function statesOf(records: Iterable<AppRecord>): ReadonlyMap<string, AppState> {
  const states = new Map<string, AppState>();
  for (const record of records) {
    const known = states.get(record.identifier);
    const versionCode = record.versionCode ?? 0;
    // Of equal versions the one with the smaller checksum: the order of records must not matter.
    if (known && (known.versionCode - versionCode || (known.sha256 < record.origin.sha256 ? 1 : -1)) > 0) continue;
    states.set(record.identifier, {
      identifier: record.identifier,
      sha256: record.origin.sha256,
      versionCode,
      category: record.category ?? 'unknown',
      models: record.models.filter(({ confidence }) => confidence !== 'suspected').map(modelState),
      subjects: new Set(record.app?.evidence.map(({ subject }) => subject)),
    });
  }
  return states;
}

function modelState({ sha256, path, format, content }: ModelRecord): ModelState {
  const analysis = content.status === 'read' ? content.analysis : undefined;
  return {
    sha256,
    path,
    framework: modelFormats[format].framework,
    task: analysis?.task.value.task ?? 'unknown',
    analysis,
  };
}

/** Ties between two model files, the strongest first. */
const ties: readonly (readonly [because: ModelStep['because'], holds: (was: ModelState, is: ModelState) => boolean])[] =
  [
    [undefined, (was, is) => was.sha256 === is.sha256 && was.path === is.path],
    [undefined, (was, is) => was.sha256 === is.sha256],
    ['same weights', (was, is) => equal(was, is, 'weights')],
    ['same network', (was, is) => equal(was, is, 'signs')],
    ['same path', (was, is) => was.path === is.path],
    ['shared layers', sharesLayers],
    ['same architecture', (was, is) => equal(was, is, 'graph')],
  ];

function equal(was: ModelState, is: ModelState, hash: 'weights' | 'signs' | 'graph'): boolean {
  const value = was.analysis?.identity[hash];
  return typeof value === 'string' && value === is.analysis?.identity[hash];
}

function sharesLayers(was: ModelState, is: ModelState): boolean {
  if (was.analysis === undefined || is.analysis === undefined) return false;
  const { kind } = relationOf(
    { id: was.sha256, identity: was.analysis.identity },
    { id: is.sha256, identity: is.analysis.identity },
  );
  return kind === 'fine-tuned' || kind === 'shares-layers';
}

function stepsOf(
  app: string,
  category: string,
  before: readonly ModelState[],
  after: readonly ModelState[],
): readonly ModelStep[] {
  const left = new Set(before);
  const matched = new Map<ModelState, { readonly was: ModelState; readonly because: ModelStep['because'] }>();
  for (const [because, holds] of ties)
    for (const is of after) {
      if (matched.has(is)) continue;
      const was = [...left].find((each) => holds(each, is));
      if (was === undefined) continue;
      left.delete(was);
      matched.set(is, { was, because });
    }
  const place = ({ sha256, path }: ModelState): { readonly sha256: string; readonly path: string } => ({
    sha256,
    path,
  });
  const about = ({ framework, task }: ModelState): Pick<ModelStep, 'app' | 'category' | 'framework' | 'task'> => ({
    app,
    category,
    framework,
    task,
  });
  return [
    ...after.map((is): ModelStep => {
      const match = matched.get(is);
      if (match === undefined) return { ...about(is), change: 'added', after: place(is) };
      return {
        ...about(is),
        change: match.because === undefined ? 'same' : 'updated',
        before: place(match.was),
        after: place(is),
        ...(match.because === undefined ? {} : { because: match.because }),
      };
    }),
    ...[...left].map((was): ModelStep => ({ ...about(was), change: 'removed', before: place(was) })),
  ];
}

function tally(steps: readonly ModelStep[]): ChangeCounts {
  const counts = { before: 0, after: 0, added: 0, removed: 0, updated: 0, same: 0 };
  for (const { change } of steps) {
    counts[change]++;
    if (change !== 'added') counts.before++;
    if (change !== 'removed') counts.after++;
  }
  return counts;
}

function grouped(
  steps: readonly ModelStep[],
  by: 'category' | 'framework' | 'task',
): Readonly<Record<string, ChangeCounts>> {
  const groups = new Map<string, ModelStep[]>();
  for (const step of steps) {
    const list = groups.get(step[by]);
    if (list) list.push(step);
    else groups.set(step[by], [step]);
  }
  return Object.fromEntries(
    [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, list]) => [name, tally(list)]),
  );
}
