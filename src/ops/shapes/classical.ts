/** @file Shape rules of classical machine learning (ai.onnx.ml), which exported pipelines put around a network. */
import { addDims, intOf, intsOf, stringsOf, type Dim, type Node } from '../../ir/index.js';
import type { InferContext, InferRule } from '../record.js';
import { dtypeOf, shapeOf, single, table, typed, type RuleTable } from './support.js';

const rowsOf = ({ inputs }: InferContext): Dim => {
  const x = shapeOf(inputs[0]);
  return x === undefined ? null : x.length > 1 ? x[0]! : 1;
};

const classesOf = (node: Node, ...names: readonly string[]): number => {
  for (const name of names) {
    const found = name.endsWith('strings') ? stringsOf(node, name, undefined) : intsOf(node, name, undefined);
    if (found && found.length > 0) return found.length;
  }
  return 0;
};

/** Labels [N] and scores [N, classes]. */
const classifier =
  (strings: string, ints: string): InferRule =>
  (context) => {
    const { node } = context;
    const rows = rowsOf(context);
    const labels = (stringsOf(node, strings, []) ?? []).length > 0 ? 'string' : 'int64';
    return { types: [typed(labels, [rows]), typed('float32', [rows, classesOf(node, strings, ints)])] };
  };

/** Predictions [N, targets]. */
const regressor =
  (targets: (node: Node) => number): InferRule =>
  (context) =>
    single('float32', [rowsOf(context), targets(context.node)]);

const toFloat: InferRule = ({ inputs }) => single('float32', shapeOf(inputs[0]));
const likeFirst: InferRule = ({ inputs }) => ({ types: [inputs[0]] });

/** OneHotEncoder: one more dim, as long as the list of categories. */
const oneHot: InferRule = ({ node, inputs }) => {
  const x = shapeOf(inputs[0]);
  return single('float32', x && [...x, classesOf(node, 'cats_strings', 'cats_int64s')]);
};

/** LabelEncoder-2 … 4: the element type of the values. */
const labelEncoder: InferRule = ({ node, inputs }) => {
  const has = (name: string): boolean => node.attributes.has(name);
  const stated = node.attributes.get('values_tensor');
  const dtype = has('values_strings')
    ? 'string'
    : has('values_int64s')
      ? 'int64'
      : has('values_floats')
        ? 'float32'
        : stated?.type === 'tensor'
          ? stated.value.dtype
          : dtypeOf(inputs[0]) === 'string'
            ? 'int64'
            : 'string';
  return single(dtype, shapeOf(inputs[0]));
};

/** FeatureVectorizer: the columns of all inputs. */
const featureVectorizer: InferRule = (context) => {
  const columns = context.inputs.map((input) => shapeOf(input)?.at(-1) ?? null);
  return single('float32', [rowsOf(context), columns.reduce<Dim>(addDims, 0)]);
};

/** ZipMap: a sequence of maps from class to score. */
const zipMap: InferRule = ({ node }) => ({
  types: [
    {
      kind: 'sequence',
      element: {
        kind: 'map',
        key: node.attributes.has('classlabels_strings') ? 'string' : 'int64',
        value: typed('float32', []),
      },
    },
  ],
});

export const classicalShapes: RuleTable = {
  ...table(['Scaler', 'Normalizer'].map(inMl), toFloat),
  ...table(['Binarizer', 'Imputer'].map(inMl), likeFirst),
  'ai.onnx.ml:LinearClassifier': classifier('classlabels_strings', 'classlabels_ints'),
  'ai.onnx.ml:SVMClassifier': classifier('classlabels_strings', 'classlabels_ints'),
  'ai.onnx.ml:TreeEnsembleClassifier': classifier('classlabels_strings', 'classlabels_int64s'),
  'ai.onnx.ml:LinearRegressor': regressor((node) => intOf(node, 'targets', 1)),
  'ai.onnx.ml:SVMRegressor': regressor(() => 1),
  'ai.onnx.ml:TreeEnsembleRegressor': regressor((node) => intOf(node, 'n_targets', 1)),
  'ai.onnx.ml:OneHotEncoder': oneHot,
  'ai.onnx.ml:LabelEncoder': labelEncoder,
  'ai.onnx.ml:CategoryMapper': ({ inputs }) =>
    single(dtypeOf(inputs[0]) === 'string' ? 'int64' : 'string', shapeOf(inputs[0])),
  'ai.onnx.ml:FeatureVectorizer': featureVectorizer,
  'ai.onnx.ml:ZipMap': zipMap,
};

function inMl(op: string): string {
  return `ai.onnx.ml:${op}`;
}
