/** @file What an operator does, by its name in any of the formats: one table for all of them. */
import type { LayerFamily } from './model.js';

/** Names in lower case without signs; each row is one family. */
const NAMES: Readonly<Record<Exclude<LayerFamily, 'other'>, string>> = {
  convolution:
    'conv conv1d conv2d conv3d convolution convolution1d convolution2d convolution3d convinteger qlinearconv fusedconv ' +
    'separableconv1d separableconv2d quantizedconv2d convint8 tfquantizedconv2d stablehloconvolution deformableconv2d deformconv fusedconv2d',
  'depthwise-convolution':
    'depthwiseconv2d depthwiseconv1d depthwiseconv2dnative convolutiondepthwise convolutiondepthwise1d convolutiondepthwise3d depthwiseconvint8 ' +
    'depthwiseconvolution quantizeddepthwiseconv2d fuseddepthwiseconv2dnative fuseddepthwiseconv2d',
  'transposed-convolution':
    'convtranspose conv2dtranspose conv1dtranspose conv3dtranspose transposeconv deconvolution deconvolutiondepthwise deconvolution1d deconvolution3d ' +
    'conv2dbackpropinput conv3dtransposed convtranspose2d transposedconv',
  dense: 'gemm dense innerproduct fullyconnected fc linear',
  matmul:
    'matmul batchmatmul batchmatmulv2 batchmatmulv3 matmulinteger qlinearmatmul fusedmatmul quantizedmatmul einsum stablehlodotgeneral dot mul2d batchedmatmul',
  recurrent:
    'lstm gru rnn simplernn bidirectional unidirectionalsequencelstm bidirectionalsequencelstm unidirectionalsequencernn bidirectionalsequencernn svdf ' +
    'lstmblockcell blocklstm cudnnlstm cudnngru rnnsequencegru simplerecurrent unidirectionallstm bidirectionallstm basiclstmcell stackedrnncells lstmcell convlstm2d grublockcell',
  attention: 'attention multiheadattention scaleddotproductattention skiplayernormalization groupqueryattention sdpa',
  embedding:
    'embedding embed embeddinglookup embeddinglookupsparse hashtablelookup embeddingnd embeddingbag resourcegather',
  normalisation:
    'batchnorm batchnormalization batchnormalizationv1 batchnormalizationv2 fusedbatchnorm fusedbatchnormv2 fusedbatchnormv3 scale bias instancenorm instancenormalization ' +
    'layernorm layernormalization groupnorm groupnormalization lrn localresponsenormalization l2normalization l2normalize lpnormalization normalize mvn ' +
    'meanvariancenormalize rmsnorm meanvariancenormalization simplifiedlayernormalization unitnormalization normalization',
  activation:
    'relu relu6 relun1to1 relu0to1 leakyrelu prelu elu selu celu sigmoid logistic hardsigmoid hardswish swish silu mish tanh gelu clip softplus softsign ' +
    'thresholdedrelu threshold activation dropout bnll relux hswish hsigmoid shrink erf quantizedrelu quantizedrelu6 rrelu spatialdropout1d spatialdropout2d gaussiannoise',
  softmax: 'softmax logsoftmax softmaxwithloss hardmax',
  pooling:
    'averagepool averagepool2d maxpool maxpool2d maxpoolv2 avgpool pooling pool l2pool2d globalaveragepool globalmaxpool globalaveragepooling2d globalaveragepooling1d ' +
    'globalmaxpooling2d globalmaxpooling1d maxpooling2d averagepooling2d maxpooling1d averagepooling1d roipooling roialign psroipooling quantizedmaxpool quantizedavgpool ' +
    'pooling3d pooling1d poolint8 globalpooling3d lppool globallppool maxroipool maxpool3d avgpool3d spp pool2d pool3d',
  reduction:
    'mean sum reducemean reducesum reducemax reducemin reduceprod reducel2 reducel1 reduceany reduceall reduction argmax argmin topk topkv2 cumsum max min prod any all ' +
    'reducelogsumexp reducesumsquare argmaxv2 moments reduce norm',
  elementwise:
    'add addv2 biasadd sub mul div realdiv pow maximum minimum eltwise binaryop unaryop abs neg exp log sqrt rsqrt square sin cos tan floor ceil round sign ' +
    'squareddifference greater greaterequal less lessequal equal notequal logicaland logicalor logicalnot and or not xor where select selectv2 addn floordiv floormod ' +
    'mod cast power absval addlayer multiply subtract average unary addbroadcastable multiplybroadcastable subtractbroadcastable dividebroadcastable reciprocal ' +
    'multiplylayer eltwiseint8 isnan sum2 stablehloadd stablehlomultiply stablehlodivide stablehlosubtract stablehlomaximum negative',
  resize:
    'resize resizebilinear resizenearestneighbor interp upsample upsampling2d upsamplebilinear upsamplenearest resize2d cropandresize gridsample upsampling1d nearestinterp bilinearinterp bicubicinterp',
  movement:
    'reshape flatten squeeze expanddims unsqueeze transpose permute concat concatv2 concatenation concatenate pack stack unpack unstack split splitv slice stridedslice ' +
    'gather gatherv2 gathernd pad padv2 mirrorpad padding zeropadding2d zeropadding1d tile expand broadcastto spacetodepth depthtospace batchtospacend spacetobatchnd crop ' +
    'cropping2d reverse reversev2 reversesequence shape rank size range fill shufflechannel channelshuffle identity noop memorydata reorg flattento2d scatter scatternd ' +
    'scatterelements scatterupdate dynamicupdateslice loadconstant loadconstantnd reorganizedata sequencerepeat raster converttensor copy onehot zeroslike oneslike ' +
    'expandlayer reshapestatic splitnd concatnd pixelshuffle constantofshape gatherelements sliced getshape silence padd lambda repeatvector broadcast sliceTf slicetf ' +
    'stopgradient tensorconvert uppersampling rankpreservingreshape sequenceat constantpad slicestatic slicedynamic identityn slicebyindex slicebysize iocopy iocopyonce layout layoutonce flattencontiguousrange',
  quantise:
    'quantize dequantize quantizelinear dequantizelinear dynamicquantizelinear fakequant fakequantwithminmaxvars fakequantwithminmaxargs requantize quantizev2 floattoint8 int8tofloat calib calibonce densify fakequantwithminmaxvarsperchannel quantizemaxmin',
  detection:
    'detectionoutput detectionpostprocess tflitedetectionpostprocess nonmaxsuppression nonmaxsuppressionv2 nonmaxsuppressionv3 nonmaxsuppressionv4 nonmaxsuppressionv5 priorbox proposal yolodetectionoutput ' +
    'yolov3detectionoutput nms priorboxclustered combinednonmaxsuppression',
  control:
    'if while loop scan callonce call partitionedcall statefulpartitionedcall statelessif statelesswhile merge switch enter exit nextiteration loopcond varhandle readvariable assignvariable varhandleop readvariableop assignvariableop',
  constant: 'const constant input inputlayer placeholder data blob parameter trainableparam',
};

const FAMILIES: ReadonlyMap<string, LayerFamily> = new Map(
  Object.entries(NAMES).flatMap(([family, names]) => names.split(' ').map((name) => [name, family as LayerFamily])),
);

/** The family of an operator; `other` where no format calls one so. */
export function familyOf(op: string): LayerFamily {
  return FAMILIES.get(op.toLowerCase().replace(/[^a-z0-9]/g, '')) ?? 'other';
}
