"""One process of bench/train-step: training steps of ResNet-20 with the step graph that onnxsim builds. Prints times as JSON.

Its BatchNormalization rule knows the inference form alone, so it trains MODEL.onnx with its BatchNormalization folded into the
convolutions: less work than the others have. Shapes are static. Needs onnxsim 0.8 and onnxruntime (CPU).
"""

import argparse
import json
import resource
import time

import numpy as np
import onnx
import onnxruntime
import onnxsim
from onnx import TensorProto, version_converter
from onnxsim import graph_grad, qat_graph

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--steps", type=int, default=4)
parser.add_argument("--warmup", type=int, default=1)
args = parser.parse_args()

model = version_converter.convert_version(onnx.load(args.model), 17)
image, logits = model.graph.input[0], model.graph.output[0]
for value in (image, logits):
    value.type.tensor_type.shape.dim[0].dim_value = args.batch
del model.graph.value_info[:]
model, _ = onnxsim.simplify(model)
# It has no gradient for Flatten; the same with Reshape.
for node in model.graph.node:
    if node.op_type == "Flatten":
        rows = onnx.numpy_helper.from_array(np.array([args.batch, -1]), f"{node.name}_rows")
        model.graph.initializer.append(rows)
        node.CopyFrom(onnx.helper.make_node("Reshape", [node.input[0], rows.name], list(node.output), name=node.name))
model = onnx.shape_inference.infer_shapes(model)
shapes = {
    value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]
}
weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
shapes.update({name: list(value.shape) for name, value in weights.items()})
trained = [name for name, value in weights.items() if value.dtype == np.float32 and value.ndim > 0]

b = qat_graph.GraphBuilder()
b.nodes.extend(model.graph.node)
b.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name not in trained)
# Mean cross-entropy: its gradient at the logits is (softmax − one-hot) / batch.
likely = b.op("Softmax", [logits.name], axis=-1)
seed = b.mul(b.sub(likely, "onehot"), b.const(1 / args.batch))
gradients = graph_grad.build_backward(b, list(model.graph.node), shapes, {logits.name: seed}, trained)
state = {}
for name in trained:
    momentum = f"{name}_momentum"
    parameter, moment = qat_graph.sgd_momentum_update(b, name, gradients[name], momentum, "lr", 0.9)
    state[name] = (weights[name].shape, parameter)
    state[momentum] = (weights[name].shape, moment)
classes = shapes[logits.name][1]
step = qat_graph.make_step_graph(
    b,
    {image.name: (shapes[image.name], TensorProto.FLOAT), "onehot": ((args.batch, classes), TensorProto.FLOAT)},
    state,
    ["lr"],
)

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = args.threads
begin = time.perf_counter()
session = onnxruntime.InferenceSession(step.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
session_ms = (time.perf_counter() - begin) * 1000
random = np.random.default_rng(1)
feeds = {
    image.name: random.standard_normal(shapes[image.name], dtype=np.float32),
    "onehot": np.eye(classes, dtype=np.float32)[random.integers(0, classes, args.batch)],
    "lr": np.array(0.01, np.float32),
}
current = {name: weights[name] if name in weights else np.zeros(shape, np.float32) for name, (shape, _) in state.items()}
outputs = [output for _, output in state.values()]
times = []
for i in range(args.warmup + args.steps):
    start = time.perf_counter()
    results = session.run(outputs, {**feeds, **current})
    current = dict(zip(state, results))
    if i >= args.warmup:
        times.append((time.perf_counter() - start) * 1000)
print(
    json.dumps(
        {
            "version": f"onnxsim {onnxsim.__version__}, onnxruntime {onnxruntime.__version__}",
            "batch": args.batch,
            "threads": args.threads,
            "nodes": len(step.model.graph.node),
            "sessionMs": session_ms,
            "peakMegabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "times": times,
            "losses": [],
        }
    )
)
