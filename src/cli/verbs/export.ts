/** @file `cuttle export`: a network and its tails as a repository for inference servers of other makes. */
import { z } from 'zod';
import { saveModel } from '../../onnx/node.js';
import { basename, exists, FileExistsError, joinPath, writeFileAtomic, writeJson } from '../../platform/node/files.js';
import { exportTails, modelDigest } from '../../split/index.js';
import { openModel } from '../open-model.js';
import { defineVerb, option, UsageError } from '../verb.js';

export const exportModel = defineVerb({
  name: 'export',
  summary: 'Write a network and its server halves as a model repository for other inference servers.',
  args: [['<model>', 'an ONNX file: a classifier, plain or progressive']],
  flags: [
    ['--target <name>', 'oip: a repository for servers of the Open Inference Protocol, in the layout of Triton'],
    ['--out <folder>', 'where the repository goes'],
    ['--name <name>', 'name of the network there; the file’s own where omitted'],
    [
      '--cuts <list>',
      'cuts whose tails are written, such as 0,5,12; where omitted, those that send less than every earlier one',
    ],
    ['--bits <count>', 'bits per value of what crosses, 1 to 16 (default 8)'],
    ['--layout <name>', 'lanes (default): one integer per value; planes: bits of equal weight together'],
    ['--force', 'replace existing files'],
  ],
  options: z.object({
    target: z.enum(['oip'], { error: 'is required: say for what, such as --target oip' }),
    out: z.string({ error: 'is required: say where the repository goes, such as --out repository' }),
    name: option
      .text()
      .regex(/^[\w.-]+$/, 'may hold letters, digits, dots, dashes and underscores')
      .optional(),
    cuts: option.numbers().optional(),
    bits: option.count().max(16, 'must be at most 16').default(8),
    layout: z.enum(['lanes', 'planes']).default('lanes'),
    force: option.flag(),
  }),
  examples: [
    'cuttle export cuttle-demo/progressive.onnx --target oip --out repository',
    'cuttle export net.onnx --target oip --out repository --cuts 0,5,12 --bits 4 --layout planes',
  ],
  async run({ args, options, console, signal }) {
    const path = args[0]!;
    const { out, bits, layout, cuts, force } = options;
    const name = options.name ?? basename(path).replace(/\.onnx$/i, '');
    if (!/^[\w.-]+$/.test(name))
      throw new UsageError(`'${name}' is no name that every server takes`, 'Give another one with --name.');
    const model = await openModel(path, console);
    const models = exportTails(model, { name, bits, layout, ...(cuts && { cuts }) });
    const index = joinPath(out, `${name}.tails.json`);
    if (!force && (await exists(index))) throw new FileExistsError(index);
    const progress = console.progress('models', models.length);
    for (const [done, exported] of models.entries()) {
      signal.throwIfAborted();
      await saveModel(joinPath(out, exported.name, '1', 'model.onnx'), exported.model, { force });
      await writeFileAtomic(joinPath(out, exported.name, 'config.pbtxt'), exported.config, { force });
      progress.update(done + 1);
    }
    progress.end();
    const tails = models.flatMap(({ cut, name: called }) =>
      cut === undefined ? [] : [{ cut, model: called, bits, layout }],
    );
    const digest = await modelDigest(model);
    // Last: a repository with an index is whole.
    await writeJson(index, { format: 'cuttle.tails', version: 1, model: name, digest, tails }, { force });
    return {
      json: { out, index, model: name, digest, tails },
      text: [`${out}: ${name} and ${tails.length} tails`, ...tails.map((tail) => `  ${tail.model}`)].join('\n'),
    };
  },
});
