/** @file Parts that every view is made of: headings, waiting, errors and empty states that say what to do, tables, plots. */
import { xyPlot, type XYPlot } from 'cuttle/report';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ServerError } from './api.js';
import type { Loaded } from './use-load.js';

/** The heading of a view; it takes the focus, so that a screen reader tells where one is. */
export function Title({ children, lead }: { readonly children: ComponentChildren; readonly lead?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <header class="title">
      <h1 ref={heading} tabIndex={-1}>
        {children}
      </h1>
      {lead !== undefined && <p>{lead}</p>}
    </header>
  );
}

/** What went wrong and what to do next. */
export function Failure({ error }: { readonly error: Error }) {
  const hint = error instanceof ServerError ? error.hint : undefined;
  return (
    <div class="notice bad" role="alert">
      <p>
        <strong>{sentence(error.message)}</strong>
      </p>
      {hint !== undefined && <p>{hint}</p>}
    </div>
  );
}

/** Nothing is there yet. */
export function Empty({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <div class="notice">
      <p>
        <strong>{title}</strong>
      </p>
      {children}
    </div>
  );
}

/** What is loaded, or that it is not yet, or why not. */
export function Loading<T>({
  of,
  children,
}: {
  readonly of: Loaded<T>;
  readonly children: (value: T) => ComponentChildren;
}) {
  switch (of.state) {
    case 'loading':
      return (
        <p class="waiting" role="status">
          Loading …
        </p>
      );
    case 'failed':
      return <Failure error={of.error} />;
    case 'ready':
      return <>{children(of.value)}</>;
  }
}

/** A plot of `cuttle/report`, as wide as its place. Its text is made by us from numbers; labels are escaped there. */
export function Plot(plot: XYPlot) {
  const [holder, width] = useWidth();
  return <div class="plot-holder" ref={holder} dangerouslySetInnerHTML={{ __html: xyPlot(plot, width) }} />;
}

/** The width that the page gives an element, followed as it changes. */
export function useWidth(): readonly [{ readonly current: HTMLDivElement | null }, number] {
  const holder = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.floor(entry!.contentRect.width))));
    observer.observe(holder.current!);
    return () => observer.disconnect();
  }, []);
  return [holder, width];
}

export interface Column<Row> {
  readonly name: string;
  readonly number?: boolean;
  readonly value: (row: Row) => ComponentChildren;
}

/** A table that scrolls inside its own box on small screens. */
export function Table<Row>({
  caption,
  columns,
  rows,
  mark,
}: {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** Rows that stand out. */
  readonly mark?: (row: Row) => boolean;
}) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ name, number }) => (
              <th scope="col" class={number ? 'n' : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr class={mark?.(row) ? 'ours' : undefined}>
              {columns.map(({ value, number }) => (
                <td class={number ? 'n' : undefined}>{value(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Figures with their names. */
export function Tiles({
  items,
}: {
  readonly items: readonly (readonly [what: string, value: ComponentChildren, more?: string])[];
}) {
  return (
    <dl class="tiles">
      {items.map(([what, value, more]) => (
        <div class="tile">
          <dt>{what}</dt>
          <dd>
            <b>{value}</b>
            {more !== undefined && <small>{more}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** A choice among some values. */
export function Choice({
  label,
  value,
  options,
  onChange,
}: {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, shown: string])[];
  readonly onChange: (value: string) => void;
}) {
  return (
    <label class="field">
      <span>{label}</span>
      <select aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([own, shown]) => (
          <option value={own} selected={own === value}>
            {shown}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A slider with its value in words. */
export function Slider(props: {
  readonly label: string;
  readonly shown: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly onInput: (value: number) => void;
}) {
  const { label, shown, value, min, max, step, onInput } = props;
  return (
    <label class="field slider">
      <span>
        {label} <b>{shown}</b>
      </span>
      <input
        type="range"
        {...{ value, min, max, step }}
        aria-valuetext={shown}
        onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
      />
    </label>
  );
}

/** A message as a sentence of its own. */
export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}
