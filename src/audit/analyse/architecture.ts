/** @file Which family of architectures a model belongs to, by its block patterns, counted. Names alone claim nothing. */
import type { AuditModel } from '../read/model.js';
import type { Judgement } from './analysis.js';
import { blockGraph, type BlockGraph, type Step } from './block-graph.js';
import { detectionHead } from './detection-head.js';

/** How often each pattern occurs. */
export interface BlockCounts {
  /** Depthwise, then pointwise, with no pointwise expansion in front. */
  readonly separable: number;
  /** Pointwise expansion, depthwise, pointwise projection. */
  readonly inverted: number;
  /** Sums that pass a block by: over one pair of full convolutions, over a bottleneck, over a depthwise block. */
  readonly residualBasic: number;
  readonly residualBottleneck: number;
  readonly residualDepthwise: number;
  /** A pointwise squeeze whose result goes into a pointwise and a 3×3 kernel that are joined. */
  readonly fire: number;
  /** Joins of three branches or more that begin at one value. */
  readonly inception: number;
  /** Joins of a value with what was computed from it. */
  readonly dense: number;
  /** Channel gates: pooled, squeezed, multiplied. */
  readonly squeezeExcite: number;
  /** Joins of an enlarged value with an earlier one of the same size. */
  readonly skipUp: number;
  /** Softmax between two matrix products. */
  readonly attention: number;
  readonly shuffle: number;
  /** 3×3 kernels one after another. */
  readonly plain3x3: number;
  readonly wideDepthwise: number;
}

interface Facts {
  readonly graph: BlockGraph;
  readonly counts: BlockCounts;
  readonly model: AuditModel;
  readonly operators: ReadonlySet<string>;
}

