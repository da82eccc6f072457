/** @file How much memory ONNX Runtime holds at once while it runs a graph: its order of execution, its sharing of buffers. */
import { readsOf, requiredInputs, type Graph, type Node } from '../ir/index.js';
import { executionOrder } from './execution-order.js';

export interface RunMemory {
  /** The most bytes at once: fed inputs, constants, and what nodes computed and somebody still needs. */
  readonly bytes: number;
  /** Bytes of fed inputs and constants, which are there for the whole run. */
  readonly fixedBytes: number;
  /** Name of the node that runs at the peak; `undefined` for a graph without nodes. */
  readonly node: string | undefined;
}

/** Operators whose output is their first input's memory under another shape. */
const VIEWS = new Set(['Reshape', 'Identity', 'Squeeze', 'Unsqueeze', 'Flatten']);

const UNARY =
  'Relu LeakyRelu Elu Selu Celu HardSigmoid Sigmoid Tanh Softplus Softsign ThresholdedRelu Abs Neg Floor Ceil Reciprocal Sqrt Exp Log Clip Sum';

/** Inputs over which an operator's first output may be written, where it is their last reader and of the same size. */
const IN_PLACE: ReadonlyMap<string, readonly number[]> = new Map([
  ...UNARY.split(' ').map((op): [string, readonly number[]] => [op, [0]]),
  ...['Add', 'Sub', 'Mul', 'Div'].map((op): [string, readonly number[]] => [op, [0, 1]]),
]);

/** The arena hands out whole blocks of this many bytes. */
const BLOCK = 256;

/**
 * Predicts the memory of a run on the CPU (ONNX Runtime 1.30, memory patterns off): nodes run in `executionOrder`, views share their
 * input's buffer, elementwise operators write over an input that nobody else needs, and a buffer is free after its last
 * reader. Not counted: kernels' scratch memory, gaps in the arena, sub-graphs' own values.
 */
export function runMemory(graph: Graph, bytesOf: (value: string) => number): RunMemory {
  return memoryOfOrder(graph, executionOrder(graph), bytesOf);
}

/** As `runMemory` for a given order; `onNode` hears how many bytes were held while each node ran. */
export function memoryOfOrder(
  graph: Graph,
  order: readonly Node[],
  bytesOf: (value: string) => number,
  onNode?: (node: Node, bytes: number) => void,
): RunMemory {
  let fixedBytes = 0;
  for (const { name } of requiredInputs(graph)) fixedBytes += bytesOf(name);
  for (const tensor of graph.initializers.values()) fixedBytes += tensor.bytes.byteLength;

  const uses = new Map<string, number>();
  const use = (value: string, count: number): number => {
    const left = (uses.get(value) ?? 0) + count;
    uses.set(value, left);
    return left;
  };
  const reads = order.map((node) => (node.attributes.size === 0 ? new Set(node.inputs) : readsOf(node)));
  for (const values of reads) for (const value of values) if (value !== '') use(value, 1);
  for (const { name } of graph.outputs) use(name, 1);

  /** Buffer of every value that a node computed; views and values written in place share one. */
  const buffers = new Map<string, { bytes: number; readers: number }>();
  let live = fixedBytes;
  let peak: { bytes: number; node: string | undefined } = { bytes: fixedBytes, node: order[0]?.name };
  order.forEach((node, index) => {
    const constant = node.op === 'Constant' && node.domain === '';
    node.outputs.forEach((output, position) => {
      if (output === '' || constant) return;
      const readers = uses.get(output) ?? 0;
      const bytes = bytesOf(output);
      const shared = position === 0 ? sharedBuffer(node, bytes) : undefined;
      if (shared !== undefined) {
        shared.readers += readers;
        buffers.set(output, shared);
      } else {
        const size = Math.ceil(bytes / BLOCK) * BLOCK;
        buffers.set(output, { bytes: size, readers });
        live += size;
      }
    });
    if (live > peak.bytes) peak = { bytes: live, node: node.name };
    onNode?.(node, live);
    for (const value of reads[index]!) release(value);
    for (const output of node.outputs) if (output !== '' && (uses.get(output) ?? 0) === 0) release(output, 0);
  });
  return { ...peak, fixedBytes };

  function sharedBuffer(node: Node, bytes: number): { bytes: number; readers: number } | undefined {
    if (node.domain !== '') return undefined;
    // A view of a fed input or a constant takes no memory of its own.
    if (VIEWS.has(node.op)) return buffers.get(node.inputs[0]!) ?? { bytes: 0, readers: 0 };
    for (const input of IN_PLACE.get(node.op) ?? []) {
      const value = node.inputs[input];
      const buffer = value === undefined ? undefined : buffers.get(value);
      if (buffer?.readers === 1 && bytesOf(value!) === bytes && buffer.bytes > 0) return buffer;
    }
    return undefined;
  }

  function release(value: string, count = 1): void {
    const buffer = buffers.get(value);
    if (buffer === undefined) return;
    buffer.readers -= count;
    if (buffer.readers > 0) return;
    live -= buffer.bytes;
    buffer.bytes = 0;
    buffers.delete(value);
  }
}
