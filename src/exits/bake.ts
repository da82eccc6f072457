/** @file A design as one plain ONNX file: nested If nodes whose conditions are the exit policy itself. */
import {
  dataTypes,
  graph as graphAttribute,
  GraphBuilder,
  makeGraph,
  makeNode,
  namesOf,
  requiredInputs,
  rewireNode,
  Tensor,
  tensorType,
  type Attribute,
  type Graph,
  type Model,
  type TensorType,
  type Value,
  type ValueType,
} from '../ir/index.js';
import {
  emitDecision,
  emitPrediction,
  emitScaled,
  emitTop1,
  fallbackPrecision,
  type Decision,
} from './bake-decision.js';
import { BAKED_KEY, writeBaked } from './bake-metadata.js';
import { checkDesign, type DesignChoice } from './design.js';
import { temperatureAt } from './policies/index.js';
import { EXITS_KEY, FINAL_EXIT } from './progressive-schema.js';
import type { Progressive } from './progressive.js';
import { enterBlocked } from './stages-entry.js';
import { cutAt, initializersFor, logitsOf, type Cut } from './stages.js';

/**
 * Compiles a design into one model for single images: the first stage, its decision, and an If whose one branch answers
 * and whose other branch holds everything that comes later. What a branch does not execute costs nothing. The batch is
 * fixed to 1, as an If has one condition. Outputs: `logits` of the exit that answers, float32 [1, classes]; `exit` where
 * execution stopped, int64 [1], by its number in the progressive model; `label`, int64 [1].
 * Needs no Cuttle to run; weights are shared with the progressive model.
 * Throws InvalidDesignError where the design does not fit.
 */
export function bakeDesign(progressive: Progressive, design: DesignChoice): Model {
  const { model, info } = progressive;
  checkDesign(design, info.exits.length);
  const cut = cutAt(progressive, design);
  const baker = new Baker(progressive, design, cut);
  const graph = baker.graph();
  const metadata = new Map(model.metadata);
  metadata.delete(EXITS_KEY);
  metadata.set(
    BAKED_KEY,
    writeBaked({
      version: 1,
      input: info.input,
      classes: info.classes,
      outputs: baker.outputs,
      exits: cut.exits.map((exit) => ({ exit, at: info.exits[exit]?.value ?? FINAL_EXIT })),
      policy: {
        kind: design.policy.kind,
        thresholds:
          typeof design.policy.thresholds === 'number' ? design.policy.thresholds : [...design.policy.thresholds],
        ...(design.policy.temperatures && { temperatures: [...design.policy.temperatures] }),
        ...(design.policy.gates && {
          gates: design.policy.gates.map(({ weights, classes }) => ({ weights, classes: [...classes] })),
        }),
      },
      fallback: design.fallback,
    }),
  );
  return { ...model, metadata, graph };
}

/** What every branch hands out; the label follows from the logits at the very end. */
const KEYS = ['logits', 'exit'] as const;
type Key = (typeof KEYS)[number];
type Answer = Readonly<Record<Key, string>>;

class Baker {
  readonly outputs: Readonly<Record<Key | 'label', string>>;
  readonly #progressive: Progressive;
  readonly #design: DesignChoice;
  readonly #cut: Cut;
  readonly #root: GraphBuilder;
  /** Values of the network that bear the name of a public output, and their new names. */
  readonly #renamed = new Map<string, string>();
  /** Nodes and weights of the enclosing graphs: a branch captures them. */
  readonly #placed = new Set<string>();

  constructor(progressive: Progressive, design: DesignChoice, cut: Cut) {
    this.#progressive = progressive;
    this.#design = design;
    this.#cut = cut;
    const { model, info } = progressive;
    const taken = namesOf(model.graph);
    const free = new GraphBuilder([info.input]);
    this.outputs = { logits: free.fresh('logits'), exit: free.fresh('exit'), label: free.fresh('label') };
    const names = Object.values(this.outputs);
    this.#root = new GraphBuilder([...taken, ...names]);
    for (const name of names) if (taken.has(name)) this.#renamed.set(name, this.#root.fresh(`network/${name}`));
  }

