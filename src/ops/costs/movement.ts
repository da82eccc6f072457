/** @file Operators that move, view, make or count data, but do no arithmetic on it. */
import { costTable, flops, type CostTable } from './support.js';

const FREE = [
  'Cast', 'CastLike', 'CenterCropPad', 'Col2Im', 'Compress', 'Concat', 'ConcatFromSequence', 'Constant',
  'ConstantOfShape', 'DepthToSpace', 'Dropout', 'Expand', 'EyeLike', 'Flatten', 'Gather', 'GatherElements', 'GatherND',
  'Identity', 'ImageDecoder', 'MaxUnpool', 'NonZero', 'OneHot', 'Optional', 'OptionalGetElement', 'OptionalHasElement',
  'Pad', 'RegexFullMatch', 'Reshape', 'ReverseSequence', 'Scatter', 'ScatterElements', 'ScatterND', 'SequenceAt',
  'SequenceConstruct', 'SequenceEmpty', 'SequenceErase', 'SequenceInsert', 'SequenceLength', 'Shape', 'Size', 'Slice',
  'SpaceToDepth', 'Split', 'SplitToSequence', 'Squeeze', 'StringConcat', 'StringNormalizer', 'StringSplit',
  'TensorScatter', 'TfIdfVectorizer', 'Tile', 'Transpose', 'Trilu', 'Unsqueeze',
  'ai.onnx.ml:ArrayFeatureExtractor', 'ai.onnx.ml:CategoryMapper', 'ai.onnx.ml:FeatureVectorizer',
  'ai.onnx.ml:LabelEncoder', 'ai.onnx.ml:OneHotEncoder', 'ai.onnx.ml:ZipMap', 'com.microsoft:QLinearConcat',
  'com.microsoft:Trilu',
]; // prettier-ignore

export const movementCosts: CostTable = costTable(FREE, () => flops(0));
