/** @file A report's data as `cuttle adapt` would give it, with made-up numbers. */
import { createRandom } from '../../src/platform/random.js';
import { pngDataUri, type AdaptReportData, type LayerBar } from '../../src/report/index.js';

const classes = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

/** A picture of coloured noise around a disc: something to look at. */
function picture(seed: number): string {
  const random = createRandom(seed);
  const [hue, x0, y0] = [random.next(), 8 + random.int(16), 8 + random.int(16)];
  const pixels = new Uint8Array(3072);
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < 32; y++)
      for (let x = 0; x < 32; x++) {
        const inside = (x - x0) ** 2 + (y - y0) ** 2 < 81;
        pixels[c * 1024 + y * 32 + x] = (inside ? 200 - 90 * c * hue : 60 + 40 * c) + random.int(40);
      }
  return pngDataUri({ channels: 3, height: 32, width: 32, pixels });
}

/** Sample data with everything in it. */
export function sampleReport(): AdaptReportData {
  const random = createRandom(5);
  const layers: LayerBar[] = [];
  for (let i = 0; i < 57; i++) {
    const stage = Math.floor(i / 19);
    layers.push({
      name: `stage${stage + 1}.block${i % 19}.conv`,
      op: 'Conv',
      ms: 0.11 + 0.02 * stage + 0.03 * random.next(),
      exit: [12, 24, 38].includes(i) ? `exit ${i}` : undefined,
    });
    layers.push({ name: `stage${stage + 1}.block${i % 19}.relu`, op: 'Relu', ms: 0.012 + 0.004 * random.next() });
    if (i % 2)
      layers.push({ name: `stage${stage + 1}.block${i % 19}.add`, op: 'Add', ms: 0.02 + 0.006 * random.next() });
  }
  layers.push(
    { name: 'pool', op: 'GlobalAveragePool', ms: 0.02 },
    { name: 'fc', op: 'Gemm', ms: 0.015 },
    { name: 'flatten', op: 'Reshape', ms: 0.004 },
  );
  const designs = [
    { budget: '25 %', latency: 2.05, accuracy: 0.791, exits: ['exit 6', 'exit 12'] },
    { budget: '50 %', latency: 4.1, accuracy: 0.848, exits: ['exit 12', 'exit 24', 'final'] },
    { budget: '75 %', latency: 5.6, accuracy: 0.866, exits: ['exit 24', 'final'] },
  ];
  const explored = Array.from({ length: 160 }, () => {
    const latency = 1.6 + 6.6 * random.next();
    return { latency, accuracy: 0.87 - 0.14 * Math.exp(-latency / 2.6) - 0.05 * random.next(), predicted: true };
  });
  const curve = (from: number, to: number): readonly (readonly [number, number])[] =>
    Array.from({ length: 30 }, (_, i) => [i + 1, to + (from - to) * Math.exp(-i / 6) + 0.01 * random.next()] as const);
  return {
    title: 'resnet56.onnx adapted to this device',
    date: '23 November 2026',
    command:
      'cuttle adapt resnet56.onnx --data cifar-10-images.tar.gz --budget 25% --budget 50% --budget 75% --out adapted',
    model: {
      name: 'resnet56.onnx',
      params: 855_770,
      macs: 125_747_840,
      accuracy: { calibration: 0.869, test: 0.8662 },
      latencyMs: 8.12,
    },
    device: [
      ['Processor', 'Example CPU, 2 cores, AVX-512'],
      ['Engine', 'ONNX Runtime 1.30.0, CPU, 1 thread'],
      ['System', 'Linux, Node 20.20'],
    ],
    dataset: { name: 'cifar-10-images', train: 45_000, calibration: 5_000, test: 10_000, classes: 10 },
    constraint: 'average',
    budgets: [
      { label: '25 %', latencyMs: 2.03 },
      { label: '50 %', latencyMs: 4.06 },
      { label: '75 %', latencyMs: 6.09 },
      { label: '100 %', latencyMs: 8.12 },
    ],
    front: [
      {
        name: 'Cuttle',
        kind: 'designs',
        points: designs.map(({ budget, latency, accuracy }) => ({ latency, accuracy, label: budget })),
      },
      {
        name: 'Cuttle, predicted',
        kind: 'designs',
        points: designs.map(({ latency, accuracy }) => ({
          latency: latency * 0.95,
          accuracy: accuracy + 0.004,
          predicted: true,
        })),
      },
      {
        name: 'SDN, 6 exits',
        kind: 'baseline',
        points: [2.4, 3.4, 4.9, 6.3].map((latency, i) => ({ latency, accuracy: [0.772, 0.815, 0.848, 0.862][i]! })),
      },
      {
        name: 'BranchyNet, 2 exits',
        kind: 'baseline',
        points: [2.9, 4.2, 5.8].map((latency, i) => ({ latency, accuracy: [0.761, 0.822, 0.858][i]! })),
      },
      { name: 'backbone', kind: 'backbone', points: [{ latency: 8.12, accuracy: 0.8662, label: 'backbone' }] },
      { name: 'looked at by the search', kind: 'explored', points: explored },
    ],
    designs: designs.map(({ budget, latency, accuracy, exits }, i) => ({
      budget,
      exits,
      policy: `confidence ≥ ${[0.62, 0.83, 0.91][i]}`,
      accuracy: { calibration: accuracy + 0.004, test: accuracy },
      latency: { predicted: latency * 0.95, measured: latency },
      feasible: i > 0,
    })),
    baselines: designs.flatMap(({ budget, latency, accuracy }) => [
      {
        name: 'SDN, 6 exits',
        budget,
        accuracy: { calibration: accuracy - 0.018, test: accuracy - 0.021 },
        latency: { predicted: latency * 0.97, measured: latency * 0.99 },
      },
      {
        name: 'BranchyNet, 2 exits',
        budget,
        accuracy: { calibration: accuracy - 0.03, test: accuracy - 0.028 },
        latency: { predicted: latency },
      },
    ]),
    exitHistograms: [
      {
        design: '25 %',
        exits: [
          { name: 'exit 6', share: 0.63, accuracy: 0.89 },
          { name: 'exit 12', share: 0.37, accuracy: 0.62 },
        ],
      },
      {
        design: '50 %',
        exits: [
          { name: 'exit 12', share: 0.52, accuracy: 0.953 },
          { name: 'exit 24', share: 0.27, accuracy: 0.86 },
          { name: 'final', share: 0.21, accuracy: 0.57 },
        ],
      },
    ],
    layers,
    examplesByExit: ['exit 12', 'exit 24', 'final'].map((exit, e) => ({
      exit,
      images: Array.from({ length: 9 }, (_, i) => ({
        src: picture(100 * e + i),
        label: classes[(i + e) % 10]!,
        predicted: classes[i % 5 === e ? (i + e + 3) % 10 : (i + e) % 10]!,
        confidence: 0.98 - 0.12 * e - 0.02 * i,
      })),
    })),
    training: [
      {
        title: 'Loss of the exits',
        xLabel: 'epoch',
        yLabel: 'loss',
        series: [6, 12, 24].map((exit) => ({ name: `exit ${exit}`, points: curve(2, 0.4 + 2 / exit) })),
      },
      {
        title: 'Accuracy of the exits',
        xLabel: 'epoch',
        yLabel: 'accuracy',
        shares: true,
        series: [6, 12, 24].map((exit) => ({ name: `exit ${exit}`, points: curve(0.3, 0.9 - 1.2 / exit) })),
      },
    ],
    artefacts: [
      { file: 'progressive.onnx', what: 'backbone and every trained exit' },
      { file: 'baked-50pc.onnx', what: 'the design for 50 % as one plain ONNX file' },
      { file: 'design-50pc.json', what: 'its exits, policy, predictions and measurements' },
    ],
    notes: [
      "normalisation 'cifar-10' assumed: the model carries no metadata",
      '3 of 60,000 images could not be read <and> were left out',
    ],
  };
}
