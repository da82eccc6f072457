/** @file Layers of a graph, from its inputs down (Sugiyama, Tagawa, Toda 1981): longest paths, fewest crossings by barycentres, straight edges. */

export interface LaidOutGraph {
  readonly width: number;
  readonly height: number;
  /** Centres by node. */
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly layer: Int32Array;
  readonly edges: readonly {
    readonly from: number;
    readonly to: number;
    readonly points: readonly (readonly [number, number])[];
  }[];
}

export const NODE_WIDTH = 168;
export const NODE_HEIGHT = 26;
const GAP_X = 22;
const GAP_Y = 22;
/** Room that a passing edge takes. */
const PASS_WIDTH = 14;
const SWEEPS = 6;
/** With more passing places than that, long edges are drawn straight. */
const MAX_PASSES = 12_000;

interface Place {
  readonly node: number | undefined;
  readonly above: number[];
  readonly below: number[];
  x: number;
}

/** Lays out a graph without cycles; `from[i]` are the nodes that node `i` reads. Contract: nodes in topological order. */
export function layoutGraph(from: readonly (readonly number[])[]): LaidOutGraph {
  const layer = new Int32Array(from.length);
  from.forEach((sources, i) => {
    for (const source of sources) layer[i] = Math.max(layer[i]!, layer[source]! + 1);
  });
  const depth = from.length === 0 ? 0 : Math.max(...layer) + 1;
  const spans = from.reduce((sum, sources, i) => sum + sources.reduce((s, j) => s + layer[i]! - layer[j]! - 1, 0), 0);
  const passing = spans <= MAX_PASSES;

  const places: Place[] = from.map((_, node) => ({ node, above: [], below: [], x: 0 }));
  const layers: number[][] = Array.from({ length: depth }, () => []);
  from.forEach((_, i) => layers[layer[i]!]!.push(i));
  const chains: { from: number; to: number; via: number[] }[] = [];
  from.forEach((sources, to) => {
    for (const source of sources) {
      const via: number[] = [];
      let last = source;
      for (let level = layer[source]! + 1; passing && level < layer[to]!; level++) {
        const at = places.push({ node: undefined, above: [last], below: [], x: 0 }) - 1;
        places[last]!.below.push(at);
        layers[level]!.push(at);
        via.push(at);
        last = at;
      }
      places[last]!.below.push(to);
      places[to]!.above.push(last);
      chains.push({ from: source, to, via });
    }
  });

  const order = new Float64Array(places.length);
  const renumber = (level: readonly number[]): void => level.forEach((at, i) => void (order[at] = i));
  layers.forEach(renumber);
  const barycentre = (near: readonly number[], at: number): number =>
    near.length === 0 ? order[at]! : near.reduce((sum, other) => sum + order[other]!, 0) / near.length;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (const level of down ? layers : [...layers].reverse()) {
      const keys = new Map(level.map((at) => [at, barycentre(down ? places[at]!.above : places[at]!.below, at)]));
      level.sort((a, b) => keys.get(a)! - keys.get(b)! || order[a]! - order[b]!);
      renumber(level);
    }
  }
  straighten(places, layers);

  const left = Math.min(0, ...places.map(({ node, x }) => x - widthOf(node) / 2));
  const x = Float64Array.from(from, (_, i) => places[i]!.x - left + GAP_X);
  const y = Float64Array.from(layer, (level) => yOf(level));
  const right = Math.max(0, ...places.map(({ node, x: centre }) => centre + widthOf(node) / 2));
  return {
    ...{ x, y, layer },
    width: right - left + 2 * GAP_X,
    height: yOf(Math.max(0, depth - 1)) + NODE_HEIGHT / 2 + GAP_Y,
    edges: chains.map(({ from: source, to, via }) => ({
      ...{ from: source, to },
      points: [
        [x[source]!, y[source]! + NODE_HEIGHT / 2],
        ...via.map((at, i): [number, number] => [places[at]!.x - left + GAP_X, yOf(layer[source]! + 1 + i)]),
        [x[to]!, y[to]! - NODE_HEIGHT / 2],
      ],
    })),
  };
}

const yOf = (level: number): number => GAP_Y + NODE_HEIGHT / 2 + level * (NODE_HEIGHT + GAP_Y);
const widthOf = (node: number | undefined): number => (node === undefined ? PASS_WIDTH : NODE_WIDTH);

/** Moves every place towards its neighbours' middle, as far as the room between its own neighbours in the layer allows. */
function straighten(places: readonly Place[], layers: readonly (readonly number[])[]): void {
  const room = (a: number, b: number): number => (widthOf(places[a]!.node) + widthOf(places[b]!.node)) / 2 + GAP_X;
  for (const level of layers) {
    let x = 0;
    level.forEach((at, i) => {
      if (i > 0) x += room(level[i - 1]!, at);
      places[at]!.x = x;
    });
  }
  const pull = (level: readonly number[], side: 'above' | 'below'): void => {
    const wanted = level.map((at) => {
      const near = places[at]![side];
      if (near.length === 0) return places[at]!.x;
      const sorted = near.map((other) => places[other]!.x).sort((a, b) => a - b);
      return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
    });
    // Both passes keep the distances; their mean does, too.
    const forward = [...wanted];
    for (let i = 1; i < level.length; i++)
      forward[i] = Math.max(forward[i]!, forward[i - 1]! + room(level[i - 1]!, level[i]!));
    const backward = [...wanted];
    for (let i = level.length - 2; i >= 0; i--)
      backward[i] = Math.min(backward[i]!, backward[i + 1]! - room(level[i]!, level[i + 1]!));
    level.forEach((at, i) => void (places[at]!.x = (forward[i]! + backward[i]!) / 2));
  };
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const level of layers.slice(1)) pull(level, 'above');
    for (const level of [...layers.slice(0, -1)].reverse()) pull(level, 'below');
  }
  for (const level of layers.slice(1)) pull(level, 'above');
}
