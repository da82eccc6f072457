/** @file Evidence from Java class files, by the same table as from DEX. */
import { type ClassFile } from '../app/class-file.js';
import { hostsIn, methodOwner, ownersOf, type EvidenceCollector } from './collect.js';

/** Adds what a class file is evidence of. */
export function collectClass({ descriptor, methods, strings }: ClassFile, path: string, into: EvidenceCollector): void {
  const own = ownersOf(descriptor);
  for (const subject of own)
    into.add({ subject, use: 'present', confidence: 'observed', clue: 'class', path }, descriptor);
  for (const { owner, name } of methods) {
    const callee = ownersOf(owner);
    if (own.some((subject) => callee.includes(subject))) continue;
    const special = methodOwner(owner, name);
    for (const subject of special === undefined ? callee : [...callee, special]) {
      const use = own.length > 0 ? 'called-by-library' : 'called';
      into.add({ subject, use, confidence: 'observed', clue: 'call', path }, `${descriptor} → ${owner}->${name}`);
    }
  }
  for (const text of strings)
    for (const subject of hostsIn(text))
      into.add(
        { subject, use: own.includes(subject) ? 'present' : 'referenced', confidence: 'derived', clue: 'host', path },
        text,
      );
}
