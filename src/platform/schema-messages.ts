/** @file What broken JSON is told: schemas are made with `zod/mini`, which a browser loads in a third of the time, but says nothing. */
// The file itself: the list of all languages would come along.
import en from 'zod/v4/locales/en.js';

/** Second argument of `schema.safeParse`: issues in English sentences. Nothing global is set, so a caller's own zod is left alone. */
export const inEnglish = { error: en().localeError };
