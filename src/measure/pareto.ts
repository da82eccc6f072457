/** @file Which of many are worth having: nothing else is at least as good in both respects and better in one. */

/** What is looked for in each of two respects. */
export interface ParetoMeasures<Item> {
  /** Less is better: time, energy, memory. */
  readonly cost: (item: Item) => number;
  /** More is better: accuracy. */
  readonly value: (item: Item) => number;
}

/**
 * The items that no other dominates, by rising cost. Of items that are equal in both respects all are kept, in the given order;
 * items with a NaN are left out. O(n log n).
 */
export function paretoFront<Item>(items: readonly Item[], { cost, value }: ParetoMeasures<Item>): readonly Item[] {
  const sorted = items
    .map((item, place) => ({ item, place, cost: cost(item), value: value(item) }))
    .filter((entry) => !Number.isNaN(entry.cost) && !Number.isNaN(entry.value))
    .sort((a, b) => a.cost - b.cost || b.value - a.value || a.place - b.place);
  const front: typeof sorted = [];
  for (const entry of sorted) {
    const last = front.at(-1);
    const equal = last !== undefined && last.cost === entry.cost && last.value === entry.value;
    if (last === undefined || entry.value > last.value || equal) front.push(entry);
  }
  return front.map(({ item }) => item);
}
