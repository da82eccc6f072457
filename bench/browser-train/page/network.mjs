/** @file The task that all contestants share: CIFAR ResNets with 1×1 shortcuts, on random images. */

/** Residual blocks of a ResNet of depth 6n + 2 (He et al. 2016, §4.2). */
export function blocksOf(depth) {
  const perStage = (depth - 2) / 6;
  return [16, 32, 64].flatMap((width, stage) =>
    Array.from({ length: perStage }, (_, block) => {
      const first = block === 0 && stage > 0;
      return { width, input: first ? width / 2 : width, stride: first ? 2 : 1, project: first };
    }),
  );
}

/** Normal pixels and classes in turn, the same for everybody; N×3×32×32. */
export function batchOf(size) {
  let state = 1;
  const uniform = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
  const pixels = Float32Array.from(
    { length: size * 3 * 32 * 32 },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
  return { pixels, labels: Array.from({ length: size }, (_, i) => i % 10) };
}
