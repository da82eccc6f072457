/** @file Takes one contestant's steps; the runner reads times as they come. */
const contestants = {
  cuttle: () => import('./cuttle.mjs'),
  tfjs: () => import('./tfjs.mjs'),
  jax: () => import('./jax.mjs'),
};

/** Steps so far, so that a runner that loses patience still knows them. The first one prepares and is not counted. */
globalThis.progress = { times: [], losses: [], firstMs: undefined };

globalThis.measure = async ({ library, steps, budgetMs, ...task }) => {
  const { progress } = globalThis;
  const { prepare } = await contestants[library]();
  const began = performance.now();
  const { step, version, threads } = await prepare(task);
  Object.assign(progress, { version, threads });
  while (progress.times.length < steps) {
    const start = performance.now();
    progress.losses.push(await step());
    const time = performance.now() - start;
    if (progress.firstMs === undefined) progress.firstMs = start + time - began;
    else progress.times.push(time);
    // Let the runner look.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (performance.now() - began > budgetMs) break;
  }
  return progress;
};
globalThis.ready = true;
