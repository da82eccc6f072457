/** @file What MNN's schema (MNN.fbs, CaffeOp.fbs, TensorflowOp.fbs) calls operators and element types, and which field is which. */

const first = (
  'AbsVal QuantizedAdd ArgMax AsString InstanceNorm BatchToSpaceND Bias BinaryOp Bnll Cast Concat Const Convolution ConvolutionDepthwise Crop ' +
  'CropAndResize Cubic Deconvolution DeconvolutionDepthwise Dequantize DetectionOutput Dropout Eltwise ELU Unique Exp ExpandDims Fill Flatten ' +
  'FloorMod Gather GatherV2 Im2Seq InnerProduct Input Interp Log LRN LSTM MatMul MVN NonMaxSuppression NonMaxSuppressionV2 Normalize Pack Padding ' +
  'Permute Pooling Power PReLU PriorBox Proposal QuantizedAvgPool QuantizedBiasAdd QuantizedConcat QuantizedDepthwiseConv2D QuantizedLogistic ' +
  'QuantizedMatMul QuantizedMaxPool QuantizedRelu QuantizedRelu6 QuantizedReshape QuantizedSoftmax QuantizeMaxMin QuantizeV2 Range Rank ReduceJoin ' +
  'Reduction ReLU ReLU6 RequantizationRange Requantize Reshape Resize RNN ROIPooling Scale Selu Seq2Out Shape Sigmoid Size Slice SliceTf Softmax ' +
  'SpaceToBatchND SpatialProduct Split Segment Squeeze StridedSlice StringJoin StringSplit StringToNumber TanH TfQuantizedConv2D Threshold Tile ' +
  'TopKV2 Transpose UnaryOp Unpack Where Moments RNNSequenceGRU BatchMatMul Unsqueeze CosineSimilarity DepthToSpace SpaceToDepth ReverseSequence ' +
  'Pooling3D Convolution3D MatrixBandPart GatherND DetectionPostProcess UnravelIndex ScatterNd OneHot BroadcastTo Dilation2D'
).split(' ');

/** Operators by code; the rest of the codes stand apart. */
export const mnnOperators: ReadonlyMap<number, string> = new Map<number, string>([
  ...first.map((name, code): [number, string] => [code, name]),
  ...'Raster ConvertTensor ArgMin LinSpace RandomUniform TensorArray TensorArraySize TensorArrayRead TensorArrayWrite TensorArrayGather TensorArrayScatter TensorArraySplit TensorArrayConcat LSTMBlockCell Reverse'
    .split(' ')
    .map((name, i): [number, string] => [128 + i, name]),
  [256, 'Plugin'],
  ...'Select ZerosLike Broastcast SetDiff1D ReluGrad Relu6Grad PoolGrad SoftmaxGrad Conv2DBackPropFilter TrainableParam BatchNorm ZeroGrad'
    .split(' ')
    .map((name, i): [number, string] => [257 + i, name]),
  ...'Extra ConvInt8 Int8ToFloat DepthwiseConvInt8 PoolInt8 FloatToInt8 EltwiseInt8'
    .split(' ')
    .map((name, i): [number, string] => [512 + i, name]),
  [600, 'While'],
  [601, 'If'],
  [603, 'LayerNorm'],
  [604, 'GridSample'],
]);

/** Element types by code, named as in ONNX. */
export const mnnTypes: ReadonlyMap<number, string> = new Map([
  [1, 'float32'],
  [2, 'float64'],
  [3, 'int32'],
  [4, 'uint8'],
  [5, 'int16'],
  [6, 'int8'],
  [7, 'string'],
  [9, 'int64'],
  [10, 'bool'],
  [19, 'float16'],
]);

/** Field ids by table. */
export const mnnFields = {
  net: { operators: 3, outputs: 4, source: 6, tensors: 7, subgraphs: 10, uuid: 11 },
  operator: { inputs: 0, main: 2, name: 3, outputs: 4, type: 5 },
  subgraph: { name: 0, tensors: 3, nodes: 4 },
  convolution: { common: 0, weight: 1, bias: 2, packed: 3, symmetric: 4 },
  common: {
    padX: 0,
    padY: 1,
    kernelX: 2,
    kernelY: 3,
    strideX: 4,
    strideY: 5,
    dilateX: 6,
    dilateY: 7,
    padMode: 8,
    group: 9,
    outputs: 10,
    inputs: 11,
    relu: 12,
    relu6: 13,
    pads: 14,
  },
  packed: { buffer: 0, alpha: 1, type: 2 },
  symmetric: { weight: 0, bias: 1, scale: 2 },
  innerProduct: { outputs: 0, biasTerm: 1, weightSize: 2, weight: 3, bias: 4, packed: 7 },
  pool: { padX: 0, padY: 1, global: 2, kernelX: 3, kernelY: 4, strideX: 5, strideY: 6, padType: 8, ceil: 10 },
  blob: { dims: 0, format: 1, type: 2, uint8s: 3, int8s: 4, int32s: 5, int64s: 6, float32s: 7 },
  input: { dims: 0, type: 1, format: 2 },
  scale: { channels: 0, scale: 1, bias: 2 },
  batchNorm: { channels: 0, slope: 1, mean: 2, variance: 3, bias: 4 },
  reshape: { dims: 0, format: 1 },
} as const;

/** Converters that a network came from. */
export const mnnSources: readonly string[] = ['Caffe', 'TensorFlow', 'TFLite', 'ONNX', 'Torch'];
