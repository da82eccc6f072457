/** @file A model's graph as SVG: a bar in each operator for its share, exits and a cut drawn in; arrows walk it. */
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { CutView, ModelView } from '../../src/studio/messages.js';
import { layoutGraph, NODE_HEIGHT, NODE_WIDTH } from './graph-layout.js';
import { HEATS, type HeatName } from './heat.js';

interface GraphProps {
  readonly model: ModelView;
  readonly heat: HeatName;
  readonly cut: CutView | undefined;
  readonly found: ReadonlySet<number>;
  readonly selected: number | undefined;
  readonly zoom: number;
  readonly onSelect: (node: number) => void;
}

export function Graph({ model, heat, cut, found, selected, zoom, onSelect }: GraphProps) {
  const { nodes, exits } = model;
  const graph = useMemo(() => layoutGraph(nodes.map(({ from }) => from)), [model]);
  const consumers = useMemo(() => {
    const lists: number[][] = nodes.map(() => []);
    nodes.forEach(({ from }, i) => from.forEach((source) => lists[source]!.push(i)));
    return lists;
  }, [model]);
  const { value, format } = HEATS[heat];
  const most = Math.max(0, ...nodes.map(value));
  const device = useMemo(() => (cut === undefined ? undefined : new Set(cut.device)), [cut]);
  const answers = new Map(exits.map(({ answer, exit }) => [answer, exit]));
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (selected === undefined || box.current === null) return;
    const { clientHeight, clientWidth, scrollTop, scrollLeft } = box.current;
    const [x, y] = [graph.x[selected]! * zoom, graph.y[selected]! * zoom];
    const seen =
      y > scrollTop + 20 &&
      y < scrollTop + clientHeight - 20 &&
      x > scrollLeft + 20 &&
      x < scrollLeft + clientWidth - 20;
    if (!seen) box.current.scrollTo({ top: y - clientHeight / 2, left: x - clientWidth / 2 });
  }, [selected, graph, zoom]);

  // A wide graph begins where its input is.
  useEffect(() => {
    box.current?.scrollTo({ left: (graph.x[0] ?? 0) * zoom - box.current.clientWidth / 2 });
  }, [graph, zoom]);

  const walk = (event: KeyboardEvent): void => {
    const at = selected ?? 0;
    const beside = (step: number): number | undefined => {
      const level = nodes.map((_, i) => i).filter((i) => graph.layer[i] === graph.layer[at]);
      level.sort((a, b) => graph.x[a]! - graph.x[b]!);
      return level[level.indexOf(at) + step];
    };
    const moves: Readonly<Record<string, () => number | undefined>> = {
      ArrowUp: () => nodes[at]?.from[0],
      ArrowDown: () => consumers[at]?.[0],
      ArrowLeft: () => beside(-1),
      ArrowRight: () => beside(1),
      Home: () => 0,
      End: () => nodes.length - 1,
    };
    const next = moves[event.key]?.();
    if (moves[event.key] !== undefined) event.preventDefault();
    if (next !== undefined) onSelect(next);
  };

  return (
    <div
      class="graph"
      ref={box}
      tabIndex={0}
      role="application"
      aria-label={`Graph of ${nodes.length} operators. Arrow keys walk it.`}
      aria-activedescendant={selected === undefined ? undefined : `node-${selected}`}
      onKeyDown={walk}
    >
      <svg width={graph.width * zoom} height={graph.height * zoom} viewBox={`0 0 ${graph.width} ${graph.height}`}>
        <clipPath id="in-node">
          <rect width={NODE_WIDTH - 4} height={NODE_HEIGHT} />
        </clipPath>
        {graph.edges.map(({ from, to, points }) => {
          const crosses = device !== undefined && device.has(from) && !device.has(to);
          const near = selected === from || selected === to;
          return <path class={`edge${crosses ? ' crosses' : ''}${near ? ' near' : ''}`} d={curve(points)} />;
        })}
        {nodes.map((node, i) => {
          const share = most > 0 ? value(node) / most : 0;
          const exit = answers.get(i);
          const classes = [
            'node',
            node.exit !== undefined && 'head',
            i === selected && 'selected',
            found.has(i) && 'found',
            device !== undefined && (device.has(i) ? 'on-device' : node.exit === undefined && 'on-server'),
          ];
          return (
            <g
              id={`node-${i}`}
              class={classes.filter(Boolean).join(' ')}
              transform={`translate(${graph.x[i]! - NODE_WIDTH / 2} ${graph.y[i]! - NODE_HEIGHT / 2})`}
              onClick={() => onSelect(i)}
            >
              <title>{`${node.op} ${node.name}: ${format(value(node))}`}</title>
              <rect class="box" width={NODE_WIDTH} height={NODE_HEIGHT} rx={5} />
              <rect class="bar" width={NODE_WIDTH * share} height={NODE_HEIGHT} rx={5} />
              <text x={8} y={17} clip-path="url(#in-node)">
                {fitted(node.op, node.name)}
              </text>
              {exit !== undefined && (
                <g class="badge" transform={`translate(${NODE_WIDTH - 6} -9)`}>
                  <rect x={-46} width={48} height={17} rx={8.5} />
                  <text x={-22} y={12.5} text-anchor="middle">
                    exit {exit}
                  </text>
                </g>
              )}
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** Operator and as much of the name as there is room for. */
function fitted(operator: string, name: string): string {
  const op = operator.replace('Normalization', 'Norm');
  const room = 22 - op.length;
  return room < 5 ? op.slice(0, 21) : `${op} ${name.length > room ? `…${name.slice(1 - room)}` : name}`;
}

/** A smooth line through points that go down. */
function curve(points: readonly (readonly [number, number])[]): string {
  let path = `M${points[0]!.map((v) => v.toFixed(1)).join(' ')}`;
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1]!, points[i]!];
    const middle = ((y0 + y1) / 2).toFixed(1);
    path += `C${x0.toFixed(1)} ${middle} ${x1.toFixed(1)} ${middle} ${x1.toFixed(1)} ${y1.toFixed(1)}`;
  }
  return path;
}
