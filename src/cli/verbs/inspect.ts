/** @file `cuttle inspect`: what a model is made of and what it costs, without running it. */
import { z } from 'zod';
import { formatType, requiredInputs } from '../../ir/index.js';
import { inspectModel } from '../../passes/index.js';
import { binaryBytes, magnitude, textTable } from '../../report/index.js';
import { dimOptions } from '../dims.js';
import { openModel } from '../open-model.js';
import { defineVerb } from '../verb.js';

export const inspect = defineVerb({
  name: 'inspect',
  summary: 'Show what a model is made of: inputs, outputs, layers, parameters, MACs, memory.',
  args: [['<model>', 'an ONNX file, or one that is converted: TensorFlow Lite, GraphDef, SavedModel']],
  flags: [
    ['--dim <name=size...>', 'size of a symbolic dimension, such as batch=8; 1 where not given'],
    ['--top <count>', 'list only the most expensive layers'],
  ],
  options: z.object({ dim: dimOptions, top: z.coerce.number('is not a number').int().min(1).optional() }),
  examples: [
    'cuttle inspect cuttle-demo/progressive.onnx',
    'cuttle inspect cuttle-demo/progressive.onnx --dim batch=8 --json',
  ],
  async run({ args, options, console }) {
    const model = await openModel(args[0]!, console);
    const json = inspectModel(model, { symbols: options.dim });
    const { nodes } = json;
    const shown = options.top === undefined ? nodes : [...nodes].sort((a, b) => b.macs - a.macs).slice(0, options.top);
    const text = [
      `${args[0]}: ONNX opset ${json.opset}, IR ${json.irVersion}${json.producer && `, by ${json.producer}`}`,
      ...requiredInputs(model.graph).map(({ name, type }) => `  input   ${name}: ${formatType(type)}`),
      ...model.graph.outputs.map(({ name, type }) => `  output  ${name}: ${formatType(type)}`),
      `  ${nodes.length} nodes, ${magnitude(json.params)} parameters, ${magnitude(json.macs)} MACs, ${binaryBytes(json.peakActivationBytes)} peak activations`,
      '',
      textTable(
        [
          { name: 'layer', value: (node) => node.name },
          { name: 'operator', value: (node) => node.op },
          { name: 'MACs', align: 'right', value: (node) => magnitude(node.macs) },
          { name: 'parameters', align: 'right', value: (node) => magnitude(node.params) },
          {
            name: 'output',
            value: (node) => node.outputs.map(({ dtype, shape }) => `${dtype}[${shape?.join(', ') ?? '?'}]`).join(' '),
          },
        ],
        shown,
      ),
    ].join('\n');
    return { json, text };
  },
});
