/**
 * @file Hashes of public models, for the table that recognises them. Reads lines "FILE<tab>NAME<tab>SOURCE<tab>LICENCE" from
 * standard input (FILE may be two, ncnn's or Caffe's pair, with a comma between) and writes `{ "models": [...] }`; with `--table`
 * the source of src/audit/analyse/known-models.ts. Needs a build: `npx tsc -p .`.
 */
import { readFileSync } from 'node:fs';
import { analyseModel, findModels, knownModelOf, readAuditModel } from '../dist/audit/index.js';
import { openSha256 as nativeHasher } from '../dist/platform/node/hash.js';

const sha256 = (bytes) => {
  const hash = nativeHasher();
  hash.update(bytes);
  return hash.hex();
};

const models = [];
for (const line of readFileSync(0, 'utf8').split('\n')) {
  if (line.trim() === '') continue;
  const [files, name, source, licence] = line.split('\t');
  const [bytes, companion] = files.split(',').map((file) => new Uint8Array(readFileSync(file)));
  const findings = await findModels({ path: files.split(',')[0], bytes });
  if (!findings.some(({ model }) => model)) throw new Error(`${files}: no readable model`);
  findings.forEach((finding, i) => {
    const model = companion ? readAuditModel(finding.format, bytes, { companion }) : finding.model();
    const { identity } = analyseModel(model, { path: name, hasher: nativeHasher });
    models.push(
      knownModelOf(
        {
          name: findings.length > 1 ? `${name} (${i + 1})` : name,
          source,
          ...(licence ? { licence } : {}),
          sha256: sha256(bytes.subarray(finding.offset, finding.offset + finding.length)),
        },
        identity,
      ),
    );
  });
}
process.stdout.write(
  process.argv.includes('--table')
    ? `/** @file Public models, by hash: each was computed from the published file (scripts/known-models.mjs). */
import type { KnownModel } from './known-model.js';

/** Models that apps carry as they were published. More can be given by the user. */
export const knownModels: readonly KnownModel[] = ${JSON.stringify(models, null, 2)};
`
    : `${JSON.stringify({ models }, null, 2)}\n`,
);
