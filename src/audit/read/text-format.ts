/** @file Protobuf text format (`name: value`, `name { … }`), as Caffe's `.prototxt` and MediaPipe's graphs are written. */
import type { ReadBudget } from './limits.js';

/** Values by field name, in order; a message is a tree of its own. */
export type TextTree = ReadonlyMap<string, readonly TextValue[]>;
export type TextValue = string | TextTree;

const TOKEN = /[\s,;]+|#[^\n]*|([{}<>:[\]])|"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|([^\s{}<>:[\],;#"']+)/y;

/** Parses a text message. Throws AuditError where the text is none, or nested deeper than the limit. */
export function parseTextFormat(text: string, budget: ReadBudget): TextTree {
  const root = new Map<string, TextValue[]>();
  const open: Map<string, TextValue[]>[] = [root];
  let name: string | undefined;
  let inList = false;
  const put = (value: TextValue): void => {
    if (name === undefined) throw budget.invalid('text', 'a value without a name');
    const fields = open.at(-1)!;
    const list = fields.get(name);
    if (list) list.push(value);
    else fields.set(name, [value]);
    if (!inList) name = undefined;
  };
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw budget.invalid('text', `the text cannot be read at character ${at}`);
    budget.spend(1);
    const [, sign, double, single, word] = match;
    if (sign === '{' || sign === '<') {
      if (open.length > budget.limits.maxDepth) throw budget.invalid('limit', 'messages are nested too deep');
      const inner = new Map<string, TextValue[]>();
      put(inner);
      open.push(inner);
    } else if (sign === '}' || sign === '>') {
      if (open.length === 1) throw budget.invalid('text', `a bracket closes nothing at character ${at}`);
      open.pop();
      name = undefined;
      inList = false;
    } else if (sign === '[') inList = true;
    else if (sign === ']') {
      inList = false;
      name = undefined;
    } else if (double !== undefined || single !== undefined) put(double ?? single!);
    else if (word !== undefined) {
      if (name === undefined) name = word;
      else put(word);
    }
  }
  if (open.length > 1 || name !== undefined) throw budget.invalid('text', 'the text ends within a message');
  return root;
}
