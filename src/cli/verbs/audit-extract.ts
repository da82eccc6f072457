/** @file `cuttle audit extract`: the models of a run as files of their own, each distinct one once. */
import { z } from 'zod';
import { modelFormats, type ModelFormat } from '../../audit/index.js';
import { extractModels, type ModelRecord } from '../../audit/node.js';
import { joinPath, makeFolder, writeFileAtomic, writeJson } from '../../platform/node/files.js';
import { namesOption } from '../list-options.js';
import { defineVerb, option } from '../verb.js';

const formats = Object.keys(modelFormats) as ModelFormat[];

export const auditExtract = defineVerb({
  name: 'extract',
  summary: 'Take the models of an audit out of their apps, each distinct one once.',
  args: [['<run>', 'the folder of a run']],
  flags: [
    ['--out <folder>', 'where the models go'],
    ['--format <list>', 'only these formats, such as tflite,onnx (default: all)'],
    ['--model <sha256...>', 'only these models; the first characters of a checksum are enough'],
    ['--downloads <folder>', 'where downloaded apps were kept'],
    ['--force', 'replace existing files'],
  ],
  options: z.object({
    out: z.string({ error: 'is required: a folder for the models' }),
    format: namesOption(formats).optional(),
    model: z
      .array(z.string().regex(/^[0-9a-f]{4,64}$/, 'must be the start of a SHA-256, four characters or more'))
      .optional(),
    downloads: option.text().optional(),
    force: option.flag(),
  }),
  examples: ['cuttle audit extract audit --out models --format tflite,onnx'],
  async run({ args, options, signal }) {
    const { out, format, model, downloads, force } = options;
    await makeFolder(out);
    const files: {
      readonly file: string;
      readonly app: string;
      readonly path: string;
      readonly format: ModelFormat;
    }[] = [];
    const { missed } = await extractModels(
      args[0]!,
      {
        ...(format && { formats: format }),
        ...(model && { only: model }),
        ...(downloads !== undefined && { downloads }),
        signal,
      },
      async ({ record, app, bytes }) => {
        const file = fileName(record);
        await writeFileAtomic(joinPath(out, file), bytes, { force });
        files.push({ file, app: app.identifier, path: record.path, format: record.format });
      },
    );
    const json = { out, files, missed };
    await writeJson(joinPath(out, 'models.json'), json, { force: true });
    return {
      json,
      text: [
        `${files.length} models in ${out}; models.json says where each came from`,
        ...missed.map(({ path, reason }) => `not taken: ${path}: ${reason}`),
      ].join('\n'),
    };
  },
});

/** Checksum and an ending that tools expect; nothing of the app's own names. */
export function fileName({ sha256, format, path, disguise }: ModelRecord): string {
  const own = disguise === undefined ? /\.([A-Za-z0-9]{1,12})$/.exec(path)?.[1]?.toLowerCase() : undefined;
  return `${sha256.slice(0, 16)}.${own ?? format}`;
}
