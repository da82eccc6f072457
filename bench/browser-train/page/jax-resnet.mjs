/** @file jax-js: the whole step (forward, gradient, update) under one `jit`. Running averages are not kept, which saves it a little. */
import { batchOf, blocksOf } from './network.mjs';

/** `jax`: the library, which a page and Node find in different places. */
export async function prepareWith(jax, { backend, depth, batch, threads }) {
  const { defaultDevice, init, jit, lax, nn, numpy: np, valueAndGrad } = jax;
  const ready = await init(backend);
  if (!ready.includes(backend)) throw new Error(`the device ${backend} does not start`);
  defaultDevice(backend);
  const blocks = blocksOf(depth);

  let seed = 7;
  const uniform = () => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32 - 0.5;
  const weight = (shape, fanIn) => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    return np.array(Float32Array.from({ length: size }, () => uniform() * Math.sqrt(24 / fanIn))).reshape(shape);
  };
  const convNorm = (input, output, kernel) => ({
    w: weight([output, input, kernel, kernel], input * kernel * kernel),
    gamma: np.ones([1, output, 1, 1]),
    beta: np.zeros([1, output, 1, 1]),
  });
  const makeParameters = () => ({
    stem: convNorm(3, 16, 3),
    blocks: blocks.map(({ width, input, project }) => ({
      a: convNorm(input, width, 3),
      b: convNorm(width, width, 3),
      ...(project && { shortcut: convNorm(input, width, 1) }),
    })),
    head: { w: weight([64, 10], 64), b: np.zeros([10]) },
  });

  const apply = (x, { w, gamma, beta }, stride) => {
    const y = lax.convGeneralDilated(x, w, [stride, stride], 'SAME');
    const centred = y.ref.sub(np.mean(y, [0, 2, 3], { keepdims: true }));
    const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
    return centred
      .mul(np.reciprocal(np.sqrt(variance.add(1e-5))))
      .mul(gamma)
      .add(beta);
  };
  const loss = (parameters, x, targets) => {
    let y = nn.relu(apply(x, parameters.stem, 1));
    blocks.forEach(({ stride, project }, index) => {
      const { a, b, shortcut } = parameters.blocks[index];
      const inner = apply(nn.relu(apply(y.ref, a, stride)), b, 1);
      y = nn.relu(inner.add(project ? apply(y, shortcut, stride) : y));
    });
    const logits = np.matmul(np.mean(y, [2, 3]), parameters.head.w).add(parameters.head.b);
    return np.mean(np.sum(nn.logSoftmax(logits).mul(targets), -1)).mul(-1);
  };
  const each = (tree, job, ...others) =>
    Array.isArray(tree)
      ? tree.map((value, i) => each(value, job, ...others.map((other) => other[i])))
      : 'shape' in tree
        ? job(tree, ...others)
        : Object.fromEntries(
            Object.entries(tree).map(([name, value]) => [
              name,
              each(value, job, ...others.map((other) => other[name])),
            ]),
          );
  // SGD with Nesterov momentum: v ← 0.9 v + g, w ← w − 0.05 (g + 0.9 v).
  const update = jit((parameters, velocity, x, targets) => {
    const [value, gradient] = valueAndGrad(loss)(
      each(parameters, (p) => p.ref),
      x,
      targets,
    );
    const moved = each(velocity, (v, g) => v.mul(0.9).add(g.ref), gradient);
    const next = each(parameters, (p, v, g) => p.sub(g.add(v.ref.mul(0.9)).mul(0.05)), moved, gradient);
    return [next, moved, value];
  });

  let parameters = makeParameters();
  let velocity = each(parameters, (p) => np.zeros(p.shape));
  const { pixels, labels } = batchOf(batch);
  const x = np.array(pixels).reshape([batch, 3, 32, 32]);
  const targets = np
    .array(Float32Array.from({ length: batch * 10 }, (_, i) => Number(labels[Math.floor(i / 10)] === i % 10)))
    .reshape([batch, 10]);
  return {
    version: '@jax-js/jax',
    threads: backend === 'wasm' ? threads : 1,
    step: async () => {
      const [next, moved, value] = update(parameters, velocity, x.ref, targets.ref);
      [parameters, velocity] = [next, moved];
      return (await value.data())[0];
    },
  };
}
