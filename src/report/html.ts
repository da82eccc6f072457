/** @file HTML pages that are one file: sections, tables, facts, plots that fit wide and narrow screens. */
import { sha256 } from '@noble/hashes/sha2.js';
import { pageStyle, plotStyle } from './style.js';
import { escapeText } from './svg.js';

/** Finished markup. A class of its own, so that plain text can never slip in unescaped. */
export class Html {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** Takes text as markup: only for what this project's own functions made. */
  static raw(text: string): Html {
    return new Html(text);
  }
}

type Insert = string | number | Html | readonly Html[] | undefined;

/** A template whose literal parts are markup and whose values are escaped, unless they are Html. Lists are joined. */
export function html(strings: TemplateStringsArray, ...values: readonly Insert[]): Html {
  let text = strings[0]!;
  values.forEach((value, i) => {
    text += insert(value) + strings[i + 1]!;
  });
  return Html.raw(text);
}

function insert(value: Insert): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value));
  return value.map((part) => part.text).join('');
}

export interface Column<Row> {
  readonly name: string;
  /** Numbers stand to the right. */
  readonly numeric?: boolean;
  readonly value: (row: Row) => string | Html;
}

/** A table that scrolls sideways by itself where the screen is narrow. */
export function table<Row>(
  caption: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  rowClass?: (row: Row) => string | undefined,
): Html {
  const cell = (name: 'th' | 'td', column: Column<Row>, content: string | Html): Html => {
    const open = name === 'th' ? '<th scope="col"' : '<td';
    return Html.raw(`${open}${column.numeric ? ' class="n"' : ''}>${insert(content)}</${name}>`);
  };
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0">
    <table>
      <thead>
        <tr>
          ${columns.map((column) => cell('th', column, column.name))}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr class="${rowClass?.(row) ?? ''}">
              ${columns.map((column) => cell('td', column, column.value(row)))}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Names and values side by side. */
export function facts(entries: readonly (readonly [string, string])[]): Html {
  return html`<dl>
    ${entries.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`;
}

/** One section with a heading and a sentence that says what it shows. */
export function section(title: string, what: string | undefined, ...body: readonly Html[]): Html {
  return html`<section>
    <h2>${title}</h2>
    ${what === undefined ? undefined : html`<p>${what}</p>`}${body}
  </section>`;
}

/** A plot drawn twice, for wide and for narrow screens: text keeps its size, and only one of them is shown. */
export function responsive(draw: (width: number) => string): Html {
  return html`<div class="wide">${Html.raw(draw(776))}</div>
    <div class="narrow">${Html.raw(draw(344))}</div>`;
}

/** A whole page. It refers to nothing outside itself, and its policy forbids scripts and requests. */
export function page(title: string, ...body: readonly Html[]): string {
  return document(title, body, undefined);
}

/** A page with one script of this project's own, which its policy allows by the script's checksum, and no other. */
export function scriptedPage(title: string, script: string, ...body: readonly Html[]): string {
  return document(title, body, script);
}

function document(title: string, body: readonly Html[], script: string | undefined): string {
  const allowed = script === undefined ? '' : `;script-src 'sha256-${checksum(script)}'`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none';style-src 'unsafe-inline';img-src data:${Html.raw(allowed)}"
        />
        <title>${title}</title>
        <style>
          ${Html.raw(pageStyle())}
        </style>
      </head>
      <body>
        <main>${body}</main>
        ${script === undefined ? undefined : Html.raw(`<script>${script}</script>`)}
      </body>
    </html> `.text;
}

const checksum = (text: string): string => btoa(String.fromCharCode(...sha256(new TextEncoder().encode(text))));

/** A plot as an SVG file of its own, with its style sheet inside. */
export function svgFile(plot: string): string {
  return plot.replace('>', `><style>${plotStyle()}</style>`);
}