interface Rule {
  readonly name: string | ((facts: Facts) => string);
  /** What was counted, as evidence; `undefined` where the rule does not fit. */
  readonly fits: (facts: Facts) => readonly string[] | undefined;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
const has = (operators: ReadonlySet<string>, pattern: RegExp): boolean => [...operators].some((op) => pattern.test(op));

/** First that fits wins: the special stands before the general. */
const rules: readonly Rule[] = [
  {
    name: ({ counts, graph }) =>
      graph.count('embedding') > 0 && counts.attention + graph.count('attention') > 0 ? 'BERT-like' : 'Transformer',
    fits: ({ counts, graph }) => {
      const blocks = counts.attention + graph.count('attention');
      return blocks > 0 && graph.count('dense') + graph.count('matmul') >= 4
        ? [counted(blocks, 'attention block')]
        : undefined;
    },
  },
  {
    name: ({ operators, graph }) => {
      const kind = has(operators, /svdf/)
        ? 'SVDF'
        : has(operators, /gru/)
          ? 'GRU'
          : has(operators, /lstm/)
            ? 'LSTM'
            : 'RNN';
      return graph.count('convolution') + graph.count('depthwise') >= 2 ? `CRNN (${kind})` : kind;
    },
    fits: ({ graph }) =>
      graph.count('recurrent') > 0 ? [counted(graph.count('recurrent'), 'recurrent layer')] : undefined,
  },
  {
    name: 'U-Net',
    fits: ({ counts, graph }) =>
      counts.skipUp >= 3 && counts.skipUp * 2 >= graph.count('resize') + graph.count('transposed')
        ? [counted(counts.skipUp, 'join') + ' of an enlarged value with an earlier one of its size']
        : undefined,
  },
  {
    name: 'EfficientNet',
    fits: ({ counts, operators }) =>
      counts.inverted >= 7 &&
      counts.wideDepthwise >= 4 &&
      counts.squeezeExcite >= 7 &&
      !has(operators, /hardswish|hswish|hardsigmoid/)
        ? [
            counted(counts.inverted, 'inverted residual'),
            counted(counts.squeezeExcite, 'channel gate'),
            '5×5 depthwise kernels',
          ]
        : undefined,
  },
  {
    name: 'MobileNetV3',
    fits: ({ counts, operators }) =>
      counts.inverted >= 5 && (has(operators, /hardswish|hswish|hardsigmoid/) || counts.squeezeExcite >= 3)
        ? [
            counted(counts.inverted, 'inverted residual'),
            ...(counts.squeezeExcite > 0 ? [counted(counts.squeezeExcite, 'channel gate')] : []),
            ...(has(operators, /hardswish|hswish|hardsigmoid/) ? ['hard swish'] : []),
          ]
        : undefined,
  },
  {
    name: 'EfficientNet-Lite',
    fits: ({ counts }) =>
      counts.inverted >= 7 && counts.wideDepthwise >= 5 && counts.residualDepthwise >= 4
        ? [counted(counts.inverted, 'inverted residual'), `${counts.wideDepthwise} of them 5×5`]
        : undefined,
  },
  {
    name: 'ShuffleNet',
    fits: ({ counts }) => (counts.shuffle >= 3 ? [counted(counts.shuffle, 'channel shuffle')] : undefined),
  },
  {
    name: 'MobileNetV2',
    fits: ({ counts }) =>
      counts.inverted >= 5 && counts.inverted >= counts.separable
        ? [counted(counts.inverted, 'inverted residual'), `${counts.residualDepthwise} with a sum around them`]
        : undefined,
  },
  {
    name: 'BlazeFace-like',
    fits: ({ counts }) =>
      counts.residualDepthwise >= 5 && counts.separable >= 5
        ? [counted(counts.residualDepthwise, 'sum') + ' around depthwise-separable blocks']
        : undefined,
  },
  {
    name: 'DS-CNN',
    fits: ({ counts, graph, model }) => {
      const depthwise = graph.steps.filter(({ kind }) => kind === 'depthwise');
      const widths = new Set(depthwise.map(({ outputs }) => outputs));
      const stem = graph.steps.find(({ kind }) => kind === 'convolution');
      const isFlat = stem !== undefined && stem.window[0] !== stem.window[1] && stem.inputs === 1;
      return counts.separable >= 2 && counts.separable <= 8 && widths.size === 1 && isFlat && model.inputs.length === 1
        ? [
            counted(counts.separable, 'separable block'),
            'one width throughout',
            `a first kernel of ${stem.window.join('×')} over one channel`,
          ]
        : undefined;
    },
  },
  {
    name: 'MobileNetV1',
    fits: ({ counts, graph }) =>
      counts.separable >= 6 && counts.separable > 2 * counts.inverted && graph.count('add') <= counts.separable / 2
        ? [counted(counts.separable, 'depthwise-separable block')]
        : undefined,
  },
  {
    name: 'SqueezeNet',
    fits: ({ counts }) => (counts.fire >= 4 ? [counted(counts.fire, 'fire module')] : undefined),
  },
  {
    name: ({ counts }) => (counts.residualBasic + counts.residualBottleneck >= 3 ? 'Inception-ResNet' : 'Inception'),
    fits: ({ counts }) =>
      counts.inception >= 4 ? [counted(counts.inception, 'join') + ' of parallel branches'] : undefined,
  },
  {
    name: 'DenseNet',
    fits: ({ counts }) =>
      counts.dense >= 8 ? [counted(counts.dense, 'join') + ' of a value with what was computed from it'] : undefined,
  },
  {
    name: 'ResNet',
    fits: ({ counts, graph }) => {
      const blocks = counts.residualBasic + counts.residualBottleneck;
      return blocks >= 3 && blocks * 2 >= graph.count('add') && graph.count('depthwise') === 0
        ? [
            ...(counts.residualBasic > 0 ? [counted(counts.residualBasic, 'basic residual block')] : []),
            ...(counts.residualBottleneck > 0 ? [counted(counts.residualBottleneck, 'bottleneck')] : []),
          ]
        : undefined;
    },
  },
  {
    name: 'Darknet',
    fits: ({ counts, graph, operators }) =>
      graph.count('convolution') >= 6 && has(operators, /leaky/) && counts.residualBasic + graph.count('pool') >= 4
        ? [counted(graph.count('convolution'), 'convolution'), 'leaky ReLU']
        : undefined,
  },
  {
    name: 'VGG',
    fits: ({ counts, graph }) =>
      counts.plain3x3 >= 6 &&
      graph.count('pool') >= 3 &&
      graph.count('dense') + graph.count('matmul') >= 1 &&
      graph.count('add') + graph.count('concat') + graph.count('depthwise') === 0
        ? [counted(counts.plain3x3, '3×3 kernel') + ' in a row', counted(graph.count('pool'), 'pool')]
        : undefined,
  },
  {
    name: 'autoencoder',
    fits: ({ graph }) => {
      const widths = graph.steps.flatMap(({ kind, outputs }) =>
        kind === 'dense' || kind === 'matmul' ? [outputs] : [],
      );
      const narrow = Math.min(...widths);
      const rest = graph.steps.length - widths.length;
      return widths.length >= 3 && rest === 0 && narrow * 2 <= widths[0]! && narrow * 2 <= widths.at(-1)!
        ? [`dense layers of ${widths.join(', ')}`]
        : undefined;
    },
  },
  {
    name: 'encoder–decoder CNN',
    fits: ({ counts, graph }) => {
      const ups = graph.count('resize') + graph.count('transposed');
      return ups >= 2 && graph.count('convolution') + graph.count('pointwise') >= 4 && counts.skipUp < 3
        ? [counted(ups, 'enlargement')]
        : undefined;
    },
  },
  {
    name: 'separable CNN',
    fits: ({ counts }) =>
      counts.separable + counts.inverted >= 2
        ? [counted(counts.separable + counts.inverted, 'depthwise-separable block')]
        : undefined,
  },
  {
    name: 'CNN',
    fits: ({ graph }) => {
      const kernels = graph.count('convolution') + graph.count('pointwise') + graph.count('depthwise');
      return kernels > 0 ? [counted(kernels, 'convolution')] : undefined;
    },
  },
  {
    name: 'MLP',
    fits: ({ graph }) => {
      const kernels = graph.count('dense') + graph.count('matmul');
      return kernels > 0 && kernels * 2 >= graph.steps.length ? [counted(kernels, 'dense layer')] : undefined;
    },
  },
];

/** The architecture of a model; `null` where nothing speaks for one. A head for detection is named behind its backbone. */
export function architectureOf(model: AuditModel): Judgement<string> | null {
  const graph = blockGraph(model);
  const facts: Facts = {
    graph,
    counts: blockCounts(graph),
    model,
    operators: new Set(
      model.layers.flatMap(({ op, activation = '' }) =>
        [op, activation].map((each) => each.toLowerCase().replace(/[^a-z0-9]/g, '')),
      ),
    ),
  };
  const head = detectionHead(model, graph);
  for (const { name, fits } of rules) {
    const evidence = fits(facts);
    if (evidence === undefined) continue;
    const backbone = typeof name === 'string' ? name : name(facts);
    return {
      value: head ? `${backbone} + ${head.value}` : backbone,
      confidence: 'derived',
      evidence: [...evidence, ...(head?.evidence ?? [])],
    };
  }
  return null;
}

/** Counts the patterns of a graph. */
export function blockCounts(graph: BlockGraph): BlockCounts {
  const { steps } = graph;
  const counts = {
    separable: 0,
    inverted: 0,
    residualBasic: 0,
    residualBottleneck: 0,
    residualDepthwise: 0,
    fire: 0,
    inception: 0,
    dense: 0,
    squeezeExcite: 0,
    skipUp: 0,
    attention: 0,
    shuffle: graph.count('shuffle'),
    plain3x3: 0,
    wideDepthwise: 0,
  };
  for (const step of steps) {
    const [source] = step.from;
    switch (step.kind) {
      case 'depthwise':
        if (step.window[0] >= 5 && step.window[1] >= 5) counts.wideDepthwise++;
        break;
      case 'pointwise': {
        // A channel gate may stand between the depthwise kernel and the projection.
        const before = source?.kind === 'gate' ? source.from.find(({ kind }) => kind === 'depthwise') : source;
        if (before?.kind !== 'depthwise') break;
        const expansion = before.from[0];
        if (expansion?.kind === 'pointwise' && expansion.outputs > expansion.inputs && step.outputs < expansion.outputs)
          counts.inverted++;
        else counts.separable++;
        break;
      }
      case 'convolution':
        if (is3x3(step) && (source === undefined || source.kind === 'convolution' || source.kind === 'pool'))
          counts.plain3x3++;
        break;
      case 'add': {
        const block = residual(step);
        if (block === 'basic') counts.residualBasic++;
        else if (block === 'bottleneck') counts.residualBottleneck++;
        else if (block === 'depthwise') counts.residualDepthwise++;
        break;
      }
      case 'gate':
        if (step.from.some((each) => passes(each, (s) => s.kind === 'global-pool', 4))) counts.squeezeExcite++;
        break;
      case 'concat': {
        const origins = step.from.map((each) => each.from[0]);
        const kinds = step.from.map(({ kind }) => kind);
        if (
          step.from.length === 2 &&
          origins[0] !== undefined &&
          origins[0] === origins[1] &&
          origins[0].kind === 'pointwise' &&
          kinds.includes('pointwise') &&
          step.from.some(is3x3)
        )
          counts.fire++;
        else if (step.from.length >= 3 && commonOrigin(step.from)) counts.inception++;
        if (step.from.some((each) => step.from.some((other) => other !== each && reaches(each, other, 5))))
          counts.dense++;
        if (step.from.some((each) => each.kind === 'resize' || each.kind === 'transposed') && step.from.length >= 2)
          counts.skipUp++;
        break;
      }
      case 'softmax': {
        const isBefore =
          source?.kind === 'matmul' || (source?.kind === 'add' && source.from.some(({ kind }) => kind === 'matmul'));
        const isAfter = (graph.readers.get(step) ?? []).some(({ kind, from }) => kind === 'matmul' && from.length >= 2);
        if (isBefore && isAfter) counts.attention++;
        break;
      }
      default:
    }
  }
  return counts;
}

const is3x3 = ({ kind, window }: Step): boolean => kind === 'convolution' && window[0] === 3 && window[1] === 3;

/** What a sum passes by: walked back from its branches to the step where they meet. */
function residual(sum: Step): 'basic' | 'bottleneck' | 'depthwise' | undefined {
  for (const branch of sum.from) {
    const chain: Step[] = [];
    let at: Step | undefined = branch;
    const others = sum.from.filter((each) => each !== branch);
    while (at !== undefined && chain.length < 6) {
      const here: Step = at;
      // The other branch ends here, or comes from here through one kernel that changes its width.
      if (chain.length > 0 && others.some((other) => other === here || other.from.includes(here))) break;
      chain.push(here);
      at = here.from[0];
    }
    const kinds = chain.map(({ kind }) => kind).filter((kind) => kind !== 'gate');
    if (kinds.includes('depthwise')) return 'depthwise';
    const kernels = chain.filter(({ kind }) => kind === 'convolution' || kind === 'pointwise');
    if (kernels.length === 3 && kernels[0]!.kind === 'pointwise' && kernels[2]!.kind === 'pointwise')
      return 'bottleneck';
    if (kernels.length === 2 && kernels.every(is3x3)) return 'basic';
  }
  return undefined;
}

/** Whether a condition holds for a step or one that leads to it within a few steps. */
function passes(step: Step, holds: (step: Step) => boolean, most: number): boolean {
  return holds(step) || (most > 0 && step.from.some((each) => passes(each, holds, most - 1)));
}

const reaches = (from: Step, to: Step, most: number): boolean =>
  from.from.some((each) => passes(each, (s) => s === to, most));

/** Whether branches begin at one step. */
function commonOrigin(branches: readonly Step[]): boolean {
  const origins = branches.map((branch) => {
    const seen = new Set<Step>();
    let at: Step | undefined = branch;
    for (let i = 0; i < 6 && at !== undefined; i++) {
      seen.add(at);
      at = at.from[0];
    }
    return seen;
  });
  return [...origins[0]!].some((step) => origins.every((set) => set.has(step)));
}
