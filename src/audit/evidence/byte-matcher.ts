/** @file Many texts looked for in one pass over bytes (Aho and Corasick, 1975), as a table of 256 steps per state. */

/** What a scan keeps between chunks. */
export interface MatchState {
  state: number;
  readonly found: Set<number>;
}

export class ByteMatcher {
  readonly #next: Int32Array;
  /** Patterns that end in each state, as bits of lists by number. */
  readonly #ends: readonly (readonly number[])[];
  readonly #hasEnd: Uint8Array;

  /** Patterns are ASCII; found ones are told by their number in this list. */
  constructor(patterns: readonly string[]) {
    const children: Map<number, number>[] = [new Map<number, number>()];
    const ends: number[][] = [[]];
    patterns.forEach((pattern, number) => {
      let state = 0;
      for (let i = 0; i < pattern.length; i++) {
        const byte = pattern.charCodeAt(i) & 0xff;
        let next = children[state]!.get(byte);
        if (next === undefined) {
          next = children.push(new Map<number, number>()) - 1;
          ends.push([]);
          children[state]!.set(byte, next);
        }
        state = next;
      }
      ends[state]!.push(number);
    });
    const next = new Int32Array(256 * children.length);
    const fail = new Int32Array(children.length);
    const queue: number[] = [];
    for (const [byte, state] of children[0]!) {
      next[byte] = state;
      queue.push(state);
    }
    for (let i = 0; i < queue.length; i++) {
      const state = queue[i]!;
      const back = fail[state]!;
      ends[state] = [...ends[state]!, ...ends[back]!];
      next.copyWithin(256 * state, 256 * back, 256 * back + 256);
      for (const [byte, child] of children[state]!) {
        fail[child] = next[256 * back + byte]!;
        next[256 * state + byte] = child;
        queue.push(child);
      }
    }
    this.#next = next;
    this.#ends = ends;
    this.#hasEnd = Uint8Array.from(ends, (list) => (list.length > 0 ? 1 : 0));
  }

  begin(): MatchState {
    return { state: 0, found: new Set() };
  }

  /** Goes on with a scan; what is found is added to `scan.found`. */
  scan(scan: MatchState, bytes: Uint8Array): void {
    const [next, hasEnd] = [this.#next, this.#hasEnd];
    let state = scan.state;
    for (let at = 0; at < bytes.length; at++) {
      state = next[(state << 8) | bytes[at]!]!;
      if (hasEnd[state] === 1) for (const number of this.#ends[state]!) scan.found.add(number);
    }
    scan.state = state;
  }
}
