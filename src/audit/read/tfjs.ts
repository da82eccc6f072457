/** @file TensorFlow.js models (`model.json`): graph models as JSON of a GraphDef, layers models as a Keras configuration. */
import { dataTypes } from '../../ir/index.js';
import { jsonOf, list, record, text, type Json } from './json.js';
import { kerasModel } from './keras-config.js';
import { defaultReadLimits, ReadBudget, type ReadLimits } from './limits.js';
import type { AuditModel } from './model.js';
import { modelOfNodes } from './tensorflow.js';
import type { TfAttributes, TfNode, TfTensor } from './tf-attributes.js';
import type { TfFunction } from './tf-walk.js';

/** Weights that a `model.json` names, with their shapes; the numbers lie in other files. */
function manifest(root: Json, budget: ReadBudget): ReadonlyMap<string, TfTensor> {
  const found = new Map<string, TfTensor>();
  for (const group of list(record(root)['weightsManifest']))
    for (const each of list(record(group)['weights'])) {
      const weight = record(each);
      const dtype = text(record(weight['quantization'])['dtype']) || text(weight['dtype']);
      found.set(text(weight['name']), {
        dtype: dtype || 'float32',
        shape: budget.dims(list(weight['shape']).map(Number)),
      });
    }
  return found;
}

/** Reads a `model.json` of either kind. Throws AuditError where it is none or exceeds a limit. */
export function readTfjs(bytes: Uint8Array, limits: ReadLimits = defaultReadLimits): AuditModel {
  const budget = new ReadBudget('tfjs', limits);
  const root = jsonOf(bytes, budget);
  const topology = record(record(root)['modelTopology']);
  const weights = manifest(root, budget);
  if (topology['node'] === undefined) {
    const config = topology['model_config'] ?? topology;
    return kerasModel(
      'tfjs-layers',
      config,
      { weights, producer: text(record(root)['generatedBy']) || text(topology['keras_version']) },
      budget,
    );
  }
  const functions = new Map<string, TfFunction>();
  for (const each of list(record(topology['library'])['function'])) {
    const [fn, signature] = [record(each), record(record(each)['signature'])];
    const returned = record(fn['ret']);
    functions.set(text(signature['name']), {
      nodes: list(fn['nodeDef']).map((node) => nodeOf(node, weights)),
      args: list(signature['inputArg']).map((arg) => text(record(arg)['name'])),
      results: list(signature['outputArg']).map((arg) => text(returned[text(record(arg)['name'])])),
    });
  }
  const nodes = list(topology['node']).map((node) => nodeOf(node, weights));
  return modelOfNodes(
    'tfjs-graph',
    nodes,
    functions,
    { signatures: [], producer: text(record(root)['convertedBy']) },
    budget,
  );
}

const typeOf = (word: string): string | undefined => {
  const name = word.replace(/^DT_/, '').toLowerCase();
  const plain = name === 'float' ? 'float32' : name === 'double' ? 'float64' : name === 'half' ? 'float16' : name;
  return plain in dataTypes ? plain : undefined;
};

function nodeOf(node: Json, weights: ReadonlyMap<string, TfTensor>): TfNode {
  const fields = record(node);
  const entries = record(fields['attr']);
  const at = (name: string) => record(entries[name]);
  const name = text(fields['name']);
  const attributes: TfAttributes = {
    number: (key, fallback = 0) => {
      const value = at(key)['i'] ?? at(key)['f'] ?? at(key)['b'];
      return value === undefined ? fallback : Number(value);
    },
    numbers: (key) => list(record(at(key)['list'])['i']).map(Number),
    // Strings are base64, as JSON of protobuf writes bytes.
    text: (key) => decoded(text(at(key)['s'])),
    texts: (key) => list(record(at(key)['list'])['s']).map((each) => decoded(text(each))),
    type: (key) => typeOf(text(at(key)['type'])),
    shape: (key) => {
      const shape = record(at(key)['shape']);
      return shape['unknownRank'] === true ? null : list(shape['dim']).map((dim) => Number(record(dim)['size'] ?? 0));
    },
    tensor: () => weights.get(name),
    callee: (key) => text(record(at(key)['func'])['name']),
  };
  return { name, op: text(fields['op']), inputs: list(fields['input']).map(text), attributes };
}

function decoded(base64: string): string {
  try {
    return atob(base64);
  } catch {
    // Some writers leave the text as it is.
    return base64;
  }
}
