/** @file The best design for every budget at once, from a memo: all designs where these are few, else searches that fill in. */
import {
  DesignEvaluator,
  InfeasibleBudgetError,
  searchDesign,
  thresholdGrid,
  type DesignChoice,
  type ExitCosts,
  type ScoreTables,
} from 'cuttle/exits';

/** One design that no other beats in both. */
export interface FrontDesign {
  readonly choice: DesignChoice;
  /** What the budget bounds, in the unit of the costs. */
  readonly latency: number;
  readonly accuracy: number;
}

export interface FrontOptions {
  readonly scores: ScoreTables;
  readonly costs: ExitCosts;
  /** What a budget bounds. */
  readonly bounds: 'average' | 'worst-case';
  readonly fallback: DesignChoice['fallback'];
}

/** So many designs are all looked at: less than a second. */
const MOST_DESIGNS = 150_000;
/** Budgets that are searched where there are more, coarse ones first; shares of the backbone. */
const LADDER = [0.5, 0.25, 0.75, 0.15, 0.35, 0.9, 0.6, 0.2, 0.3, 0.4, 0.45, 0.55, 0.65, 0.7, 0.8, 1, 0.1];
const EFFORT = { evaluations: 4_000, restarts: 1 };

/** Yields the front, better each time; the last one stands. One shared confidence threshold per design. */
export function* budgetFront(options: FrontOptions): Generator<readonly FrontDesign[]> {
  const { scores } = options;
  const candidates = scores.exits - 1;
  const grid = thresholdGrid(scores, 'confidence');
  if (2 ** candidates * (grid.values[0]?.length ?? 1) <= MOST_DESIGNS) yield allDesigns(options);
  else yield* searched(options);
}

/** The design for a budget: the most accurate one that keeps it. */
export function designWithin(front: readonly FrontDesign[], budget: number): FrontDesign | undefined {
  return front.findLast(({ latency }) => latency <= budget + 1e-12);
}

function allDesigns({ scores, costs, bounds, fallback }: FrontOptions): readonly FrontDesign[] {
  const grid = thresholdGrid(scores, 'confidence');
  const evaluator = new DesignEvaluator(scores, costs, grid, fallback);
  const final = scores.exits - 1;
  const levels = Array.from({ length: grid.values[0]?.length ?? 0 }, (_, level) => level);
  const found: { exits: readonly number[]; level: number; latency: number; accuracy: number }[] = [];
  for (let set = 0; set < 2 ** final; set++) {
    const exits = Array.from({ length: final }, (_, exit) => exit).filter((exit) => set & (1 << exit));
    for (const level of exits.length === 0 ? [0] : levels) {
      const { accuracy, average, worstCase } = evaluator.evaluate([...exits, final], [level]);
      found.push({ exits, level, accuracy, latency: bounds === 'average' ? average : worstCase });
    }
  }
  return undominated(found).map(({ exits, level, latency, accuracy }) => ({
    ...{ latency, accuracy },
    choice: {
      ...{ exits, fallback },
      policy: {
        kind: 'confidence',
        thresholds: grid.values[exits[0] ?? 0]?.[level] ?? 1,
        temperatures: [...exits, final].map((exit) => scores.temperatures[exit]!),
      },
    },
  }));
}

function* searched({ scores, costs, bounds, fallback }: FrontOptions): Generator<readonly FrontDesign[]> {
  const backbone = costs.segments.reduce((sum, value) => sum + value, 0);
  let front: readonly FrontDesign[] = [];
  for (const share of LADDER) {
    const constraint = { kind: bounds, budget: share * backbone } as const;
    try {
      const settings = { scores, costs, policy: 'confidence', fallback, constraint, truncation: 'never' } as const;
      const { choice, predicted } = searchDesign(settings, EFFORT);
      const latency = bounds === 'average' ? predicted.latency.average : predicted.latency.worstCase;
      front = undominated([...front, { choice, latency, accuracy: predicted.accuracy }]);
    } catch (error) {
      if (!(error instanceof InfeasibleBudgetError)) throw error;
    }
    yield front;
  }
}

function undominated<T extends Pick<FrontDesign, 'latency' | 'accuracy'>>(designs: readonly T[]): readonly T[] {
  let best = -Infinity;
  return [...designs]
    .sort((a, b) => a.latency - b.latency || b.accuracy - a.accuracy)
    .filter(({ accuracy }) => accuracy > best && ((best = accuracy), true));
}
