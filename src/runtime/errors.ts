/** @file What ONNX Runtime refuses, in our words: missing package, unloadable model, failed run. */
import { CuttleError, type ErrorKind } from '../ir/index.js';
import type { Backend } from './options.js';

const PACKAGES: Readonly<Record<Backend, string>> = {
  native: 'onnxruntime-node',
  wasm: 'onnxruntime-web',
  webgpu: 'onnxruntime-web',
};

/** The optional package behind a back end is not installed, or does not start here. Exit code 1. */
export class MissingRuntimeError extends CuttleError {
  constructor(backend: Backend, cause: unknown) {
    super('failed', 'runtime/missing', `the ${backend} runtime cannot be loaded: ${reasonOf(cause)}`, {
      hint: `Install it with: npm install ${PACKAGES[backend]} --ignore-scripts`,
      cause,
    });
  }
}

/** Session options that contradict each other or the process's earlier choices. Exit code 2. */
export class SessionOptionsError extends CuttleError {
  constructor(message: string, hint: string) {
    super('usage', 'runtime/options', message, { hint });
  }
}

/** ONNX Runtime refuses a model. `kind` is 'unsupported' where an operator, type or version has no kernel, else 'invalid'. */
export class RuntimeLoadError extends CuttleError {
  /** The node that is refused, where ONNX Runtime names one. */
  readonly node: string | undefined;
  /** The operator that is refused, where ONNX Runtime names one. */
  readonly op: string | undefined;

  constructor(kind: ErrorKind, message: string, found: { node?: string; op?: string; hint?: string; cause?: unknown }) {
    super(kind, `runtime/load-${kind}`, message, found);
    this.node = found.node;
    this.op = found.op;
  }
}

/** A run was refused or failed: a feed of the wrong name, type or shape, or a kernel that gave up. Exit code 3 or 1. */
export class SessionRunError extends CuttleError {
  /** The node whose kernel failed, where ONNX Runtime names one. */
  readonly node: string | undefined;

  constructor(
    kind: ErrorKind,
    code: string,
    message: string,
    found: { node?: string; hint?: string; cause?: unknown } = {},
  ) {
    super(kind, code, message, found);
    this.node = found.node;
  }
}

/** The session was released before this call. Exit code 1. */
export class SessionReleasedError extends CuttleError {
  constructor() {
    super('failed', 'runtime/released', 'the session has been released', {
      hint: 'Open a new session, or release this one later.',
    });
  }
}

/** A tensor whose element type ONNX Runtime cannot carry across its JavaScript interface. Exit code 4. */
export class UnsupportedDataTypeError extends CuttleError {
  constructor(dtype: string, where: string) {
    super(
      'unsupported',
      'runtime/dtype',
      `${where} has element type ${dtype}, which ONNX Runtime's JavaScript interface does not carry`,
      {
        hint: 'Insert a Cast to float32 (or int64) at this input or output of the graph.',
      },
    );
  }
}

interface LoadRule {
  readonly pattern: RegExp;
  readonly kind: ErrorKind;
  /** Our sentence; `groups` are the pattern's. Where omitted, ONNX Runtime's own reason. */
  readonly say?: (groups: Readonly<Record<string, string>>) => string;
  readonly hint?: string;
}

/** ONNX Runtime tells its reasons in prose alone: this table, checked on version 1.30, gives them a kind. First match counts. */
const LOAD_RULES: readonly LoadRule[] = [
  {
    pattern: /No Op registered for (?<op>\S+) with domain_version of (?<opset>\d+)/,
    kind: 'unsupported',
    say: ({ op, opset }) => `operator ${op} does not exist in opset ${opset} for ONNX Runtime`,
    hint: 'Check the operator’s name and the model’s opset, or rebuild the node from standard operators.',
  },
  {
    pattern: /(?<op>\S+?)\(-?\d+\) is not a registered function\/op/,
    kind: 'unsupported',
    say: ({ op }) => `operator ${op} is not known to ONNX Runtime`,
    hint: 'Replace the custom operator by standard ones before loading.',
  },
  {
    pattern: /Could not find an implementation for (?<op>\S+?)\((?<opset>\d+)\) node with name '(?<node>[^']*)'/,
    kind: 'unsupported',
    say: ({ op, opset, node }) =>
      `ONNX Runtime has no kernel for node '${node}' (${op}, opset ${opset}) with these element types`,
    hint: 'Cast the node’s inputs to float32, or use another execution provider.',
  },
  {
    pattern: /Opset (?<opset>\d+) is under development/,
    kind: 'unsupported',
    say: ({ opset }) => `opset ${opset} is newer than this ONNX Runtime knows`,
    hint: 'Export the model with opset 21 or lower.',
  },
  {
    pattern: /Unsupported model IR version: (?<ir>\d+), max supported IR version: (?<max>\d+)/,
    kind: 'unsupported',
    say: ({ ir, max }) => `IR version ${ir} is newer than this ONNX Runtime knows (${max})`,
    hint: 'Export the model with IR version 10 or lower.',
  },
  {
    pattern: /[Uu]nsupported data type: (?<code>\d+)/,
    kind: 'unsupported',
    say: ({ code }) =>
      `an input or output has a data type (ONNX code ${code}) that the JavaScript interface does not carry`,
    hint: 'Insert a Cast to float32 at this input or output of the graph.',
  },
  {
    pattern: /protobuf parsing failed|No graph was found in the protobuf|Model data pointer is null/i,
    kind: 'invalid',
    say: () => 'the bytes are not a complete ONNX model',
  },
  {
    pattern: /bad_alloc|out of memory|OOM|Aborted\(/,
    kind: 'failed',
    say: () => 'memory ran out while the model was loaded',
  },
];

