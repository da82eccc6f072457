/** @file CycloneDX 1.6 ML-BOM (https://cyclonedx.org/docs/1.6/json/): apps, the models in them with their cards, frameworks, services. Pure. */

export interface BomApp {
  readonly sha256: string;
  readonly identifier: string;
  readonly label: string | null;
  readonly version: string | null;
  readonly licence: string | null;
  readonly category: string | null;
}

export interface BomModel {
  readonly id: string;
  readonly sha256: string;
  readonly format: string;
  readonly framework: string;
  readonly bytes: number | null;
  readonly name: string | null;
  readonly producer: string | null;
  readonly task: string | null;
  readonly modality: string | null;
  readonly architecture: string | null;
  readonly params: number | null;
  readonly macs: number | null;
  readonly quantisation: string | null;
  readonly licences: readonly string[];
  readonly reason: string | null;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly measurements: readonly { readonly what: string; readonly value: string; readonly where: string }[];
}

export interface BomOccurrence {
  readonly app: string;
  readonly model: string;
  readonly path: string;
  readonly start: number;
  readonly confidence: string;
}

/** That an app uses a framework or a cloud service. */
export interface BomUse {
  readonly app: string;
  readonly kind: 'framework' | 'cloud';
  readonly subject: string;
  readonly title: string;
  /** The strongest: `called`, `called-by-library`, `referenced`, `present`. */
  readonly usage: string;
}

export interface BomData {
  /** Version of Cuttle. */
  readonly tool: string;
  /** UUID of the document; the same for the same contents. */
  readonly serial: string;
  /** One app stands in the head of the document, several among its components. */
  readonly apps: readonly BomApp[];
  readonly models: readonly BomModel[];
  readonly occurrences: readonly BomOccurrence[];
  readonly uses: readonly BomUse[];
}

type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json | undefined };
type JsonObject = { readonly [key: string]: Json | undefined };

/** SPDX licence list (3.x): identifiers that models and stores of apps use. Others are written as names. */
const spdx: ReadonlySet<string> = new Set(
  `0BSD AFL-3.0 AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause BSD-3-Clause-Clear BSL-1.0
  CC-BY-2.0 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-4.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-4.0 CC-BY-ND-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 ECL-2.0 EPL-1.0 EPL-2.0
  EUPL-1.1 EUPL-1.2 GPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0 GPL-3.0-only GPL-3.0-or-later ISC LGPL-2.1 LGPL-2.1-only LGPL-2.1-or-later
  LGPL-3.0 LGPL-3.0-only LGPL-3.0-or-later MIT MPL-2.0 MS-PL NCSA OFL-1.1 ODbL-1.0 PostgreSQL Unlicense WTFPL Zlib`.split(
    /\s+/,
  ),
);

/** Use of services and frameworks, strongest first. */
const usages: readonly string[] = ['called', 'called-by-library', 'referenced', 'present'];

