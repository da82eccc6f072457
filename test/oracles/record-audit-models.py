"""Records what the formats' own Python packages say of the models beside the checkout: operators, weights, inputs.

Needs: tflite 2.18, h5py 3.16, coremltools 9.0, onnx. Usage: record-audit-models.py FORMATS_FOLDER > test/fixtures/audit-models.json
"""
import glob
import json
import os
import sys
from collections import Counter

import h5py
import numpy as np
import onnx
import tflite
from coremltools.proto import Model_pb2

OPERATORS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
TYPES = {code: name.lower() for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def of_tflite(data):
    model = tflite.Model.GetRootAsModel(data, 0)
    operators, kernels, macs = Counter(), Counter(), 0
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            code = model.OperatorCodes(op.OpcodeIndex())
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = code.CustomCode().decode() if builtin == 32 else OPERATORS[builtin]
            operators[name] += 1
            if name not in WEIGHTED:
                continue
            for index in op.InputsAsNumpy()[1:]:
                tensor = graph.Tensors(index)
                if index >= 0 and model.Buffers(tensor.Buffer()).DataLength() > 0:
                    kernels[TYPES[tensor.Type()]] += int(np.prod(tensor.ShapeAsNumpy()))
            kernel = np.prod(graph.Tensors(op.Inputs(1)).ShapeAsNumpy())
            given, made = (graph.Tensors(k).ShapeAsNumpy() for k in (op.Inputs(0), op.Outputs(0)))
            if g == 0:
                positions = np.prod(given) / graph.Tensors(op.Inputs(1)).Shape(1) if name == "FULLY_CONNECTED" else np.prod(made[:-1])
                # A depthwise kernel is [1, h, w, c]: each of its weights is used once per position, as in any other.
                macs += int(positions * kernel)
    graph = model.Subgraphs(0)
    inputs = [graph.Tensors(i) for i in graph.InputsAsNumpy()]
    return {
        "operators": dict(sorted(operators.items())),
        "weights": dict(sorted(kernels.items())),
        "macs": macs,
        "inputs": [[t.Name().decode(), TYPES[t.Type()]] for t in inputs],
    }


def of_h5(path):
    total = Counter()
    with h5py.File(path) as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                total[name.rsplit("/", 1)[-1]] += int(item.size)
        file["model_weights"].visititems(visit)
        first = np.asarray(file["model_weights/conv2d/conv2d/kernel:0"]).ravel()[:3]
        return {"weights": dict(sorted(total.items())), "first": [float(x) for x in first]}


def of_coreml(data):
    model = Model_pb2.Model()
    model.ParseFromString(data)
    layers = model.neuralNetwork.layers
    size = sum(
        len(getattr(layer, layer.WhichOneof("layer")).weights.floatValue) + len(getattr(layer, layer.WhichOneof("layer")).bias.floatValue)
        for layer in layers
        if layer.WhichOneof("layer") in ("convolution", "innerProduct")
    )
    return {"operators": dict(sorted(Counter(l.WhichOneof("layer") for l in layers).items())), "params": size}


def of_onnx(data):
    model = onnx.load_from_string(data)
    return {"operators": dict(sorted(Counter(n.op_type for n in model.graph.node if n.op_type != "Constant").items()))}


folder = sys.argv[1]
found = {}
for path in sorted(glob.glob(os.path.join(folder, "*", "*"))):
    name = os.path.relpath(path, folder)
    if os.path.isdir(path):
        continue
    data = open(path, "rb").read()
    if path.endswith(".tflite"):
        found[name] = of_tflite(data)
    elif path.endswith(".h5"):
        found[name] = of_h5(path)
    elif path.endswith(".mlmodel"):
        found[name] = of_coreml(data)
    elif path.endswith(".onnx"):
        found[name] = of_onnx(data)
print(json.dumps(found, indent=1))
