/** @file Symbolic dims as polynomials over symbols and floor/min/max terms: parsed from text, put in one canonical form. */
import type { Dim } from './type.js';

/** What a polynomial's terms are made of: a symbol, or a function of two polynomials. */
export type Atom =
  | { readonly kind: 'symbol'; readonly name: string }
  | { readonly kind: 'floor' | 'min' | 'max'; readonly a: Polynomial; readonly b: Polynomial };

interface Term {
  readonly coefficient: number;
  /** Sorted by their text; a square is the same atom twice. */
  readonly atoms: readonly Atom[];
}

/** A sum of integer multiples of products of atoms, like terms joined. */
export class Polynomial {
  readonly terms: ReadonlyMap<string, Term>;

  private constructor(terms: readonly Term[]) {
    const joined = new Map<string, Term>();
    for (const term of terms) {
      const key = term.atoms.map(printAtom).join('*');
      const coefficient = (joined.get(key)?.coefficient ?? 0) + term.coefficient;
      if (coefficient === 0) joined.delete(key);
      else joined.set(key, { coefficient, atoms: term.atoms });
    }
    this.terms = joined;
  }

  /** A constant. */
  static of(value: number): Polynomial {
    return new Polynomial([{ coefficient: value, atoms: [] }]);
  }

  static atom(atom: Atom): Polynomial {
    return new Polynomial([{ coefficient: 1, atoms: [atom] }]);
  }

  plus(other: Polynomial): Polynomial {
    return new Polynomial([...this.terms.values(), ...other.terms.values()]);
  }

  times(other: Polynomial): Polynomial {
    const products: Term[] = [];
    for (const a of this.terms.values())
      for (const b of other.terms.values())
        products.push({
          coefficient: a.coefficient * b.coefficient,
          atoms: [...a.atoms, ...b.atoms].sort((x, y) => compare(printAtom(x), printAtom(y))),
        });
    return new Polynomial(products);
  }

  /** The constant that this is, or `undefined`. */
  constant(): number | undefined {
    if (this.terms.size === 0) return 0;
    return this.terms.size === 1 ? this.terms.get('')?.coefficient : undefined;
  }

  /** this / divisor where every term is divisible, else `undefined`. Only a divisor of one term is tried, or itself. */
  divideExactly(divisor: Polynomial): Polynomial | undefined {
    if (printPolynomial(this) === printPolynomial(divisor)) return Polynomial.of(1);
    const quotients = [...this.terms.values()].map((term) => divideTerm(term, divisor));
    return quotients.includes(undefined) ? undefined : new Polynomial(quotients as Term[]);
  }

  /** ⌊this / divisor⌋: ⌊(q·d + r) / d⌋ = q + ⌊r / d⌋ takes the exact part out. */
  floorDivide(divisor: Polynomial): Polynomial {
    const exact = this.divideExactly(divisor);
    if (exact) return exact;
    const whole: Term[] = [];
    const rest: Term[] = [];
    for (const term of this.terms.values()) {
      const quotient = divideTerm(term, divisor);
      if (quotient) whole.push(quotient);
      else rest.push(term);
    }
    const by = divisor.constant();
    const remainder = new Polynomial(rest);
    const constant = remainder.constant();
    if (by !== undefined && constant !== undefined)
      return new Polynomial(whole).plus(Polynomial.of(Math.floor(constant / by)));
    // With a numeric divisor, a constant in the remainder is brought under the divisor, so that equal dims look equal.
    const stray = remainder.terms.get('')?.coefficient ?? 0;
    const shift = by === undefined || by <= 0 ? 0 : Math.floor(stray / by);
    const inner = remainder.plus(Polynomial.of(by === undefined ? 0 : -shift * by));
    return new Polynomial(whole)
      .plus(Polynomial.of(shift))
      .plus(Polynomial.atom({ kind: 'floor', a: inner, b: divisor }));
  }

  /** True where no values of the symbols (which are ≥ 0) can make it negative, as far as signs alone tell. */
  isNonNegative(): boolean {
    return [...this.terms.values()].every((term) => term.coefficient >= 0 && term.atoms.every(isNonNegativeAtom));
  }

  symbols(): readonly string[] {
    const found = new Set<string>();
    const visit = (polynomial: Polynomial): void => {
      for (const term of polynomial.terms.values())
        for (const atom of term.atoms)
          if (atom.kind === 'symbol') found.add(atom.name);
          else [atom.a, atom.b].forEach(visit);
    };
    visit(this);
    return [...found];
  }

  /** Replaces symbols by numbers or other symbols. `null` where a divisor becomes 0. */
  substitute(value: (symbol: string) => number | string): Dim {
    const result = this.#substitute(value);
    return result === undefined ? null : printDim(result);
  }

  #substitute(value: (symbol: string) => number | string): Polynomial | undefined {
    let sum = Polynomial.of(0);
    for (const term of this.terms.values()) {
      let product = Polynomial.of(term.coefficient);
      for (const atom of term.atoms) {
        const factor = substituteAtom(atom, value, (polynomial) => polynomial.#substitute(value));
        if (factor === undefined) return undefined;
        product = product.times(factor);
      }
      sum = sum.plus(product);
    }
    return sum;
  }
}

