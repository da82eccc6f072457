/** @file `cuttle convert`: a TensorFlow Lite or TensorFlow model as ONNX. */
import { z } from 'zod';
import { AuditError, modelFormats } from '../../audit/index.js';
import { formatType } from '../../ir/index.js';
import { saveModel } from '../../onnx/node.js';
import { exists, FileError, FileExistsError, fileInfo } from '../../platform/node/files.js';
import { describeConversion, openForeign } from '../open-model.js';
import { defineVerb, option } from '../verb.js';

export const convert = defineVerb({
  name: 'convert',
  summary: 'Convert a TensorFlow Lite or TensorFlow model to ONNX.',
  args: [['<file>', 'a TensorFlow Lite file, a frozen GraphDef, or the folder of a SavedModel']],
  flags: [
    ['--out <file>', 'where the ONNX model goes'],
    ['--signature <name>', 'which entry of the model, where it has several'],
    ['--float-ends', 'quantised inputs and outputs become real numbers'],
    ['--keep-layout', 'pictures go in as the file has them, channels last'],
    ['--force', 'replace an existing output file'],
  ],
  options: z.object({
    out: z.string({ error: 'is required: say where the ONNX model goes, such as --out model.onnx' }),
    signature: option.text().optional(),
    floatEnds: option.flag(),
    keepLayout: option.flag(),
    force: option.flag(),
  }),
  examples: [
    'cuttle convert face.tflite --out face.onnx',
    'cuttle convert saved_model --signature embed --out embed.onnx',
  ],
  async run({ args, options }) {
    const path = args[0]!;
    const { out, signature, force } = options;
    if (!force && (await exists(out))) throw new FileExistsError(out);
    if ((await fileInfo(path)) === undefined)
      throw new FileError('invalid', 'platform/missing', path, `file '${path}' does not exist`);
    const converted = await openForeign(path, {
      ...(signature === undefined ? {} : { signature }),
      ends: options.floatEnds ? 'real' : 'stored',
      inputLayout: options.keepLayout ? 'stated' : 'channelsFirst',
    });
    if (converted === undefined)
      throw new AuditError('not-convertible', `${path}: neither a TensorFlow Lite model nor a TensorFlow graph`, {
        kind: 'unsupported',
        hint: 'Other verbs open ONNX files as they are.',
      });
    const { model, format, operators, signatures, channelsFirst } = converted;
    await saveModel(out, model, { force });
    const ends = (values: readonly (typeof model.graph.outputs)[number][]): readonly { name: string; type: string }[] =>
      values.map(({ name, type }) => ({ name, type: formatType(type) }));
    const json = {
      out,
      format,
      signature: converted.signature ?? null,
      signatures,
      inputs: ends(model.graph.inputs),
      outputs: ends(model.graph.outputs),
      channelsFirst,
      operators: Object.fromEntries(operators),
      nodes: model.graph.nodes.length,
    };
    const others = signatures.filter((name) => name !== converted.signature);
    const text = [
      `${out}: ${describeConversion(converted)}`,
      ...json.inputs.map(({ name, type }) => `  input   ${name}: ${type}`),
      ...json.outputs.map(({ name, type }) => `  output  ${name}: ${type}`),
      ...(others.length === 0
        ? []
        : [`  other signatures of this ${modelFormats[format].title} model: ${others.join(', ')}`]),
    ].join('\n');
    return { json, text };
  },
});
