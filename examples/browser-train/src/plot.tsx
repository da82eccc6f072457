/** @file A small live plot over the steps of a training. */
import { linearScale, tickFormat } from 'cuttle/report';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { CurvePoint } from './curve.js';

export interface PlotSeries {
  readonly name: string;
  readonly style: 'line' | 'dots';
  readonly points: readonly CurvePoint[];
}

interface PlotProps {
  readonly title: string;
  readonly series: readonly PlotSeries[];
  /** Steps that the training will take: where the axis ends. */
  readonly end: number | undefined;
  /** Upper end of the y axis, where it is known. */
  readonly top?: number;
  readonly format: (value: number) => string;
}

const HEIGHT = 168;
const MARGIN = { left: 42, right: 16, top: 8, bottom: 22 };

export function Plot({ title, series, end, top, format }: PlotProps) {
  const [holder, width] = useWidth();
  const points = series.flatMap((one) => one.points);
  const right = width - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const x = linearScale([end ?? 100], [MARGIN.left, right], { from: 0, to: end ?? 100, count: width < 300 ? 3 : 5 });
  const y = linearScale(
    points.map((point) => point.y),
    [bottom, MARGIN.top],
    { from: 0, to: top, count: 4 },
  );
  const [formatX, formatY] = [tickFormat(x.ticks), tickFormat(y.ticks, top === 1 ? 'percent' : 'plain')];
  const latest = series.map(({ name, points: own }) => ({ name, y: own.at(-1)?.y }));
  const spoken = latest.map(({ name, y: value }) => `${name} ${value === undefined ? 'none yet' : format(value)}`);

  return (
    <figure class="plot" ref={holder}>
      <figcaption>
        <span class="title">{title}</span>
        {latest.map(({ name, y: value }, index) => (
          <span class={`key s${index}`}>
            {name} <b>{value === undefined ? '' : format(value)}</b>
          </span>
        ))}
      </figcaption>
      <svg width={width} height={HEIGHT} role="img" aria-label={`${title}: ${spoken.join(', ')}`}>
        {y.ticks.map((tick) => (
          <g>
            <line class="grid" x1={MARGIN.left} x2={right} y1={y.at(tick)} y2={y.at(tick)} />
            <text class="tick" x={MARGIN.left - 6} y={y.at(tick) + 4} text-anchor="end">
              {formatY(tick)}
            </text>
          </g>
        ))}
        {x.ticks.map((tick) => (
          <text class="tick" x={x.at(tick)} y={HEIGHT - 5} text-anchor="middle">
            {formatX(tick)}
          </text>
        ))}
        {series.map(({ style, points: own }, index) =>
          style === 'line' ? (
            <polyline
              class={`s${index}`}
              points={own.map((p) => `${x.at(p.x).toFixed(1)},${y.at(p.y).toFixed(1)}`).join(' ')}
            />
          ) : (
            own.map((p) => <circle class={`s${index}`} cx={x.at(p.x)} cy={y.at(p.y)} r={3.5} />)
          ),
        )}
      </svg>
    </figure>
  );
}

/** The width that the page gives an element, followed as it changes. */
function useWidth(): readonly [{ readonly current: HTMLElement | null }, number] {
  const holder = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(320);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(160, Math.floor(entry!.contentRect.width))));
    observer.observe(holder.current!);
    return () => observer.disconnect();
  }, []);
  return [holder, width];
}
