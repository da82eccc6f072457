/** @file Gradients through If, Scan and Loop against central differences. */
import { describe, expect, it } from 'vitest';
import { float, GraphBuilder, makeModel, subgraphsOf, Tensor, tensorType, type Graph } from '../../src/ir/index.js';
import { encodeModel } from '../../src/onnx/index.js';
import { appendGradients } from '../../src/passes/index.js';
import { openSession } from '../../src/runtime/index.js';
import { buildControlFlow, controlFlowCases, sub, type ControlFlowCase } from './control-flow-cases.js';
import { centralDifferences, compare, runModel } from './harness.js';

async function check(test: ControlFlowCase): Promise<void> {
  const built = buildControlFlow(test, 'float64');
  const { graph, gradients } = appendGradients(built.model, built.loss, built.wanted);
  const fetched = built.wanted.filter((name) => gradients.get(name) !== undefined);
  const outputs = [...new Set(fetched.map((name) => gradients.get(name)!))].map((name) => ({ name, type: undefined }));
  const result = await runModel({ ...built.model, graph: { ...graph, outputs } }, built.feeds);
  const open = buildControlFlow(test, 'float64', true);
  await using session = await openSession(encodeModel(open.model), { backend: 'native', threads: 1 });
  for (const name of built.wanted) {
    const expected = await centralDifferences(session, open.feeds, name, 1e-5);
    const gradient = gradients.get(name);
    if (gradient === undefined) {
      if (expected.some(([, slope]) => Math.abs(slope) > 1e-9)) throw new Error(`${name} got no gradient`);
      continue;
    }
    compare(name, result[gradient]!, built.values.get(name)!.dims, expected, 2e-6);
  }
}

describe('gradients through control flow', () => {
  it.each(controlFlowCases)('$name', check);
});

describe('control flow', () => {
  const emitted = (test: ControlFlowCase) => {
    const built = buildControlFlow(test, 'float32');
    const { graph, changes } = appendGradients(built.model, built.loss, built.wanted);
    return { before: built.model.graph, graph, changes };
  };
  const named = (name: string): ControlFlowCase => controlFlowCases.find((test) => test.name === name)!;

  it('says which forward nodes give more than before, and why', () => {
    const { before, graph, changes } = emitted(named('Scan'));
    expect(changes.map(({ old, reason }) => [old.op, reason])).toEqual([
      ['Scan', 'stack what the backward pass reads of every iteration'],
    ]);
    const [{ node, old }] = changes as [(typeof changes)[number]];
    expect(node.outputs.slice(0, old.outputs.length)).toEqual(old.outputs);
    expect(graph.nodes).toContain(node);
    expect(before.nodes).toContain(old);
  });

  it('keeps no more of an iteration than is read: the state is there as a scan output already', () => {
    const { changes } = emitted(named('Scan'));
    // h before and after the step; the slices of x are scanned again.
    expect(changes[0]!.node.outputs.length - changes[0]!.old.outputs.length).toBeLessThanOrEqual(2);
  });

  it('emits ordinary operators only, in all sub-graphs', () => {
    const domains = (graph: Graph): string[] =>
      graph.nodes.flatMap((node) => [node.domain, ...subgraphsOf(node).flatMap(([, inner]) => domains(inner))]);
    for (const test of controlFlowCases)
      expect(new Set(domains(emitted(test).graph)), test.name).toEqual(new Set(['']));
  });

  it('is left alone where nothing wanted lies upstream', () => {
    const built = buildControlFlow(named('Loop in If'), 'float32');
    const { graph, gradients } = appendGradients(built.model, built.loss, ['nowhere']);
    expect(gradients.get('nowhere')).toBeUndefined();
    expect(graph.nodes.map(({ name, outputs }) => [name, outputs])).toEqual(
      built.model.graph.nodes.map(({ name, outputs }) => [name, outputs]),
    );
  });

  const refused = (body: (b: GraphBuilder, x: string) => string): (() => unknown) => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', [2]));
    const condition = b.input('condition', tensorType('bool', []));
    const y = b.op(
      'If',
      [condition],
      { then_branch: sub(b, {}, (s) => [body(s, x)]), else_branch: sub(b, {}, (s) => [s.op('Neg', [x])]) },
      { name: 'choice' },
    );
    b.types.set(y, tensorType('float32', [2]));
    const loss = b.op('ReduceSum', [y], { keepdims: 0 });
    const model = makeModel(b.graph('refused', [loss]));
    return () => appendGradients(model, loss, ['x'], { unknownOps: 'skip' });
  };

  it('refuses an operator without a gradient inside by name, with the way to it', () => {
    const unknown = refused((b, x) => b.op('Mystery', [x], {}, { name: 'strange' }));
    expect(unknown).toThrow("node 'choice/strange': no gradient for operator Mystery");
  });

  it('refuses to go through sequences rather than lose the gradient', () => {
    const through = refused((b, x) =>
      b.op('ConcatFromSequence', [b.op('SequenceConstruct', [x, x])], { axis: 0 }, { name: 'joined' }),
    );
    expect(through).toThrow("node 'choice/joined': no gradient for operator ConcatFromSequence");
  });

  it('spells out composite operators inside sub-graphs', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', tensorType('float32', [3, 4]));
    const w = b.parameter('w', Tensor.floats([1, -1, 0.5, 2]));
    const composite = (s: GraphBuilder): readonly string[] => [
      s.op('SkipSimplifiedLayerNormalization', [x, x, w], { epsilon: float(1e-5) }, { domain: 'com.microsoft' }),
    ];
    const y = b.op('If', [b.input('condition', tensorType('bool', []))], {
      then_branch: sub(b, {}, composite),
      else_branch: sub(b, {}, (s) => [s.op('Neg', [x])]),
    });
    const loss = b.op('ReduceSum', [b.op('Mul', [y, y])], { keepdims: 0 });
    const opsets = new Map([
      ['', 18],
      ['com.microsoft', 1],
    ]);
    const model = makeModel(b.graph('composite', [{ name: loss, type: tensorType('float32', []) }]), { opsets });
    const { graph, gradients } = appendGradients(model, loss, ['x', 'w']);
    const outputs = ['x', 'w'].map((name) => ({ name: gradients.get(name)!, type: undefined }));
    const feeds = {
      x: Tensor.floats([0.3, -1, 2, 0.7, 1.1, 0.2, -0.4, 0.9, -1.3, 0.6, 0.8, 1.7], [3, 4]),
      condition: Tensor.of('bool', [], [1]),
    };
    const result = await runModel({ ...model, graph: { ...graph, outputs } }, feeds);
    await using session = await openSession(encodeModel(model), { backend: 'native', threads: 1 });
    const expected = await centralDifferences(session, feeds, 'x', 4e-3);
    compare('x', result[gradients.get('x')!]!, [3, 4], expected, 4e-3);
  });
});
