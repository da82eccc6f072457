/** @file All subjects of evidence in one table. */
import { accelerators } from './accelerators.js';
import { cloudServices } from './cloud.js';
import { frameworks } from './frameworks.js';
import { type Subject } from './kinds.js';

/** Every framework, cloud service and accelerator, by the name that evidence uses. */
export const subjects: Readonly<Record<string, Subject>> = { ...frameworks, ...cloudServices, ...accelerators };

/** Subjects that have a kind of clue, with it. */
export function cluesOf<K extends keyof Subject>(
  key: K,
): readonly (readonly [subject: string, clue: NonNullable<Subject[K]>])[] {
  return Object.entries(subjects).flatMap(([name, subject]) => {
    const clue = subject[key];
    return clue === undefined ? [] : [[name, clue] as const];
  });
}