/** Where ONNX Runtime puts a node's name, in its several styles. */
const NODE_NAMES: readonly RegExp[] = [
  /In Node, \("(?<node>[^"]*)", (?<op>[^,\s]+)/,
  /Node \((?<node>[^)]*)\) Op \((?<op>[^)]*)\)/,
  /node with name '(?<node>[^']*)'/i,
  /running (?<op>\S+) node\. Name:'(?<node>[^']*)'/,
  /in node \((?<node>[^)]*)\)/i,
];

/** Turns what a back end threw while loading a model into a branded error. */
export function loadError(backend: Backend, cause: unknown): CuttleError {
  if (cause instanceof CuttleError) return cause;
  const raw = cause instanceof Error ? cause.message : String(cause);
  if (/no available backend found/.test(raw)) return new MissingRuntimeError(backend, cause);
  const rule = LOAD_RULES.find(({ pattern }) => pattern.test(raw));
  const groups = rule?.pattern.exec(raw)?.groups ?? {};
  const named = nodeIn(raw);
  const node = groups['node'] ?? named.node;
  const op = groups['op'] ?? named.op;
  const reason = rule?.say?.(groups) ?? reasonOf(cause);
  const place = node !== undefined && !reason.includes(`'${node}'`) ? `node '${node}': ` : '';
  return new RuntimeLoadError(rule?.kind ?? 'invalid', `ONNX Runtime refuses the model: ${place}${reason}`, {
    node,
    op,
    hint: rule?.hint,
    cause,
  });
}

/** Turns what a back end threw during a run into a branded error; `feeds` describes the inputs given. */
export function runError(cause: unknown, feeds: string): CuttleError {
  if (cause instanceof CuttleError) return cause;
  const raw = cause instanceof Error ? cause.message : String(cause);
  const { node, op } = nodeIn(raw);
  if (/bad_alloc|out of memory|Failed to allocate|Aborted\(/i.test(raw))
    return new SessionRunError('failed', 'runtime/memory', `memory ran out during the run (inputs: ${feeds})`, {
      node,
      hint: 'Use a smaller batch.',
      cause,
    });
  if (/non-tensor type/i.test(raw))
    return new SessionRunError(
      'unsupported',
      'runtime/non-tensor',
      'an output is a sequence, map or optional, not a tensor',
      {
        hint: 'Ask for tensor outputs only.',
        cause,
      },
    );
  const place = node === undefined ? '' : `node '${node}'${op === undefined ? '' : ` (${op})`}: `;
  return new SessionRunError('invalid', 'runtime/run', `${place}${reasonOf(cause)} (inputs: ${feeds})`, {
    node,
    hint: 'Check that the inputs’ shapes are ones the model was made for.',
    cause,
  });
}

function nodeIn(raw: string): { readonly node?: string; readonly op?: string } {
  for (const pattern of NODE_NAMES) {
    const groups = pattern.exec(raw)?.groups;
    if (groups?.['node'] !== undefined && groups['node'] !== '') return groups;
  }
  return {};
}

/** ONNX Runtime's reason without error codes, C++ signatures and source paths. */
function reasonOf(cause: unknown): string {
  const raw = cause instanceof Error ? cause.message : String(cause);
  const reason = raw
    .replace(/^.*?ERROR_MESSAGE:\s*/s, '')
    .replace(/^.*?Status Message:\s*/s, '')
    .replace(/^(?:This is an invalid model\.\s*)?In Node, .*?, Error\s+/s, '')
    .replace(/^Node \([^)]*\) Op \([^)]*\)\s*/, '')
    .replace(/^\S*onnxruntime\S*\.(?:h|cc):\d+ .*?\)(?: const)?\s+(?=\S)/s, '')
    .replace(/^\S+\.(?:h|cc):\d+ \S+\s*/, '')
    .trim();
  return (reason || raw.trim() || 'no reason given').split('\n')[0]!;
}
