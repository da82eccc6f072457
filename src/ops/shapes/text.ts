/** @file Shape rules of text operators. */
import { intsOf, stringsOf, type Dim } from '../../ir/index.js';
import type { InferRule } from '../record.js';
import { broadcastShapes } from './broadcast.js';
import { shapeOf, single, type RuleTable } from './support.js';

/** StringNormalizer-10: stop words go, so the last dim is known only where there are none. */
const normalise: InferRule = ({ node, inputs, symbol }) => {
  const x = shapeOf(inputs[0]);
  const kept = (stringsOf(node, 'stopwords', []) ?? []).length === 0;
  return single('string', kept ? x : x?.with(-1, symbol('words')));
};

/** TfIdfVectorizer-9: the last dim becomes the number of n-gram columns. */
const tfIdf: InferRule = ({ node, inputs }) => {
  const columns = Math.max(...intsOf(node, 'ngram_indexes', [-1])) + 1;
  return single('float32', shapeOf(inputs[0])?.with(-1, columns));
};

/** StringSplit-20: parts, padded to the longest, and how many each string has. */
const split: InferRule = ({ inputs, symbol }) => {
  const x = shapeOf(inputs[0]);
  const parts: readonly Dim[] | undefined = x && [...x, symbol('parts')];
  return { types: [...single('string', parts).types, ...single('int64', x).types] };
};

export const textShapes: RuleTable = {
  StringNormalizer: normalise,
  TfIdfVectorizer: tfIdf,
  StringSplit: split,
  StringConcat: ({ node, inputs }) => single('string', broadcastShapes(node, inputs.map(shapeOf))),
  RegexFullMatch: ({ inputs }) => single('bool', shapeOf(inputs[0])),
};
