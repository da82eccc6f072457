/** @file Which model a protobuf message is, by the fields it has and what stands in its first ones. */
import { AuditError } from '../errors.js';
import type { ModelFormat } from '../formats.js';
import type { ProtoMessage } from '../read/protobuf.js';

interface Kind {
  readonly format: ModelFormat;
  readonly evidence: string;
}

const only = (message: ProtoMessage, allowed: readonly number[]): boolean =>
  message.fields.every((field) => allowed.includes(field));

/** The first few messages of a field; none where it holds anything else. */
function some(message: ProtoMessage, field: number, count = 4): readonly ProtoMessage[] {
  return message.firstMessages(field, count);
}

const isName = (text: string): boolean => /^[A-Za-z_][\w.>-]{0,80}$/.test(text);

/** Tags of `Specification.Type` in Core ML's Model.proto. */
const isCoreMlType = (field: number): boolean =>
  (field >= 200 && field <= 219) ||
  (field >= 300 && field <= 319) ||
  (field >= 400 && field <= 419) ||
  [
    500, 501, 502, 550, 551, 552, 553, 554, 555, 556, 557, 600, 601, 602, 603, 604, 606, 607, 609, 610, 900, 3000,
  ].includes(field) ||
  (field >= 2000 && field <= 2009);

function isGraph(message: ProtoMessage): boolean {
  if (!only(message, [1, 2, 3, 4]) || message.wire(1) !== 2) return false;
  const nodes = some(message, 1);
  return (
    nodes.length > 0 &&
    nodes.every(
      (node) => only(node, [1, 2, 3, 4, 5, 6, 7]) && node.wire(1) === 2 && node.wire(2) === 2 && isName(node.string(2)),
    )
  );
}

/** Tags of MediaPipe's CalculatorGraphConfig. */
const GRAPH_CONFIG = [1, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 1001, 1002];
/** `TAG:index:name`, of which only the name must be there. */
const isStream = (text: string): boolean => /^([A-Z][A-Z0-9_]*:)?(\d+:)?[a-z_][a-z0-9_]*$/.test(text);

const rules: readonly ((message: ProtoMessage) => Kind | undefined)[] = [
  (m) => {
    if (m.wire(7) !== 2 || m.wire(1) !== 0 || !only(m, [1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26])) return undefined;
    const node = some(m, 7, 1)[0]?.firstMessages(1, 1)[0];
    const op = node?.wire(4) === 2 ? node.string(4) : '';
    return isName(op)
      ? { format: 'onnx', evidence: `a ModelProto of IR version ${m.int(1)} whose first node is ${op}` }
      : undefined;
  },
  (m) => {
    if (m.wire(1) !== 0 || m.wire(2) !== 2 || !only(m, [1, 2])) return undefined;
    const graph = some(m, 2, 1)[0]?.firstMessages(2, 1)[0];
    return graph && isGraph(graph) ? { format: 'savedmodel', evidence: 'a SavedModel with a MetaGraphDef' } : undefined;
  },
  (m) => {
    const type = m.wire(1) === 0 && m.wire(2) === 2 ? m.fields.find(isCoreMlType) : undefined;
    return type !== undefined && only(m, [1, 2, 10, type]) && some(m, 2, 1).length > 0
      ? { format: 'coreml', evidence: `a Core ML specification of version ${m.int(1)} and type ${type}` }
      : undefined;
  },
  (m) => {
    // The names of streams tell its nodes from TensorFlow's, which have operators where these have calculators.
    const nodes = m.wire(1) === 2 && only(m, GRAPH_CONFIG) ? some(m, 1, 64) : [];
    const streams = nodes.flatMap((node) => [3, 4].flatMap((field) => (node.has(field) ? node.strings(field) : [])));
    return nodes.some((node) => /Calculator$/.test(node.string(2))) &&
      nodes.every((node) => node.wire(2) === 2 && isName(node.string(2))) &&
      streams.length > 0 &&
      streams.every(isStream)
      ? { format: 'mediapipe-graph', evidence: `nodes with calculators, the first of them ${nodes[0]!.string(2)}` }
      : undefined;
  },
  (m) => (isGraph(m) ? { format: 'graphdef', evidence: 'nodes with names, operators and attributes' } : undefined),
  (m) => {
    const layers = [
      ...some(m, 100).map((each) => each.string(2)),
      ...(m.has(100) ? [] : some(m, 2).map((each) => (each.wire(5) === 0 ? `V1 type ${each.int(5)}` : ''))),
    ];
    const plain = only(m, [1, 2, 3, 4, 5, 6, 7, 8, 100]);
    return plain && layers.length > 0 && layers.every((type) => /^[A-Z][\w ]+$/.test(type))
      ? { format: 'caffe', evidence: `a NetParameter whose first layer is ${layers[0]}` }
      : undefined;
  },
  (m) => {
    const operators = m.wire(2) === 2 && only(m, [1, 2, 3, 4, 5, 6, 7, 8, 9]) ? some(m, 2) : [];
    return operators.length > 0 &&
      operators.every(
        (op) => op.wire(4) === 2 && isName(op.string(4)) && only(op, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
      )
      ? { format: 'caffe2', evidence: `a NetDef whose first operator is ${operators[0]!.string(4)}` }
      : undefined;
  },
  (m) => {
    const block = m.wire(1) === 2 && only(m, [1, 2, 3, 4, 5, 6]) ? some(m, 1, 1)[0] : undefined;
    if (block?.wire(1) !== 0 || block.wire(2) !== 0 || block.wire(4) !== 2) return undefined;
    const operator = some(block, 4, 1)[0];
    const type = operator?.wire(3) === 2 ? operator.string(3) : '';
    return isName(type) ? { format: 'paddle', evidence: `a ProgramDesc whose first operator is ${type}` } : undefined;
  },
];

/** What a message is a model of; `undefined` where nothing fits. */
export function protobufKind(message: ProtoMessage): Kind | undefined {
  for (const rule of rules) {
    try {
      const kind = rule(message);
      if (kind) return kind;
    } catch (cause) {
      // A field of another form than the rule expects: the message is something else.
      if (!(cause instanceof AuditError)) throw cause;
    }
  }
  return undefined;
}
