/** @file Licences that a model's metadata or a neighbouring file names. */

const KNOWN: readonly (readonly [id: string, text: RegExp])[] = [
  ['Apache-2.0', /apache(\s+software)?(\s+licen[cs]e)?,?\s*(version|v\.?)?\s*-?2(\.0)?\b/i],
  ['MIT', /\bMIT\b(\s+licen[cs]e)?|permission is hereby granted, free of charge/i],
  ['BSD-3-Clause', /\bBSD[- ]?3|redistribution and use in source and binary forms[^]*neither the name/i],
  ['BSD-2-Clause', /\bBSD[- ]?2/i],
  ['AGPL-3.0', /\bAGPL|gnu affero general public/i],
  ['LGPL', /\bLGPL|gnu lesser general public/i],
  ['GPL-3.0', /\bGPL[- ]?v?3|gnu general public license\s*(version|v)?\s*3/i],
  ['GPL-2.0', /\bGPL[- ]?v?2|gnu general public license\s*(version|v)?\s*2/i],
  ['MPL-2.0', /\bMPL[- ]?2|mozilla public license/i],
  ['CC-BY-NC-4.0', /\bCC[- ]BY[- ]NC(?![- ]SA)/i],
  ['CC-BY-NC-SA-4.0', /\bCC[- ]BY[- ]NC[- ]SA/i],
  ['CC-BY-SA-4.0', /\bCC[- ]BY[- ]SA/i],
  ['CC-BY-4.0', /\bCC[- ]BY(?![- ](NC|SA|ND))|creative commons attribution 4/i],
  ['CC0-1.0', /\bCC0\b/i],
  ['OpenRAIL', /openrail/i],
  ['Llama', /llama\s*[23.\d]*\s*community licen[cs]e/i],
  ['Gemma', /gemma terms of use/i],
  ['Unlicense', /\bunlicense\b|released into the public domain/i],
];

/** SPDX names of the licences that texts name, in alphabetical order. A field that says it is a licence and names no known one is kept as it is. */
export function licencesIn(
  metadata: Readonly<Record<string, string>>,
  texts: readonly string[] = [],
): readonly string[] {
  const found = new Set<string>();
  for (const [key, text] of Object.entries(metadata)) {
    if (!/licen[cs]e|description|copyright/i.test(key)) continue;
    const named = KNOWN.filter(([, pattern]) => pattern.test(text.slice(0, 20_000)));
    for (const [id] of named) found.add(id);
    if (named.length === 0 && /licen[cs]e/i.test(key) && text.trim() !== '') found.add(text.trim().slice(0, 80));
  }
  for (const text of texts) for (const [id, pattern] of KNOWN) if (pattern.test(text.slice(0, 20_000))) found.add(id);
  return [...found].sort();
}
