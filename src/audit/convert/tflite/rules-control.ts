/** @file TensorFlow Lite: sub-graphs that are called, chosen or repeated, and variables. */
import { graph, tensorType, type Graph } from '../../../ir/index.js';
import { CannotConvert, Emitter } from '../emitter.js';
import type { Flow } from '../flow.js';
import type { Call, TfliteRule } from './call.js';

/** A value of the graph around, as one that a graph inside may read. */
function outer(e: Emitter, flow: Flow): Flow {
  if (flow.constant) return { ...flow, stored: {}, real: {} };
  return { ...flow, padding: undefined, declare: undefined, stored: { stated: e.stored(flow) }, real: {} };
}

function body(e: Emitter, name: string, make: (inner: Emitter) => readonly string[]): Graph {
  const inner = new Emitter(e.builder.nested());
  const outputs = make(inner);
  return inner.builder.graph(name, outputs);
}

/** A sub-graph's outputs must be values of its own. */
function own(inner: Emitter, flow: Flow): string {
  return inner.op('Identity', [inner.stored(flow)]);
}

function chosen(e: Emitter, call: Call): readonly Flow[] {
  const given = call.inputs.slice(1).map((_, i) => outer(e, call.input(i + 1)));
  const branch = (name: string, index: number): Graph =>
    body(e, name, (inner) => call.around.inline(inner, index, given.map(copy)).map((flow) => own(inner, flow)));
  const names = e.ops('If', [e.stored(call.input(0))], call.outputs.length, {
    then_branch: graph(branch('then', call.int(0))),
    else_branch: graph(branch('else', call.int(1))),
  });
  return call.outputs.map((out, i) => e.result(out, names[i]!, 'stated', 'stored'));
}

/** Forms made inside one graph do not exist in another. */
const copy = (flow: Flow): Flow => ({ ...flow, stored: { ...flow.stored }, real: {} });

function repeated(e: Emitter, call: Call): readonly Flow[] {
  const given = call.inputs.map((_, i) => outer(e, call.input(i)));
  const [test, step] = [call.int(0), call.int(1)];
  const first = call.around.inline(e, test, given.map(copy))[0]!;
  const inside = body(e, 'body', (inner) => {
    const { builder } = inner;
    builder.freshInput('iteration', tensorType('int64', []));
    builder.freshInput('condition', tensorType('bool', []));
    const carried = given.map((flow): Flow => {
      const shape = flow.shape?.map(() => null);
      const name = builder.freshInput('carried', tensorType(flow.type, shape));
      return { ...flow, constant: undefined, stored: { stated: name }, real: {} };
    });
    const made = call.around.inline(inner, step, carried.map(copy));
    const names = made.map((flow) => own(inner, flow));
    const next = made.map((flow, i): Flow => ({
      ...flow,
      stored: { stated: names[i]! },
      real: {},
      padding: undefined,
      declare: undefined,
    }));
    const again = call.around.inline(inner, test, next)[0]!;
    return [own(inner, again), ...names];
  });
  const names = e.ops('Loop', [undefined, e.stored(first), ...given.map((flow) => e.stored(flow))], given.length, {
    body: graph(inside),
  });
  return call.outputs.map((out, i) => e.result(out, names[i]!, 'stated', 'stored'));
}

function handle(_: Emitter, call: Call): readonly Flow[] {
  const flow: Flow = { ...call.out, stored: {}, real: {} };
  call.around.variables.set(flow, `${call.text(0)}/${call.text(1)}`);
  return [flow];
}

function variableOf(call: Call): string {
  const name = call.around.variables.get(call.input(0));
  if (name === undefined) throw new CannotConvert('its variable is chosen at run time');
  return name;
}

function read(_: Emitter, call: Call): readonly Flow[] {
  const name = variableOf(call);
  const value = call.around.contents.get(name);
  if (value === undefined) throw new CannotConvert(`variable '${name}' has no initial value`);
  return [copy({ ...value, name: call.out.name || value.name })];
}

function assign(_: Emitter, call: Call): readonly Flow[] {
  if (!call.around.initialising) throw new CannotConvert('it changes what later runs see, which an ONNX model cannot');
  call.around.contents.set(variableOf(call), call.input(1));
  return [];
}

/** Rules of this family. */
export const controlRules: Readonly<Record<string, TfliteRule>> = {
  CALL: (e, call) =>
    call.around.inline(
      e,
      call.int(0),
      call.inputs.map((_, i) => call.input(i)),
    ),
  CALL_ONCE: (e, call) => {
    const before = call.around.initialising;
    call.around.initialising = true;
    call.around.inline(e, call.int(0), []);
    call.around.initialising = before;
    return [];
  },
  IF: chosen,
  WHILE: repeated,
  VAR_HANDLE: handle,
  READ_VARIABLE: read,
  ASSIGN_VARIABLE: assign,
};
