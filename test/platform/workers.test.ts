import { expect, test } from 'vitest';
import { coresInCpuInfo } from '../../src/platform/node/cpu.js';
import { workerUrl } from '../../src/platform/node/workers.js';

test('worker scripts are looked for in dist/ from sources, beside the module once compiled', () => {
  expect(workerUrl('file:///a/src/b/dist/data/x.js', './w.js').href).toBe('file:///a/src/b/dist/data/w.js');
  expect(() => workerUrl('file:///a/src/data/x.ts', './w.js')).toThrow(/\/a\/dist\/data\/w\.js/);
});

test('hyper-threads are not counted as cores', () => {
  const block = (socket: number, core: number): string =>
    `processor : 1\nphysical id\t: ${socket}\ncore id\t\t: ${core}\n`;
  expect(coresInCpuInfo([block(0, 0), block(0, 1), block(0, 0), block(0, 1), block(1, 0)].join('\n'))).toBe(3);
  expect(coresInCpuInfo('processor : 0\nBogoMIPS : 50\n')).toBeUndefined();
});
