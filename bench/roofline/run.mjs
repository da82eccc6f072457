/**
 * @file The roofline that Cuttle measures through ONNX Runtime, against a matrix product and a sum of arrays in PyTorch with
 * OpenBLAS, in one run: is it the device's, or only the engine's?
 *
 * node bench/roofline/run.mjs [--rounds 3] [--blas FOLDER]
 *
 * Needs `npm run build` and Debian's python3-torch; `--blas` names a folder with a libblas.so.3 for it, such as
 * libopenblas0-openmp's. Results go to bench/results/roofline.json.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureRoofline } from '../../dist/measure/index.js';
import { describeDevice } from '../../dist/runtime/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, blas: { type: 'string' } } });
const rows = [];
for (const threads of [1, 2])
  for (let round = 1; round <= Number(values.rounds); round++) {
    const cuttle = await measureRoofline({ threads });
    const { status, stdout } = spawnSync('/usr/bin/python3', [join(here, 'peer.py'), '--threads', String(threads)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 2],
      env: {
        ...process.env,
        OMP_NUM_THREADS: String(threads),
        ...(values.blas && { LD_LIBRARY_PATH: values.blas }),
      },
    });
    const peer = status === 0 ? JSON.parse(stdout) : undefined;
    rows.push({ threads, round, cuttle, peer });
    console.log(`${threads} threads, round ${round}: ${JSON.stringify({ cuttle, peer })}`);
  }
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const summary = [1, 2].map((threads) => {
  const own = rows.filter((row) => row.threads === threads);
  const both = (of) => ({
    cuttle: median(own.map(({ cuttle }) => cuttle[of])),
    ...(own.every(({ peer }) => peer) && {
      peer: median(own.map(({ peer }) => peer[of])),
      ratio: median(own.map(({ cuttle, peer }) => cuttle[of] / peer[of])),
    }),
  });
  return { threads, gflops: both('gflops'), gbPerSecond: both('gbPerSecond') };
});
const wasm = await measureRoofline({ backend: 'wasm', threads: 1 });
mkdirSync(join(here, '../results'), { recursive: true });
const device = await describeDevice({ backend: 'native', threads: 2 });
writeFileSync(
  join(here, '../results/roofline.json'),
  `${JSON.stringify({ bench: 'roofline', device, blas: values.blas ? 'openblas' : 'the system’s', summary, wasm, rows }, null, 2)}\n`,
);
for (const { threads, gflops, gbPerSecond } of summary)
  console.log(
    `${threads} threads: ${gflops.cuttle.toFixed(1)} GFLOP/s (${(gflops.ratio ?? NaN).toFixed(2)} of the peer's), ${gbPerSecond.cuttle.toFixed(1)} GB/s (${(gbPerSecond.ratio ?? NaN).toFixed(2)})`,
  );
process.exit(0);
