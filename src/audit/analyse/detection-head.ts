/** @file Heads of detectors: which outputs are boxes and scores, and of which kind the head is. */
import type { AuditModel, AuditTensor } from '../read/model.js';
import type { BlockGraph } from './block-graph.js';

/** A head, what it predicts, and what speaks for it. */
export interface DetectionHead {
  readonly value: 'SSD' | 'YOLO' | 'RetinaFace';
  readonly evidence: readonly string[];
  /** Classes that it tells apart, background included where it has one; `undefined` where that is not known. */
  readonly classes: number | undefined;
}

interface Shaped {
  readonly output: AuditTensor;
  readonly dims: readonly (number | null)[];
}

/** Dims of an output without leading ones and open batches. */
function bare({ shape }: AuditTensor): readonly (number | null)[] | undefined {
  if (shape === null) return undefined;
  let start = 0;
  while (start < shape.length - 1 && (shape[start] === 1 || (start === 0 && shape[start] === null))) start++;
  return shape.slice(start);
}

const show = ({ name, shape }: AuditTensor): string =>
  `output '${name}' of [${shape?.map((dim) => dim ?? '?').join(', ') ?? ''}]`;

/** Finds the head of a detector; `undefined` where outputs and operators speak for none. */
export function detectionHead(model: AuditModel, graph: BlockGraph): DetectionHead | undefined {
  const detectors = model.layers.filter(({ family }) => family === 'detection');
  const yoloOp = detectors.find(({ op }) => /yolo/i.test(op));
  if (yoloOp) return { value: 'YOLO', evidence: [`the operator ${yoloOp.op}`], classes: undefined };
  if (graph.count('convolution') + graph.count('pointwise') + graph.count('depthwise') < 4) return undefined;
  const outputs = model.outputs.flatMap((output) => {
    const dims = bare(output);
    return dims === undefined ? [] : [{ output, dims }];
  });
  const boxes = outputs.find(({ dims }) => dims.length === 2 && dims[1] === 4 && (dims[0] === null || dims[0]! >= 8));
  const scores = outputs.filter(
    (each) => each !== boxes && each.dims.length === 2 && each.dims[0] === boxes?.dims[0] && each.dims[1] !== 10,
  );
  const landmarks = outputs.find(
    ({ dims }) => dims.length === 2 && dims[1] === 10 && boxes !== undefined && dims[0] === boxes.dims[0],
  );
  if (boxes && scores[0] && landmarks)
    return {
      value: 'RetinaFace',
      evidence: [show(boxes.output), `${show(landmarks.output)}: five points each`],
      classes: scores[0].dims[1] ?? undefined,
    };
  if (boxes && scores[0])
    return {
      value: 'SSD',
      evidence: [`${show(boxes.output)}: boxes`, `${show(scores[0].output)}: scores of the same anchors`],
      classes: scores[0].dims[1] ?? undefined,
    };
  // MediaPipe's detectors: a box and some points an anchor, one score.
  const single = outputs.find(({ dims }) => dims.length === 2 && dims[1] === 1 && (dims[0] ?? 0) >= 100);
  const pointed = outputs.find(
    ({ dims }) => single !== undefined && dims.length === 2 && dims[0] === single.dims[0] && (dims[1] ?? 1) % 2 === 0,
  );
  const width = pointed?.dims[1] ?? 0;
  if (single && pointed && width >= 4 && width <= 64)
    return {
      value: 'SSD',
      evidence: [
        `${show(pointed.output)}: a box${width > 4 ? ` and ${(width - 4) / 2} points` : ''} for each anchor`,
        `${show(single.output)}: one score each`,
      ],
      classes: 1,
    };
  const ssdOp = detectors.find(({ op }) => /detection|postprocess|priorbox/i.test(op));
  if (ssdOp) return { value: 'SSD', evidence: [`the operator ${ssdOp.op}`], classes: undefined };
  return (
    pyramidHead(outputs) ??
    yoloHead(outputs) ??
    (detectors[0] && { value: 'SSD', evidence: [`the operator ${detectors[0].op}`], classes: undefined })
  );
}

/** Grids of falling size, each with a map of boxes (a multiple of four values) and one of scores. */
function pyramidHead(outputs: readonly Shaped[]): DetectionHead | undefined {
  const maps = outputs.filter(({ output }) => output.shape?.length === 4);
  const byGrid = new Map<string, { readonly output: AuditTensor; readonly depth: number }[]>();
  for (const { output } of maps) {
    const [, a = 0, b = 0, c = 0] = output.shape!.map((dim) => dim ?? 0);
    // Grids are square: the dim that differs is the depth.
    const [grid, depth] = a === b ? [a, c] : b === c ? [b, a] : [0, 0];
    if (grid > 0) byGrid.set(`${grid}`, [...(byGrid.get(`${grid}`) ?? []), { output, depth }]);
  }
  const grids = [...byGrid].filter(
    ([, pair]) => pair.length === 2 && pair[0]!.depth !== pair[1]!.depth && pair.some(({ depth }) => depth % 4 === 0),
  );
  return grids.length >= 3
    ? {
        value: 'SSD',
        evidence: [
          `${grids.length} grids (${grids.map(([side]) => side).join(', ')}) with a map of boxes and one of scores each`,
        ],
        classes: undefined,
      }
    : undefined;
}

/** Three anchors of box, objectness and classes over two or three grids; or all anchors in one tensor. */
function yoloHead(outputs: readonly Shaped[]): DetectionHead | undefined {
  const grids = outputs.filter(({ dims }) => dims.length === 3);
  const depth = (dims: readonly (number | null)[]): number | undefined => {
    const [a, b, c] = dims;
    if (a === b && c !== null) return c;
    return b === c && a !== null ? a : undefined;
  };
  const depths = grids.map(({ dims }) => depth(dims));
  const [first] = depths;
  if (
    grids.length >= 2 &&
    grids.length <= 4 &&
    first !== undefined &&
    first > 15 &&
    depths.every((each) => each === first) &&
    first % 3 === 0
  )
    return {
      value: 'YOLO',
      evidence: [`${grids.length} grids of 3 × (5 + ${first / 3 - 5}) values, as ${show(grids[0]!.output)}`],
      classes: first / 3 - 5,
    };
  const whole = outputs.find(({ dims }) => dims.length === 2 && Math.max(dims[0] ?? 0, dims[1] ?? 0) >= 1000);
  if (whole === undefined || outputs.length > 2) return undefined;
  const [a, b] = [whole.dims[0] ?? 0, whole.dims[1] ?? 0];
  const [anchors, width] = a > b ? [a, b] : [b, a];
  // Anchors of strides 8, 16 and 32 over one image: 21 × cells of the coarsest grid, three times that with anchor boxes.
  const isPyramid = anchors % 21 === 0;
  return isPyramid && width >= 5 && width <= 300
    ? {
        value: 'YOLO',
        evidence: [`${show(whole.output)}: ${anchors} anchors over three grids`],
        classes: width - (anchors % 63 === 0 && anchors / 63 >= 100 ? 5 : 4),
      }
    : undefined;
}
