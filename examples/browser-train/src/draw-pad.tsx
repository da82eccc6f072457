/** @file A surface to draw a digit on: with a pointer, or with the keyboard. */
import type { RefObject } from 'preact';
import { useEffect, useImperativeHandle, useRef, useState } from 'preact/hooks';
import { digitFromInk } from './ink.js';

const SIZE = 280;
const BRUSH = 20;
/** How far an arrow key moves the pen. */
const STRIDE = 10;

export interface DrawPadHandle {
  clear(): void;
}

interface DrawPadProps {
  readonly handle: RefObject<DrawPadHandle | null>;
  /** Called with the drawing as a 28×28 digit, or `undefined` when it is blank. */
  readonly onDigit: (digit: Uint8Array | undefined) => void;
  /** Called when a digit key says what the drawing is. */
  readonly onLabel: (label: number) => void;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

const ARROWS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -STRIDE, y: 0 },
  ArrowRight: { x: STRIDE, y: 0 },
  ArrowUp: { x: 0, y: -STRIDE },
  ArrowDown: { x: 0, y: STRIDE },
};

export function DrawPad({ handle, onDigit, onLabel }: DrawPadProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const last = useRef<Point | undefined>(undefined);
  const [pen, setPen] = useState<Point & { readonly down: boolean }>();

  const context = (): CanvasRenderingContext2D => canvas.current!.getContext('2d', { willReadFrequently: true })!;
  const tell = (): void => {
    const { data } = context().getImageData(0, 0, SIZE, SIZE);
    const ink = Uint8Array.from({ length: SIZE * SIZE }, (_, i) => data[4 * i + 3]!);
    onDigit(digitFromInk({ data: ink, width: SIZE, height: SIZE }));
  };
  const clear = (): void => {
    context().clearRect(0, 0, SIZE, SIZE);
    onDigit(undefined);
  };
  const stroke = (from: Point, to: Point): void => {
    const drawn = context();
    drawn.lineWidth = BRUSH;
    drawn.lineCap = 'round';
    drawn.beginPath();
    drawn.moveTo(from.x, from.y);
    drawn.lineTo(to.x, to.y);
    drawn.stroke();
    tell();
  };
  useImperativeHandle(handle, () => ({ clear }));

  /** Where a pointer is, in the canvas's own pixels. */
  const place = (event: PointerEvent): Point => {
    const box = canvas.current!.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * SIZE) / box.width,
      y: ((event.clientY - box.top) * SIZE) / box.height,
    };
  };
  const press = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    canvas.current!.setPointerCapture(event.pointerId);
    setPen(undefined);
    last.current = place(event);
    stroke(last.current, last.current);
  };
  const move = (event: PointerEvent): void => {
    if (!last.current) return;
    // A fast pointer reports several places at once.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const part of events.length > 0 ? events : [event]) {
      const next = place(part);
      stroke(last.current, next);
      last.current = next;
    }
  };
  const lift = (): void => {
    last.current = undefined;
  };

  const key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = pen ?? { x: SIZE / 2, y: SIZE / 2, down: false };
    const arrow = ARROWS[event.key];
    if (arrow) {
      const inside = (value: number): number => Math.min(SIZE - BRUSH, Math.max(BRUSH, value));
      const next = { x: inside(at.x + arrow.x), y: inside(at.y + arrow.y), down: at.down };
      if (at.down) stroke(at, next);
      setPen(next);
    } else if (event.key === ' ') {
      if (!at.down) stroke(at, at);
      setPen({ ...at, down: !at.down });
    } else if (event.key === 'Escape' || event.key === 'Delete') {
      clear();
      setPen({ ...at, down: false });
    } else if (/^[0-9]$/.test(event.key)) {
      onLabel(Number(event.key));
      setPen({ ...at, down: false });
    } else return;
    event.preventDefault();
  };

  // Touches draw and do not scroll, which only a listener that is not passive can ask for in every browser.
  useEffect(() => {
    const surface = canvas.current!;
    const hold = (event: TouchEvent): void => event.preventDefault();
    surface.addEventListener('touchstart', hold, { passive: false });
    return () => surface.removeEventListener('touchstart', hold);
  }, []);

  return (
    <div class="surface">
      <canvas
        ref={canvas}
        class="ink"
        width={SIZE}
        height={SIZE}
        tabIndex={0}
        role="application"
        aria-label="Drawing surface"
        aria-describedby="pad-help"
        onPointerDown={press}
        onPointerMove={move}
        onPointerUp={lift}
        onPointerCancel={lift}
        onKeyDown={key}
        onBlur={() => setPen(undefined)}
      />
      {pen && (
        <span
          class={pen.down ? 'pen down' : 'pen'}
          style={{ left: `${(pen.x / SIZE) * 100}%`, top: `${(pen.y / SIZE) * 100}%` }}
        />
      )}
    </div>
  );
}
