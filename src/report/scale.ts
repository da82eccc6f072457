/** @file Axes: from data to pixels, and where the ticks stand. */

export interface Scale {
  readonly kind: 'linear' | 'log';
  readonly domain: readonly [number, number];
  /** The pixel of a value. */
  at(value: number): number;
  readonly ticks: readonly number[];
}

/** A linear scale over rounded bounds, with about `count` ticks at 1, 2 or 5 times a power of ten. */
export function linearScale(
  values: readonly number[],
  range: readonly [number, number],
  options: { readonly count?: number; readonly from?: number; readonly to?: number } = {},
): Scale {
  const { count = 6 } = options;
  let low = options.from ?? minimum(values, 0);
  let high = options.to ?? maximum(values, 1);
  if (high - low <= Math.max(1e-12, 1e-9 * Math.max(Math.abs(low), Math.abs(high)))) {
    // One value only: show it in the middle of a span of its own size.
    const middle = (low + high) / 2;
    const half = Math.abs(middle) > 1e-9 ? Math.abs(middle) / 2 : 0.5;
    low = options.from ?? middle - half;
    high = options.to ?? middle + half;
  }
  const step = niceStep((high - low) / count);
  const first = options.from ?? Math.floor(low / step + 1e-9) * step;
  const last = options.to ?? Math.ceil(high / step - 1e-9) * step;
  const ticks: number[] = [];
  for (let i = Math.ceil(first / step - 1e-9); i * step <= last + step * 1e-9; i++) ticks.push(tidy(i * step));
  return {
    kind: 'linear',
    domain: [first, last],
    ticks,
    at: (value) => range[0] + ((value - first) / (last - first)) * (range[1] - range[0]),
  };
}

/** A logarithmic scale; ticks at 1, 2, 5 times powers of ten. Values must be positive. */
export function logScale(values: readonly number[], range: readonly [number, number]): Scale {
  const positive = values.filter((value) => value > 0);
  const low = minimum(positive, 1) / 1.08;
  const high = maximum(positive, 10) * 1.08;
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const factor of [1, 2, 5]) {
      const tick = tidy(factor * 10 ** power);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  const span = Math.log(high / low);
  return {
    kind: 'log',
    domain: [low, high],
    ticks,
    at: (value) => range[0] + (Math.log(Math.max(value, low) / low) / span) * (range[1] - range[0]),
  };
}

/** The one of 1, 2, 5 × 10ⁿ that is nearest to a rough step, as ratios go. */
export function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = rough / power;
  return (factor < 1.4 ? 1 : factor < 3.2 ? 2 : factor < 7.1 ? 5 : 10) * power;
}

function minimum(values: readonly number[], fallback: number): number {
  const least = values.reduce((min, value) => (value < min ? value : min), Infinity);
  return Number.isFinite(least) ? least : fallback;
}

function maximum(values: readonly number[], fallback: number): number {
  const most = values.reduce((max, value) => (value > max ? value : max), -Infinity);
  return Number.isFinite(most) ? most : fallback;
}

const tidy = (value: number): number => Number(value.toPrecision(12));

/** Writes all ticks of an axis with the same number of decimals, as few as tell them exactly; logarithmic ticks as they are. */
export function tickFormat(ticks: readonly number[], unit: 'plain' | 'percent' = 'plain'): (value: number) => string {
  const factor = unit === 'percent' ? 100 : 1;
  const even = ticks.length < 3 || Math.abs(ticks[2]! - 2 * ticks[1]! + ticks[0]!) < 1e-9 * Math.abs(ticks[1]!) + 1e-12;
  const decimalsOf = (value: number): number => {
    let decimals = 0;
    while (decimals < 6 && Math.abs(Number((value * factor).toFixed(decimals)) - value * factor) > 1e-9) decimals++;
    return decimals;
  };
  const common = Math.max(0, ...ticks.map(decimalsOf));
  return (value) =>
    `${(value * factor).toLocaleString('en-GB', { minimumFractionDigits: even ? common : 0, maximumFractionDigits: common })}${unit === 'percent' ? '\u00a0%' : ''}`;
}
