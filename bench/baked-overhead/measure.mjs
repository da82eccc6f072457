/**
 * @file How the cost of baking is measured: forms of one design, in sessions opened anew, in turns. Used by bench/baked-overhead
 * on untrained heads, and by bench/hapi on the designs that its search found.
 */
import { emitDecision } from '../../dist/exits/bake-decision.js';
import { bakeDesign } from '../../dist/exits/bake.js';
import { GraphBuilder, Tensor, tensorType } from '../../dist/ir/index.js';
import { encodeModel } from '../../dist/onnx/index.js';
import { extract } from '../../dist/passes/index.js';
import { createRandom } from '../../dist/platform/random.js';
import { openSession, percentile, syntheticFeeds } from '../../dist/runtime/index.js';

export const round = (value, digits = 2) => Number(value.toFixed(digits));

/** The graph without its decisions: every If takes the graph input `leave`. */
function withoutDecisions(graph, outermost = true) {
  const decides = (node) => /^exit_\d+\/(scaled|softmax|top1|leave)$/.test(node.name);
  return {
    ...graph,
    inputs: outermost ? [...graph.inputs, { name: 'leave', type: tensorType('bool', [1]) }] : graph.inputs,
    nodes: graph.nodes
      .filter((node) => !decides(node))
      .map((node) =>
        node.op !== 'If'
          ? node
          : {
              ...node,
              inputs: ['leave'],
              attributes: new Map(
                [...node.attributes].map(([key, branch]) => [
                  key,
                  { ...branch, value: withoutDecisions(branch.value, false) },
                ]),
              ),
            },
      ),
  };
}

/** The plain model with each exit's decision as a further output. */
function withDecisions(plain, heads, policy) {
  const b = GraphBuilder.beside(plain.graph);
  const decided = heads.map((head, position) => emitDecision(b, policy, position, head, undefined).leave);
  const { nodes, initializers, outputs } = plain.graph;
  return {
    ...plain,
    graph: {
      ...plain.graph,
      nodes: [...nodes, ...b.nodes],
      initializers: new Map([...initializers, ...b.initializers]),
      outputs: [...outputs, ...decided.map((name) => ({ name, type: tensorType('bool', [1, 1]) }))],
    },
  };
}

const RUNS = { loop: { block: 12, dropped: 2, rounds: 6 }, alternating: { block: 1, dropped: 0, rounds: 60 } };

/** First deciles, ms, of each form per repetition: in a loop, alternating, and in a loop with all outputs fetched. */
export async function measureForms(progressive, { exits, truncated = false, temperatures }, { seconds, stay, images }) {
  const { model, info } = progressive;
  const early = truncated ? exits.slice(0, -1) : exits;
  const stops = truncated ? exits.at(-1) : info.exits.length;
  const logits = info.exits[stops]?.output ?? info.final.logits;
  const heads = early.map((exit) => info.exits[exit].output);
  const policy = (thresholds) => ({ kind: 'confidence', thresholds, ...(temperatures && { temperatures }) });
  const part = (outputs) => extract(model, { inputs: [info.input], outputs });
  const baked = (thresholds, fallback) =>
    bakeDesign(progressive, { exits, truncated, policy: policy(thresholds), fallback });
  const plain = part([...heads, logits]);
  const last = baked(stay, 'last');
  const forms = {
    plain: { model: plain, fetched: logits },
    mostConfident: { model: baked(stay, 'most-confident'), stops },
    last: { model: last, stops },
    cut: { model: { ...last, graph: withoutDecisions(last.graph) }, stops, leave: false },
    decided: { model: withDecisions(plain, heads, policy(stay)), fetched: logits },
    firstStage: { model: part([heads[0]]), fetched: heads[0] },
    early: { model: baked(0, 'most-confident'), stops: early[0] },
  };
  const input = images ?? syntheticFeeds(plain, { [info.batch]: 1 });
  const names = Object.keys(forms);
  const bytes = new Map(names.map((name) => [name, encodeModel(forms[name].model)]));
  const feedsOf = ({ leave }) =>
    leave === undefined ? input : { ...input, leave: Tensor.fromBytes('bool', [1], Uint8Array.of(leave ? 1 : 0)) };
  const times = Object.fromEntries(
    ['inALoop', 'alternating', 'allOutputs'].map((way) => [way, Object.fromEntries(names.map((name) => [name, []]))]),
  );
  const random = createRandom(1);
  const begin = performance.now();
  for (let repetition = 0; performance.now() - begin < 1000 * seconds; repetition++) {
    const order = [...names];
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.int(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    const calls = new Map();
    const sessions = [];
    for (const name of order) {
      const form = forms[name];
      const session = await openSession(bytes.get(name), { threads: 1 });
      sessions.push(session);
      const feeds = feedsOf(form);
      const call = (all) => session.run(feeds, all ? {} : { outputs: [form.fetched ?? 'logits'] });
      if (form.stops !== undefined && Number((await call(true)).exit.data[0]) !== form.stops)
        throw new Error(`${name} stops elsewhere`);
      for (let i = 0; i < 10; i++) await call(false);
      calls.set(name, call);
    }
    for (const [way, { block, dropped, rounds }, all] of [
      ['inALoop', RUNS.loop, false],
      ['alternating', RUNS.alternating, false],
      ['allOutputs', RUNS.loop, true],
    ]) {
      const samples = new Map(order.map((name) => [name, []]));
      for (let round = 0; round < rounds; round++)
        for (let turn = 0; turn < order.length; turn++) {
          const name = order[(round + turn) % order.length];
          const call = calls.get(name);
          for (let i = 0; i < block + dropped; i++) {
            const start = performance.now();
            await call(all);
            const ms = performance.now() - start;
            if (i >= dropped) samples.get(name).push(ms);
          }
        }
      for (const name of order)
        times[way][name].push(
          percentile(
            samples.get(name).sort((a, b) => a - b),
            0.1,
          ),
        );
    }
    await Promise.all(sessions.map((session) => session.release()));
  }
  return times;
}

export const quantile = (values, q) =>
  percentile(
    [...values].sort((a, b) => a - b),
    q,
  );

/** What `form` takes more than `base`: percent and microseconds, medians over repetitions, and the quartiles of the percent. */
export function against(times, form, base) {
  const percents = times[form].map((ms, i) => 100 * (ms / times[base][i] - 1));
  const micros = times[form].map((ms, i) => 1000 * (ms - times[base][i]));
  return {
    percent: round(quantile(percents, 0.5)),
    quartiles: [round(quantile(percents, 0.25)), round(quantile(percents, 0.75))],
    microseconds: round(quantile(micros, 0.5), 1),
  };
}

/** The three ways of timing, each with what running to the end and leaving at once take more than they should at best. */
export function overheads(times) {
  const ways = ['inALoop', 'alternating', 'allOutputs'].map((way) => [
    way,
    {
      toTheEnd: against(times[way], 'mostConfident', 'plain'),
      toTheEndFallbackLast: against(times[way], 'last', 'plain'),
      leavingAtTheFirst: against(times[way], 'early', 'firstStage'),
    },
  ]);
  return {
    ...Object.fromEntries(ways),
    parts: {
      ifsAndLayout: against(times.inALoop, 'cut', 'plain'),
      decisions: against(times.inALoop, 'decided', 'plain'),
    },
  };
}
