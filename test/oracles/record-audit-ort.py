"""Writes a small network in ONNX Runtime's own format, plain and optimised.

Needs: onnx, onnxruntime, numpy. Usage: record-audit-ort.py test/fixtures/audit/ort
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

folder = sys.argv[1]
rng = np.random.default_rng(2)
normal = lambda name, *shape: numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
node = helper.make_node
then = helper.make_graph([node("Relu", ["scores"], ["kept"])], "then", [], [helper.make_tensor_value_info("kept", 1, None)])
other = helper.make_graph([node("Neg", ["scores"], ["turned"])], "other", [], [helper.make_tensor_value_info("turned", 1, None)])
nodes = [
    node("Conv", ["picture", "k1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1], name="first"),
    node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"], name="norm"),
    node("Relu", ["n1"], ["r1"]),
    node("Conv", ["r1", "k2"], ["c2"], group=4, pads=[1, 1, 1, 1], name="deep"),
    node("GlobalAveragePool", ["c2"], ["p"]),
    node("Flatten", ["p"], ["f"]),
    node("Gemm", ["f", "w", "b"], ["scores"], transB=1, name="scores"),
    node("ReduceMax", ["scores"], ["most"], keepdims=0),
    node("Greater", ["most", "zero"], ["positive"]),
    node("If", ["positive"], ["answer"], then_branch=then, else_branch=other, name="choice"),
]
weights = [
    normal("k1", 4, 3, 3, 3), normal("b1", 4), normal("scale", 4), normal("shift", 4), normal("mean", 4),
    numpy_helper.from_array(np.abs(rng.normal(size=4)).astype(np.float32), "variance"),
    normal("k2", 4, 1, 3, 3), normal("w", 5, 4), normal("b", 5), numpy_helper.from_array(np.float32(0), "zero"),
]
graph = helper.make_graph(
    nodes, "net", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["batch", 3, 16, 16])],
    [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", 5])], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="recorder", ir_version=8)
helper.set_model_props(model, {"licence": "MIT"})
onnx.checker.check_model(model)
onnx.save(model, os.path.join(folder, "net.onnx"))
for name, level in (("plain", ort.GraphOptimizationLevel.ORT_DISABLE_ALL), ("optimised", ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = os.path.join(folder, f"net-{name}.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
