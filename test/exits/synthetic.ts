/** @file Memos and costs of networks that do not exist: samples of varied difficulty, later exits better. */
import type { ExitCosts } from '../../src/exits/costs.js';
import type { Memo } from '../../src/exits/memo.js';
import { createRandom } from '../../src/platform/random.js';

export interface SyntheticSpec {
  readonly candidates: number;
  readonly samples: number;
  readonly classes: number;
  readonly seed: number;
  /** Seed of the network itself (exit strengths); same for calibration and test memos of one network. */
  readonly networkSeed?: number;
}

/**
 * Each sample has a difficulty; each exit a strength that grows with depth, with a dip here and there. The right class
 * gets (strength − difficulty) on top of noise that is partly shared between exits, and one wrong class per sample is
 * a lasting temptation, so that some samples are wrong at every exit and some only at late ones ("overthinking").
 */
export function syntheticMemo(spec: SyntheticSpec): Memo {
  const { candidates, samples, classes, seed, networkSeed = 1 } = spec;
  const network = createRandom(networkSeed);
  const exits = candidates + 1;
  const strength = Float64Array.from({ length: exits }, (_, exit) => {
    const depth = (exit + 1) / exits;
    return 3 + 3.5 * Math.sqrt(depth) + (exit === candidates ? 0.3 : 0.3 * network.normal());
  });
  const random = createRandom(seed);
  const labels = new Int32Array(samples);
  const logits = Array.from({ length: exits }, () => new Float32Array(samples * classes));
  const shared = new Float64Array(classes);
  for (let s = 0; s < samples; s++) {
    const label = random.int(classes);
    labels[s] = label;
    const difficulty = 2 + 1.8 * random.normal();
    const tempting = (label + 1 + random.int(classes - 1)) % classes;
    const temptation = Math.max(0, 0.8 * random.normal());
    for (let c = 0; c < classes; c++) shared[c] = 0.7 * random.normal();
    for (let exit = 0; exit < exits; exit++)
      for (let c = 0; c < classes; c++) {
        const gain = c === label ? strength[exit]! - difficulty : c === tempting ? temptation : 0;
        logits[exit]![s * classes + c] = gain + shared[c]! + 0.7 * random.normal();
      }
  }
  return { labels, classes, logits };
}

/** Costs like those of a small residual network: segments alike with some spread, heads of a few per cent each. */
export function syntheticCosts(candidates: number, seed = 1, headShare = 0.03): ExitCosts {
  const random = createRandom(seed);
  const segments = Float64Array.from({ length: candidates + 1 }, () => 0.5 + random.next());
  const total = segments.reduce((sum, value) => sum + value, 0);
  const heads = Float64Array.from({ length: candidates + 1 }, (_, exit) =>
    exit === candidates ? 0 : headShare * total * (0.6 + 0.8 * random.next()),
  );
  const memory = { segments: segments.map((value) => 1000 * value), heads: heads.map((value) => 3000 * value) };
  return { segments, heads, unit: 'ms', memory };
}
