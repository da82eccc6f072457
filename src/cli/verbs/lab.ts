/** @file `cuttle lab`: measure models on the devices that people really have. */
import { labFlags, labOptions } from '../lab-options.js';
import { labCancel, labDevices, labJobs, labQuery, labResults, labSubmit } from '../lab-owner.js';
import { labJoin, labServe } from '../lab-serve.js';
import { defineVerb, UsageError } from '../verb.js';

const actions = {
  serve: labServe,
  join: labJoin,
  submit: labSubmit,
  devices: labDevices,
  jobs: labJobs,
  results: labResults,
  query: labQuery,
  cancel: labCancel,
} as const;

export const lab = defineVerb({
  name: 'lab',
  summary: 'A device lab: hand out measuring jobs to browsers, phones and machines with Node, and collect the results.',
  args: [
    ['<action>', 'serve, join, submit, devices, jobs, results, query or cancel'],
    ['[what...]', "join: the lab's URL; submit: models; query: SQL; cancel: ids of jobs"],
  ],
  flags: labFlags,
  options: labOptions,
  examples: [
    'cuttle lab serve --dir my-lab --host 0.0.0.0',
    'cuttle lab submit cuttle-demo/progressive.onnx --lab my-lab --device all --threads 1,2 --wait',
  ],
  async run(context) {
    const name = context.args[0]!;
    if (!Object.hasOwn(actions, name))
      throw new UsageError(`there is no 'lab ${name}'`, `Say ${Object.keys(actions).join(', ')}.`);
    return await actions[name as keyof typeof actions](context);
  },
});