function substituteAtom(
  atom: Atom,
  value: (symbol: string) => number | string,
  inner: (polynomial: Polynomial) => Polynomial | undefined,
): Polynomial | undefined {
  if (atom.kind === 'symbol') {
    const known = value(atom.name);
    return typeof known === 'number' ? Polynomial.of(known) : Polynomial.atom({ kind: 'symbol', name: known });
  }
  const a = inner(atom.a);
  const b = inner(atom.b);
  if (a === undefined || b === undefined) return undefined;
  if (atom.kind === 'floor') return b.constant() === 0 ? undefined : a.floorDivide(b);
  const x = a.constant();
  const y = b.constant();
  if (x !== undefined && y !== undefined) return Polynomial.of(Math[atom.kind](x, y));
  return Polynomial.atom({ kind: atom.kind, a, b });
}

function divideTerm(term: Term, divisor: Polynomial): Term | undefined {
  if (divisor.terms.size !== 1) return undefined;
  const [by] = divisor.terms.values();
  if (by === undefined || term.coefficient % by.coefficient !== 0) return undefined;
  const atoms = [...term.atoms];
  for (const atom of by.atoms) {
    const text = printAtom(atom);
    const index = atoms.findIndex((candidate) => printAtom(candidate) === text);
    if (index < 0) return undefined;
    atoms.splice(index, 1);
  }
  return { coefficient: term.coefficient / by.coefficient, atoms };
}

function isNonNegativeAtom(atom: Atom): boolean {
  switch (atom.kind) {
    case 'symbol':
      return true;
    case 'floor':
    case 'min':
      return atom.a.isNonNegative() && atom.b.isNonNegative();
    case 'max':
      return atom.a.isNonNegative() || atom.b.isNonNegative();
  }
}

function printAtom(atom: Atom): string {
  if (atom.kind === 'symbol') return atom.name;
  const [a, b] = [printPolynomial(atom.a), printPolynomial(atom.b)];
  return atom.kind === 'floor' ? `floor(${bracket(a)}/${bracket(b)})` : `${atom.kind}(${a}, ${b})`;
}

const bracket = (text: string): string => (/^[\w.]+$/.test(text) ? text : `(${text})`);

/** Terms by falling degree, then by name; the constant last. */
function printPolynomial(polynomial: Polynomial): string {
  const terms = [...polynomial.terms]
    .sort(([x, a], [y, b]) => b.atoms.length - a.atoms.length || compare(x, y))
    .map(([key, { coefficient }]) => {
      if (key === '') return String(coefficient);
      return coefficient === 1 ? key : coefficient === -1 ? `-${key}` : `${coefficient}*${key}`;
    });
  return terms.length === 0 ? '0' : terms.join('+').replaceAll('+-', '-');
}

/** A polynomial as a dim: a number where it is constant. */
export function printDim(polynomial: Polynomial): Dim {
  return polynomial.constant() ?? printPolynomial(polynomial);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const parsed = new Map<string, Polynomial>();
const MAX_PARSED = 10_000;

/** Text that is no expression of the forms printed here counts as one symbol, whatever its characters. */
export function parseDim(dim: number | string): Polynomial {
  if (typeof dim === 'number') return Polynomial.of(dim);
  const known = parsed.get(dim);
  if (known) return known;
  const polynomial = parseExpression(dim) ?? Polynomial.atom({ kind: 'symbol', name: dim });
  if (parsed.size >= MAX_PARSED) parsed.clear();
  parsed.set(dim, polynomial);
  return polynomial;
}

const MAX_NESTING = 100;

/** Recursive descent over sums, products, `floor(a/b)`, `min(a, b)`, `max(a, b)`; `undefined` where the text is none. */
function parseExpression(text: string): Polynomial | undefined {
  const tokens = text.match(/[A-Za-z_][\w.:$]*|\d+|[-+*/(),]|\S/g) ?? [];
  let at = 0;
  let depth = 0;
  const take = (token: string): boolean => {
    if (tokens[at] !== token) return false;
    at++;
    return true;
  };
  const sum = (): Polynomial | undefined => {
    let total = take('-') ? product()?.times(Polynomial.of(-1)) : product();
    while (total && (tokens[at] === '+' || tokens[at] === '-')) {
      const sign = tokens[at++] === '+' ? 1 : -1;
      const next = product();
      total = next && total.plus(next.times(Polynomial.of(sign)));
    }
    return total;
  };
  const product = (): Polynomial | undefined => {
    let total = factor();
    while (total && take('*')) {
      const next = factor();
      total = next && total.times(next);
    }
    return total;
  };
  const pair = (separator: string): readonly [Polynomial, Polynomial] | undefined => {
    const a = sum();
    if (!a || !take(separator)) return undefined;
    const b = sum();
    return b && take(')') ? [a, b] : undefined;
  };
  const factor = (): Polynomial | undefined => {
    const token = tokens[at++];
    if (token === undefined || depth >= MAX_NESTING) return undefined;
    if (/^\d+$/.test(token)) return Polynomial.of(Number(token));
    if (token === '(') {
      depth++;
      const inner = sum();
      depth--;
      return inner && take(')') ? inner : undefined;
    }
    if (!/^[A-Za-z_]/.test(token)) return undefined;
    if (tokens[at] !== '(') return Polynomial.atom({ kind: 'symbol', name: token });
    if (token !== 'floor' && token !== 'min' && token !== 'max') return undefined;
    at++;
    depth++;
    const operands = pair(token === 'floor' ? '/' : ',');
    depth--;
    if (!operands) return undefined;
    const [a, b] = operands;
    if (token === 'floor') return b.constant() === 0 ? undefined : a.floorDivide(b);
    return Polynomial.atom({ kind: token, a, b });
  };
  const result = sum();
  return at === tokens.length ? result : undefined;
}
