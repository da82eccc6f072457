/** @file The formats of models that the audit knows, each with its name, its framework and whether its layers are read. */

interface FormatInfo {
  /** How people call it. */
  readonly title: string;
  readonly framework: string;
}

/** Every format, by the name that findings and reports use. */
export const modelFormats = {
  tflite: { title: 'TensorFlow Lite (LiteRT)', framework: 'TensorFlow Lite' },
  'litert-lm': { title: 'LiteRT-LM bundle', framework: 'TensorFlow Lite' },
  circle: { title: 'Circle', framework: 'ONE' },
  onnx: { title: 'ONNX', framework: 'ONNX' },
  ort: { title: 'ONNX Runtime format', framework: 'ONNX Runtime' },
  'ort-checkpoint': { title: 'ONNX Runtime training checkpoint', framework: 'ONNX Runtime' },
  graphdef: { title: 'TensorFlow GraphDef', framework: 'TensorFlow' },
  savedmodel: { title: 'TensorFlow SavedModel', framework: 'TensorFlow' },
  'tf-checkpoint': { title: 'TensorFlow checkpoint', framework: 'TensorFlow' },
  'tfjs-layers': { title: 'TensorFlow.js layers model', framework: 'TensorFlow.js' },
  'tfjs-graph': { title: 'TensorFlow.js graph model', framework: 'TensorFlow.js' },
  'tfjs-weights': { title: 'TensorFlow.js weights', framework: 'TensorFlow.js' },
  'keras-h5': { title: 'Keras HDF5', framework: 'Keras' },
  keras: { title: 'Keras v3', framework: 'Keras' },
  caffe: { title: 'Caffe weights', framework: 'Caffe' },
  'caffe-prototxt': { title: 'Caffe network', framework: 'Caffe' },
  caffe2: { title: 'Caffe2 network', framework: 'Caffe2' },
  ncnn: { title: 'ncnn network (text)', framework: 'ncnn' },
  'ncnn-binary': { title: 'ncnn network (binary)', framework: 'ncnn' },
  'ncnn-weights': { title: 'ncnn weights', framework: 'ncnn' },
  mnn: { title: 'MNN', framework: 'MNN' },
  torchscript: { title: 'TorchScript', framework: 'PyTorch' },
  pytorch: { title: 'PyTorch checkpoint', framework: 'PyTorch' },
  'pytorch-mobile': { title: 'PyTorch Mobile', framework: 'PyTorch' },
  executorch: { title: 'ExecuTorch', framework: 'ExecuTorch' },
  coreml: { title: 'Core ML model', framework: 'Core ML' },
  'coreml-package': { title: 'Core ML package', framework: 'Core ML' },
  'coreml-compiled': { title: 'Core ML, compiled', framework: 'Core ML' },
  dlc: { title: 'SNPE / QNN DLC', framework: 'SNPE' },
  tnn: { title: 'TNN', framework: 'TNN' },
  paddle: { title: 'PaddlePaddle program', framework: 'Paddle' },
  'paddle-lite': { title: 'Paddle Lite', framework: 'Paddle Lite' },
  mindspore: { title: 'MindSpore Lite', framework: 'MindSpore' },
  'mediapipe-task': { title: 'MediaPipe task bundle', framework: 'MediaPipe' },
  'mediapipe-graph': { title: 'MediaPipe graph', framework: 'MediaPipe' },
  gguf: { title: 'GGUF', framework: 'ggml' },
  safetensors: { title: 'safetensors', framework: 'safetensors' },
  rknn: { title: 'RKNN', framework: 'RKNN' },
  tengine: { title: 'Tengine', framework: 'Tengine' },
  om: { title: 'Huawei offline model', framework: 'HiAI' },
  mxnet: { title: 'MXNet', framework: 'MXNet' },
  openvino: { title: 'OpenVINO IR', framework: 'OpenVINO' },
  hdf5: { title: 'HDF5 weights', framework: 'Keras' },
  sensetime: { title: 'SenseTime model', framework: 'SenseTime' },
  unknown: { title: 'model of unknown format', framework: 'unknown' },
} as const satisfies Readonly<Record<string, FormatInfo>>;

/** One of the names above. */
export type ModelFormat = keyof typeof modelFormats;