  graph(): Graph {
    const { model, info } = this.#progressive;
    const { logits, exit, label } = this.outputs;
    const b = this.#root;
    const answer = this.#stage(b, 0, [], undefined);
    this.#publish(answer.logits, logits);
    this.#publish(answer.exit, exit);
    this.#publish(emitPrediction(b, logits, 'answer'), label);
    const single = (type: ValueType | undefined): ValueType | undefined =>
      type?.kind === 'tensor' && type.shape !== undefined
        ? tensorType(
            type.dtype,
            type.shape.map((dim) => (dim === info.batch ? 1 : dim)),
          )
        : type;
    return makeGraph({
      name: `${model.graph.name}_baked`,
      inputs: requiredInputs(model.graph).map((input) => ({ ...input, type: single(input.type) })),
      outputs: [
        { name: logits, type: this.#typeOf('logits') },
        { name: exit, type: this.#typeOf('exit') },
        { name: label, type: tensorType('int64', [1]) },
      ],
      nodes: b.nodes,
      initializers: b.initializers,
      sparseInitializers: model.graph.sparseInitializers,
    });
  }

  /** Gives a value of the outermost graph its public name: at its node, or by an Identity where a constant bears it. */
  #publish(value: string, name: string): void {
    const b = this.#root;
    const at = b.nodes.findIndex((node) => node.outputs.includes(value));
    if (at < 0) {
      b.nodes.push(makeNode({ name: b.fresh(`answer/${name}`), op: 'Identity', inputs: [value], outputs: [name] }));
      return;
    }
    const swap = (other: string): string => (other === value ? name : other);
    b.nodes.forEach((node, index) => {
      const rewired = rewireNode(node, new Map([[value, name]]));
      b.nodes[index] = index === at ? { ...rewired, outputs: node.outputs.map(swap) } : rewired;
    });
  }

  /** Appends stage `position` and all that follows it to a graph under construction. */
  #stage(b: GraphBuilder, position: number, earlier: readonly string[], before: Decision | undefined): Answer {
    const { exits } = this.#cut;
    this.#place(b, position);
    const computed = logitsOf(this.#progressive, exits[position]!);
    const own = this.#renamed.get(computed) ?? computed;
    const logits = [...earlier, own];
    if (position === exits.length - 1) return this.#last(b, logits, before?.top1);
    const decision = emitDecision(b, this.#design.policy, position, own, before);

    const leaving = b.nested();
    const left: Answer = { logits: own, exit: this.#number(leaving, exits[position]!) };
    const staying = b.nested();
    const later = this.#stage(staying, position + 1, logits, decision);
    const [answered, exit] = b.ops(
      'If',
      [decision.leave],
      { then_branch: this.#branch(leaving, 'leave', left), else_branch: this.#branch(staying, 'stay', later) },
      { name: `exit_${position}/if`, outputs: KEYS.length },
    );
    return { logits: answered!, exit: exit! };
  }

  /**
   * The last exit: it answers itself, or the most confident of all that ran. `before`: the confidence of the exit before,
   * where its decision has left one.
   */
  #last(b: GraphBuilder, logits: readonly string[], before: string | undefined): Answer {
    const { exits } = this.#cut;
    const { policy, fallback } = this.#design;
    const exit = this.#number(b, exits.at(-1)!);
    const own = logits.at(-1)!;
    if (fallback === 'last' || logits.length === 1) return { logits: own, exit };
    const precision = fallbackPrecision(policy, exits.length - 1);
    const temperatures = exits.map((_, position) => temperatureAt(policy, position));
    if (logits.length === 2 && before !== undefined && precision === 'float32') {
      const top1 = emitTop1(b, emitScaled(b, own, temperatures.slice(-1), precision, 'fallback'), 'fallback');
      const stays = b.op('GreaterOrEqual', [before, top1], {}, { name: 'fallback/stays' });
      return { logits: b.op('Where', [stays, logits[0]!, own], {}, { name: 'fallback/answer' }), exit };
    }
    const stacked = b.op('Concat', logits, { axis: 0 }, { name: 'fallback/logits' });
    const top1 = emitTop1(b, emitScaled(b, stacked, temperatures, precision, 'fallback'), 'fallback');
    // Compared as float32; the first of equals wins, as in `ExitProgress`.
    const confidence =
      precision === 'float32'
        ? top1
        : b.op('Cast', [top1], { to: dataTypes.float32.code }, { name: 'fallback/confidence' });
    const best = b.op('ArgMax', [confidence], { axis: 0, keepdims: 0 }, { name: 'fallback/best' });
    const answer = b.op('Gather', [stacked, best], { axis: 0 }, { name: 'fallback/answer' });
    return { logits: answer, exit };
  }

  /** Puts a stage's nodes and weights into a graph, less those that an enclosing graph holds. */
  #place(b: GraphBuilder, position: number): void {
    const swap = (name: string): string => this.#renamed.get(name) ?? name;
    const nodes = this.#cut.parts[position]!.nodes.filter((node) => !this.#placed.has(node.outputs.join()));
    const { inputs } = this.#cut.parts[position]!;
    for (const node of position === 0 ? nodes : enterBlocked(nodes, inputs, this.#cut.types, b)) {
      this.#placed.add(node.outputs.join());
      b.nodes.push({ ...rewireNode(node, this.#renamed), outputs: node.outputs.map(swap) });
    }
    for (const [name, tensor] of initializersFor(this.#progressive.model.graph, nodes)) {
      if (this.#placed.has(name)) continue;
      this.#placed.add(name);
      b.initializers.set(swap(name), tensor);
    }
  }

  /** A branch's graph. What it hands out must be computed inside it: a captured or constant value goes through Identity. */
  #branch(b: GraphBuilder, name: string, answer: Answer): Attribute {
    const made = new Set(b.nodes.flatMap((node) => node.outputs));
    const outputs = KEYS.map((key): Value => {
      const value = made.has(answer[key])
        ? answer[key]
        : b.op('Identity', [answer[key]], {}, { name: `${name}/${key}` });
      return { name: value, type: this.#typeOf(key) };
    });
    return graphAttribute(b.graph(b.fresh(name), outputs));
  }

  #number(b: GraphBuilder, exit: number): string {
    return b.parameter('exit_number', Tensor.int64s([exit]));
  }

  #typeOf(key: Key): TensorType {
    return key === 'logits' ? tensorType('float32', [1, this.#progressive.info.classes]) : tensorType('int64', [1]);
  }
}
