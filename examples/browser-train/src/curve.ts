/** @file A growing curve in bounded memory: when it is full, neighbours are merged. Pure. */

export interface CurvePoint {
  readonly x: number;
  readonly y: number;
}

/** Keeps at most `capacity` points, each the mean of equally many values. */
export class Curve {
  readonly #capacity: number;
  #points: CurvePoint[] = [];
  /** Values that make one point. */
  #stride = 1;
  #pending: CurvePoint[] = [];

  constructor(capacity = 400) {
    this.#capacity = capacity;
  }

  /** The points so far, values that do not fill one yet included. */
  get points(): readonly CurvePoint[] {
    return this.#pending.length === 0 ? this.#points : [...this.#points, mean(this.#pending)];
  }

  push(x: number, y: number): void {
    this.#pending.push({ x, y });
    if (this.#pending.length < this.#stride) return;
    this.#points.push(mean(this.#pending));
    this.#pending = [];
    if (this.#points.length < this.#capacity) return;
    const merged: CurvePoint[] = [];
    for (let i = 0; i + 1 < this.#points.length; i += 2) merged.push(mean(this.#points.slice(i, i + 2)));
    this.#points = merged;
    this.#stride *= 2;
  }
}

function mean(points: readonly CurvePoint[]): CurvePoint {
  let x = 0;
  let y = 0;
  for (const point of points) {
    x += point.x;
    y += point.y;
  }
  return { x: x / points.length, y: y / points.length };
}
