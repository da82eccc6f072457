/** @file A section per app and per model of an audit, folded until opened, each with an address of its own. */
import type { AppEntry, AuditStudy, ModelEntry } from '../audit/store/study.js';
import { appAnchor, modelAnchor } from './audit-figures.js';
import { binaryBytes, count, magnitude, percent } from './format.js';
import { facts, html, table, type Html } from './html.js';

/** Lists of apps and models with a field that filters each. */
export function entrySections(study: AuditStudy): readonly Html[] {
  const titles = new Map(study.models.map(({ id, title }) => [id, title]));
  const apps = new Map(study.apps.map((app) => [app.sha256, app.identifier]));
  return [
    list(
      'Apps',
      'app',
      study.totals.apps,
      study.apps.map((app) => appEntry(app, titles)),
    ),
    list(
      'Models',
      'model',
      study.totals.uniqueModels,
      study.models.map((model) => modelEntry(model, apps)),
    ),
  ];
}

function list(title: string, noun: string, total: number, entries: readonly Html[]): Html {
  const more =
    total > entries.length ? `The first ${count(entries.length)} of ${count(total)}, those with most to tell.` : '';
  return html`<section class="entries" id="${noun}s">
    <h2>${title}</h2>
    <p>${more} Each opens, and has an address of its own.</p>
    <label class="filter" hidden
      >Filter ${noun}s <input type="search" placeholder="name, framework, task …" spellcheck="false" /><span
        role="status"
      ></span
    ></label>
    ${entries}
  </section>`;
}

type Facts = readonly (readonly [string, string | undefined])[];

const stated = (entries: Facts): readonly (readonly [string, string])[] =>
  entries.flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, value] as const]));

const optional = (value: number | null, format: (value: number) => string): string | undefined =>
  value === null ? undefined : format(value);

function appEntry(app: AppEntry, titles: ReadonlyMap<string, string>): Html {
  const summary = [
    app.models > 0 ? `${count(app.models)} models` : undefined,
    app.suspects > 0 ? `${count(app.suspects)} suspected` : undefined,
    app.failure === null ? undefined : 'not opened',
    app.condition === 'damaged' ? 'damaged' : undefined,
  ].filter((part) => part !== undefined);
  return html`<details class="entry" id="${appAnchor(app.sha256)}">
    <summary>${app.label ?? app.identifier} <span class="quiet">${summary.join(', ')}</span></summary>
    ${facts(
      stated([
        ['identifier', app.identifier],
        ['version', app.version ?? undefined],
        ['category', app.category ?? undefined],
        ['container', app.container ?? undefined],
        ['from', `${app.origin}: ${app.locator}`],
        ['size', binaryBytes(app.bytes)],
        ['condition', app.condition ?? undefined],
        ['not opened', app.failure ?? undefined],
        ['SHA-256', app.sha256],
      ]),
    )}
    ${
      app.found.length === 0
        ? undefined
        : table(
            `Models of ${app.identifier}`,
            [
              {
                name: 'Model',
                value: ({ model, path }) =>
                  titles.has(model) ? html`<a href="#${modelAnchor(model)}">${path}</a>` : path,
              },
              { name: 'Format', value: ({ format }) => format },
              { name: 'How sure', value: ({ confidence }) => confidence },
              { name: 'Disguise', value: ({ disguise }) => disguise ?? '' },
            ],
            app.found,
          )
    }
    ${
      app.uses.length === 0
        ? undefined
        : table(
            `Frameworks and services of ${app.identifier}`,
            [
              { name: 'Framework, service, accelerator', value: ({ title }) => title },
              { name: 'Use', value: ({ usage }) => usage },
              { name: 'Seen', value: ({ example }) => html`<code>${example ?? ''}</code>` },
            ],
            app.uses,
          )
    }
  </details>`;
}

function modelEntry(model: ModelEntry, apps: ReadonlyMap<string, string>): Html {
  const { task, architecture, quantisation } = model;
  const summary = [model.framework, task ?? undefined, optional(model.macs, (macs) => `${magnitude(macs)} MACs`)];
  const holders = model.holders.map((sha256) =>
    apps.has(sha256)
      ? html`<li><a href="#${appAnchor(sha256)}">${apps.get(sha256)}</a></li>`
      : html`<li>${sha256.slice(0, 12)}</li>`,
  );
  const evidence = model.taskEvidence.length === 0 ? '' : `: ${model.taskEvidence.join('; ')}`;
  return html`<details class="entry" id="${modelAnchor(model.id)}">
    <summary>
      ${model.title} <span class="quiet">${summary.filter((part) => part !== undefined).join(', ')}</span>
    </summary>
    ${facts(
      stated([
        ['format', model.format],
        ['not read', model.reason ?? undefined],
        [
          'task',
          task === null
            ? undefined
            : `${task} (${model.modality ?? 'unknown'}, ${model.taskConfidence ?? 'unknown'}${evidence})`,
        ],
        ['architecture', architecture ?? undefined],
        [
          'public model',
          model.known === null ? undefined : `${model.knownBy === 'layers' ? 'made from ' : ''}${model.known}`,
        ],
        ['made with', model.producer ?? undefined],
        ['size', optional(model.bytes, binaryBytes)],
        ['parameters', optional(model.params, magnitude)],
        ['multiply–accumulates', optional(model.macs, magnitude)],
        ['activations at once', optional(model.peakActivationBytes, binaryBytes)],
        ['layers', optional(model.layers, count)],
        ['operators', model.operators.join(', ')],
        ['inputs', model.inputs.join('; ')],
        ['outputs', model.outputs.join('; ')],
        ['quantisation', quantisation ?? undefined],
        ['next to zero', optional(model.nearZeros, (share) => percent(share, 2))],
        ['training', model.training.join(', ')],
        ['licences', model.licences.join(', ')],
        ['SHA-256', model.sha256],
      ]),
    )}
    <h3>In ${count(model.apps)} ${model.apps === 1 ? 'app' : 'apps'}</h3>
    <ul class="notes">
      ${holders}${model.apps > holders.length ? html`<li>and ${count(model.apps - holders.length)} more</li>` : undefined}
    </ul>
  </details>`;
}