/** The document, in the order of the data: the same data give the same bytes. */
export function cycloneDx(data: BomData): JsonObject {
  const { apps, models, occurrences, uses } = data;
  const root = apps.length === 1 ? apps[0] : undefined;
  const byModel = grouped(occurrences, ({ model }) => model);
  const byApp = grouped(occurrences, ({ app }) => app);
  const usesByApp = grouped(uses, ({ app }) => app);
  const names = new Map(apps.map(({ sha256, identifier }) => [sha256, identifier]));
  const subjects = [...grouped(uses, ({ kind, subject }) => `${kind}:${subject}`).values()];
  const ofKind = (kind: BomUse['kind']): readonly (readonly BomUse[])[] =>
    subjects.filter(([first]) => first!.kind === kind);
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${data.serial}`,
    version: 1,
    metadata: {
      lifecycles: [{ phase: 'discovery' }],
      tools: { components: [{ type: 'application', name: 'cuttle', version: data.tool }] },
      ...(root && { component: appComponent(root) }),
    },
    components: [
      ...(root ? [] : apps.map(appComponent)),
      ...models.map((model) => modelComponent(model, byModel.get(model.id) ?? [], root ? undefined : names)),
      ...ofKind('framework').map(([use]) => ({
        type: 'framework',
        'bom-ref': `framework:${use!.subject}`,
        name: use!.title,
      })),
    ],
    services: ofKind('cloud').map((used) => ({
      'bom-ref': `cloud:${used[0]!.subject}`,
      name: used[0]!.title,
      properties: properties({ usage: [...used].sort(byUsage)[0]!.usage }),
    })),
    dependencies: apps.map(({ sha256 }) => ({
      ref: `app:${sha256}`,
      dependsOn: [
        ...new Set([
          ...(byApp.get(sha256) ?? []).map(({ model }) => `model:${model}`),
          ...(usesByApp.get(sha256) ?? []).map(({ kind, subject }) => `${kind}:${subject}`),
        ]),
      ],
    })),
  };
}

const byUsage = (a: BomUse, b: BomUse): number => usages.indexOf(a.usage) - usages.indexOf(b.usage);

function appComponent(app: BomApp): JsonObject {
  return {
    type: 'application',
    'bom-ref': `app:${app.sha256}`,
    name: app.label ?? app.identifier,
    ...(app.version !== null && { version: app.version }),
    hashes: [{ alg: 'SHA-256', content: app.sha256 }],
    ...licenceField(app.licence === null ? [] : [app.licence]),
    properties: properties({ identifier: app.identifier, category: app.category }),
  };
}

function modelComponent(
  model: BomModel,
  occurrences: readonly BomOccurrence[],
  apps: ReadonlyMap<string, string> | undefined,
): JsonObject {
  const path = occurrences[0]?.path ?? model.sha256;
  const { task, architecture } = model;
  return {
    type: 'machine-learning-model',
    'bom-ref': `model:${model.id}`,
    name: model.name || path.slice(path.lastIndexOf('/') + 1),
    hashes: [{ alg: 'SHA-256', content: model.sha256 }],
    ...licenceField(model.licences),
    modelCard: {
      modelParameters: {
        ...(task !== null && { task }),
        ...(architecture !== null && { architectureFamily: architecture }),
        ...(model.inputs.length > 0 && { inputs: model.inputs.map((format) => ({ format })) }),
        ...(model.outputs.length > 0 && { outputs: model.outputs.map((format) => ({ format })) }),
      },
      ...(model.measurements.length > 0 && {
        quantitativeAnalysis: {
          performanceMetrics: model.measurements.map(({ what, value, where }) => ({ type: what, value, slice: where })),
        },
      }),
      ...(model.reason !== null && {
        considerations: { technicalLimitations: [`its layers were not read: ${model.reason}`] },
      }),
    },
    evidence: {
      occurrences: occurrences.map(({ app, path: at, start, confidence }) => ({
        location: apps === undefined ? at : `${apps.get(app) ?? app}: ${at}`,
        offset: start,
        additionalContext: confidence,
      })),
    },
    properties: properties({
      format: model.format,
      framework: model.framework,
      bytes: model.bytes,
      producer: model.producer,
      modality: model.modality,
      parameters: model.params,
      macs: model.macs,
      quantisation: model.quantisation,
    }),
  };
}

function licenceField(licences: readonly string[]): JsonObject {
  if (licences.length === 0) return {};
  return { licenses: licences.map((name) => ({ license: spdx.has(name) ? { id: name } : { name } })) };
}

/** Facts that the format has no field for, under names of this project. */
const properties = (facts: Readonly<Record<string, string | number | null>>): readonly JsonObject[] =>
  Object.entries(facts).flatMap(([name, value]) =>
    value === null ? [] : [{ name: `cuttle:${name}`, value: String(value) }],
  );

function grouped<Item>(items: readonly Item[], key: (item: Item) => string): ReadonlyMap<string, readonly Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
