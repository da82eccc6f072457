/** @file Starts, asks, cancels and releases trainings, one after another, in one worker. */
import { encodeModel } from 'cuttle/onnx';
import { connectTraining } from 'cuttle/train/worker';
import { buildArchitecture } from 'cuttle/zoo';

const size = 256;
const pixels = Uint8Array.from({ length: size * 28 * 28 }, (_, i) => (i * 2654435761) >>> 24);
const dataset = (name, count) => ({
  name,
  classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  size: count,
  channels: 1,
  height: 28,
  width: 28,
  labels: Int32Array.from({ length: count }, (_, i) => i % 10),
  pixels: pixels.subarray(0, count * 28 * 28),
});
const request = {
  model: encodeModel(buildArchitecture('lenet-5', { classes: 10, input: [1, 28, 28], seed: 1 })),
  data: { train: dataset('train', size), calibration: dataset('calibration', 32), test: dataset('test', 32) },
  epochs: 1000,
  batchSize: 32,
  learningRate: 0.01,
  session: { backend: 'wasm', threads: 1 },
};

const training = connectTraining(new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' }));

/** One training: begun, followed for three steps, asked for its answer and its file, cancelled, released. */
async function once() {
  const controller = new AbortController();
  let steps = 0;
  const run = training.train(request, {
    signal: controller.signal,
    onEvent: ({ kind }) => {
      if (kind === 'step' && ++steps === 3) controller.abort();
    },
  });
  const code = await run.finished.then(
    () => 'finished',
    (error) => error.code,
  );
  if (code !== 'train/interrupted') throw new Error(`a training ended with ${code}`);
  const { probabilities } = await run.classify(dataset('asked', 8));
  const file = await run.export();
  if (probabilities.length !== 80 || file.length < 1000) throw new Error('a training gave no network');
  await run.release();
}

/** The longest time that the page could not draw, in ms, while this many trainings came and went. */
globalThis.trainings = async (count) => {
  let longest = 0;
  let last = performance.now();
  let frame = requestAnimationFrame(function tick() {
    const time = performance.now();
    longest = Math.max(longest, time - last);
    last = time;
    frame = requestAnimationFrame(tick);
  });
  for (let i = 0; i < count; i++) await once();
  cancelAnimationFrame(frame);
  return longest;
};
globalThis.ready = true;
