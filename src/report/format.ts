/** @file Numbers as people read them; number and unit are never parted by a line break. */

const NBSP = '\u00a0';

/** `91.4 %` of a share 0..1. */
export function percent(share: number, decimals = 1): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(decimals)}${NBSP}%` : '–';
}

/** A difference of shares in percentage points, signed: `−0.8 pp`. */
export function points(difference: number): string {
  if (!Number.isFinite(difference)) return '–';
  const value = (Math.abs(difference) * 100).toFixed(1);
  return `${Number(value) === 0 ? '±' : difference < 0 ? '−' : '+'}${value}${NBSP}pp`;
}

/** Three significant digits: `4.56 ms`, `0.123 ms`, `1,240 ms`. */
export function milliseconds(value: number): string {
  return Number.isFinite(value) ? `${significant(value)}${NBSP}ms` : '–';
}

/** Three significant digits, thousands separated. */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.floor(Math.log10(Math.abs(value)));
  const decimals = Math.max(0, digits - 1 - size);
  return value.toLocaleString('en-GB', {
    minimumFractionDigits: Math.min(decimals, 6),
    maximumFractionDigits: Math.min(decimals, 6),
  });
}

/** `40.8 M`, `1.2 G`, `312 k`. */
export function magnitude(value: number): string {
  const steps: readonly (readonly [number, string])[] = [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  const step = steps.find(([size]) => Math.abs(value) >= size);
  return step ? `${significant(value / step[0])}${NBSP}${step[1]}` : significant(value);
}

/** Whole number with thousands separated. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-GB');
}

/** `1.20 MiB`. */
export function binaryBytes(value: number): string {
  const steps: readonly (readonly [number, string])[] = [
    [2 ** 30, 'GiB'],
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB'],
  ];
  const step = steps.find(([size]) => value >= size);
  return step ? `${significant(value / step[0])} ${step[1]}` : `${value} B`;
}
