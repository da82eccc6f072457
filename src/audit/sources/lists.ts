/** @file Lists as sources: addresses line by line, and AndroZoo's table of apps. */
import { fileChunks, linesOf } from '../../platform/node/lines.js';
import { gunzipChunks } from '../../platform/node/inflate.js';
import { AuditError } from '../errors.js';
import type { PlanItem } from './item.js';

const DIGEST = /^[0-9a-f]{64}$/i;

/**
 * Addresses from a text file: one per line, a SHA-256 after it where it is known; empty lines and such with `#` in front do not
 * count. Throws AuditError for anything else.
 */
export async function* urlItems(path: string): AsyncGenerator<PlanItem> {
  let number = 0;
  for await (const line of textLines(path)) {
    number++;
    const [address, sha256, ...more] = line.trim().split(/\s+/);
    if (!address || address.startsWith('#')) continue;
    const url = httpAddress(address);
    if (url === undefined || (sha256 !== undefined && !DIGEST.test(sha256)) || more.length > 0)
      throw badLine(path, number, 'is no address (http or https), optionally with a SHA-256 after it');
    yield { kind: 'url', locator: url, url, ...(sha256 !== undefined && { sha256: sha256.toLowerCase() }) };
  }
}

/** Where AndroZoo gives apps (https://androzoo.uni.lu/api_doc). */
export const ANDROZOO_URL = 'https://androzoo.uni.lu/api/download';

/** Columns of AndroZoo's `latest.csv` where a list has no line of titles. */
const COLUMNS = [
  'sha256',
  'sha1',
  'md5',
  'dex_date',
  'apk_size',
  'pkg_name',
  'vercode',
  'vt_detection',
  'vt_scan_date',
  'dex_size',
  'markets',
];

/**
 * Apps from a list of AndroZoo: its CSV (`.gz` as well) or a selection of its lines; a SHA-256 per line is enough.
 * Throws AuditError where a line has none.
 */
export async function* androzooItems(path: string, address = ANDROZOO_URL): AsyncGenerator<PlanItem> {
  let columns = COLUMNS;
  let number = 0;
  for await (const line of textLines(path)) {
    number++;
    if (line.trim() === '' || line.startsWith('#')) continue;
    const fields = csvFields(line);
    if (number === 1 && fields.some((field) => field.toLowerCase() === 'sha256')) {
      columns = fields.map((field) => field.toLowerCase());
      continue;
    }
    const field = (name: string): string | undefined => fields[columns.indexOf(name)] || undefined;
    const sha256 = field('sha256')?.toLowerCase();
    if (sha256 === undefined || !DIGEST.test(sha256))
      throw badLine(path, number, 'holds no SHA-256 where AndroZoo has it');
    const url = `${address}?sha256=${sha256.toUpperCase()}`;
    const [bytes, market, name, added] = [
      Number(field('apk_size')),
      field('markets'),
      field('pkg_name'),
      field('dex_date'),
    ];
    yield {
      kind: 'androzoo',
      locator: url,
      url,
      sha256,
      ...(Number.isSafeInteger(bytes) && bytes > 0 && { bytes }),
      listing: {
        ...(name !== undefined && { name }),
        ...(market !== undefined && { market }),
        ...(added !== undefined && { added: added.slice(0, 10) }),
      },
    };
  }
}

async function* textLines(path: string): AsyncGenerator<string> {
  const chunks = fileChunks(path);
  yield* linesOf(/\.gz$/i.test(path) ? gunzipChunks(chunks) : chunks, path);
}

/** Fields between commas, some in quotes. */
function csvFields(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) =>
    (quoted?.replaceAll('""', '"') ?? plain!).trim(),
  );
}

function httpAddress(text: string): string | undefined {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : undefined;
  } catch {
    return undefined;
  }
}

const badLine = (path: string, number: number, what: string): AuditError =>
  new AuditError('list', `line ${number} of '${path}' ${what}`, { hint: 'Correct the line, or put # in front of it.' });
