/** @file What must run for which value: the part of a graph that depends on its input, cut at chosen targets. */
import { readsOf, requiredInputs, sortNodes, type Graph, type Node, type ValueType } from '../ir/index.js';

/** One part of a cut graph. */
export interface Part {
  /** Nodes to run, in order. */
  readonly nodes: readonly Node[];
  /** Values that earlier parts (or the graph's inputs) hand in. */
  readonly inputs: readonly string[];
  /** Values that later parts read and that exist after this part: handed in ones included. */
  readonly carried: readonly string[];
}

/**
 * A graph seen as data flow. A value may cross from one part to the next only where exactly one of its axes is the
 * batch, so that finished samples can leave; others (shape vectors, constants computed by nodes) are computed again
 * in every part that reads them.
 */
export class Dataflow {
  readonly nodes: readonly Node[];
  readonly #producer = new Map<string, number>();
  readonly #reads: readonly (readonly string[])[];
  readonly #inputs: ReadonlySet<string>;
  readonly #crosses: Uint8Array;

  constructor(graph: Graph, types: ReadonlyMap<string, ValueType>, batch: string) {
    this.nodes = sortNodes(graph.nodes);
    this.#inputs = new Set(requiredInputs(graph).map((input) => input.name));
    this.nodes.forEach((node, index) => {
      for (const output of node.outputs) if (output !== '') this.#producer.set(output, index);
    });
    this.#reads = this.nodes.map((node) => [...readsOf(node)]);
    this.#crosses = Uint8Array.from(this.nodes, (node) =>
      node.outputs.every((output) => output === '' || batchAxisOf(types.get(output), batch) !== undefined) ? 1 : 0,
    );
  }

  /** Marks (one byte per node) of everything that `values` depend on. */
  ancestors(values: readonly string[]): Uint8Array {
    const marks = new Uint8Array(this.nodes.length);
    const queue = [...values];
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const index = this.#producer.get(name);
      if (index === undefined || marks[index]) continue;
      marks[index] = 1;
      queue.push(...this.#reads[index]!);
    }
    return marks;
  }

  /** The values that cross from the marked nodes (and the graph's inputs) to what else `target` depends on. */
  frontier(marks: Uint8Array, target: string): readonly string[] {
    const crossing = new Set<string>();
    const seen = new Uint8Array(this.nodes.length);
    const queue = [target];
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const index = this.#producer.get(name);
      if (index === undefined) {
        if (this.#inputs.has(name)) crossing.add(name);
      } else if (marks[index] && this.#crosses[index]) crossing.add(name);
      else if (!seen[index]) {
        seen[index] = 1;
        queue.push(...this.#reads[index]!);
      }
    }
    return [...crossing].sort((a, b) => (this.#producer.get(a) ?? -1) - (this.#producer.get(b) ?? -1));
  }

  /** For each target in turn, the nodes that it needs and that no earlier target has computed. */
  parts(targets: readonly string[]): readonly Part[] {
    const madeIn = new Int32Array(this.nodes.length).fill(-1);
    const parts = targets.map((target, part) => this.#part(target, part, madeIn));
    const lastRead = new Map<string, number>();
    parts.forEach(({ inputs }, part) => inputs.forEach((name) => lastRead.set(name, part)));
    return parts.map(({ nodes, inputs }, part) => ({
      nodes,
      inputs,
      carried: [...lastRead].flatMap(([name, last]) =>
        last > part && (madeIn[this.#producer.get(name) ?? -1] ?? -1) <= part ? [name] : [],
      ),
    }));
  }

  #part(target: string, part: number, madeIn: Int32Array): { nodes: readonly Node[]; inputs: readonly string[] } {
    const needed = new Uint8Array(this.nodes.length);
    const inputs = new Set<string>();
    const queue = [target];
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const index = this.#producer.get(name);
      if (index === undefined) {
        if (this.#inputs.has(name)) inputs.add(name);
        continue;
      }
      if (needed[index]) continue;
      if (madeIn[index]! >= 0) {
        inputs.add(name);
        continue;
      }
      needed[index] = 1;
      queue.push(...this.#reads[index]!);
    }
    for (let index = 0; index < needed.length; index++) if (needed[index] && this.#crosses[index]) madeIn[index] = part;
    return { nodes: this.nodes.filter((_, index) => needed[index]), inputs: [...inputs] };
  }
}

/** The axis that carries the batch symbol, where exactly one does and no other dim depends on it. */
export function batchAxisOf(type: ValueType | undefined, batch: string): number | undefined {
  if (type?.kind !== 'tensor' || type.shape === undefined) return undefined;
  const axis = type.shape.indexOf(batch);
  if (axis < 0) return undefined;
  return type.shape.every((dim, index) => index === axis || typeof dim === 'number') ? axis : undefined;
}
