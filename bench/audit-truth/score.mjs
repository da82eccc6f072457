/** @file What was found against the truth: hits, misses, false findings, and hits that say the wrong thing. */

const ratio = (part, whole) => (whole === 0 ? 1 : Number((part / whole).toFixed(4)));

/** Uses from the strongest to the weakest: a subject counts by its strongest. */
const USES = ['called', 'called-by-library', 'referenced', 'present'];

/** How a finding names a disguise, where it names one; a renamed file or a nested one is told by its path. */
const TOLD = {
  embedded: 'embedded',
  encrypted: 'encrypted',
  xor: 'xor',
  zlib: 'zlib',
  deflate: 'deflate',
  base64: 'base64',
};

export class Score {
  rows = [];
  misses = [];
  falseFindings = [];
  wrong = [];
  wrongEvidence = [];
  #apis = { expected: 0, right: 0, said: 0 };

  /** A model of the truth, found or not. */
  model(app, truth, finding) {
    this.rows.push({ ...truth, found: finding !== undefined });
    const where = {
      app,
      path: truth.path,
      ...(truth.offset !== undefined && { offset: truth.offset }),
      format: truth.format,
    };
    if (finding === undefined) {
      this.misses.push({ ...where, disguise: truth.disguise });
      return;
    }
    const told = TOLD[truth.disguise];
    if (finding.confidence !== truth.sure || (told ?? undefined) !== (finding.disguise ?? undefined))
      this.wrong.push({
        ...where,
        expected: [truth.sure, told ?? 'no disguise'],
        said: [finding.confidence, finding.disguise ?? 'no disguise'],
        evidence: finding.evidence,
      });
  }

  falseFinding(app, { path, format, confidence, offset, evidence }) {
    this.falseFindings.push({ app, path, offset, format, confidence, evidence });
  }

  api(app, subject, expected, said) {
    if (expected !== undefined) this.#apis.expected++;
    if (said !== undefined) this.#apis.said++;
    if (expected === said) this.#apis.right++;
    else this.wrongEvidence.push({ app, subject, expected: expected ?? 'nothing', said: said ?? 'nothing' });
  }

  models() {
    const found = this.rows.filter((row) => row.found).length;
    return {
      expected: this.rows.length,
      found,
      falseFindings: this.falseFindings.length,
      precision: ratio(found, found + this.falseFindings.length),
      recall: ratio(found, this.rows.length),
      rightlyDescribed: ratio(found - this.wrong.length, found),
    };
  }

  #by(key) {
    const rows = {};
    for (const row of this.rows) {
      rows[row[key]] ??= { expected: 0, found: 0 };
      rows[row[key]].expected++;
      if (row.found) rows[row[key]].found++;
    }
    return Object.fromEntries(
      Object.entries(rows).map(([name, { expected, found }]) => [
        name,
        { expected, found, recall: ratio(found, expected) },
      ]),
    );
  }

  byDisguise() {
    return this.#by('disguise');
  }

  byFormat() {
    return this.#by('format');
  }

  evidence() {
    const { expected, right, said } = this.#apis;
    return { expected, said, right, precision: ratio(right, said), recall: ratio(right, expected) };
  }
}

/** Compares one app's record with its truth. */
export function scoreApp(score, name, { models, apis }, record) {
  const found = (record?.models ?? []).map((each) => ({ ...each, path: each.path.slice(each.path.indexOf('!/') + 2) }));
  const left = new Set(found);
  for (const truth of models.filter(({ beside }) => !beside)) {
    const hit = [...left].find(
      ({ path, format, offset }) =>
        path === truth.path && format === truth.format && (truth.offset === undefined || truth.offset === offset),
    );
    if (hit) left.delete(hit);
    score.model(name, truth, hit);
  }
  for (const finding of left)
    if (!models.some(({ path, beside }) => path === finding.path && beside?.includes(finding.format)))
      score.falseFinding(name, finding);
  if (apis === undefined) return;
  const said = new Map();
  for (const { subject, use } of record?.app?.evidence ?? [])
    if (!said.has(subject) || USES.indexOf(use) < USES.indexOf(said.get(subject))) said.set(subject, use);
  for (const subject of new Set([...Object.keys(apis), ...said.keys()]))
    score.api(name, subject, apis[subject], said.get(subject));
}
