"""Records gradients from PyTorch's autograd for test/gradients/oracle.test.ts.

Usage: python3 test/oracles/record-gradients.py > test/fixtures/gradients.json
Needs PyTorch (recorded with 1.13). Each case names an ONNX operator with its attributes and inputs, and the same
computation in PyTorch; the fixture holds the inputs, the output's gradient and what autograd makes of it.
"""

import json

import torch
import torch.nn.functional as F

torch.manual_seed(20)
cases = []


def numbers(tensor):
    return [float(f"{value:.8g}") for value in tensor.detach().double().reshape(-1).tolist()]


def record(name, op, inputs, function, attributes=None, opset=18, outputs=1, tolerance=1e-4):
    """`inputs`: float tensors (differentiated), {"const": tensor} or None; `function` takes all tensors given."""
    tensors = [x["const"] if isinstance(x, dict) else x for x in inputs]
    leaves = [t.clone().requires_grad_() if t is not None and not isinstance(x, dict) else t for x, t in zip(inputs, tensors)]
    result = function(*[t for t in leaves if t is not None])
    seed = torch.randn_like(result)
    (result * seed).sum().backward()
    cases.append(
        {
            "name": name,
            "op": op,
            "opset": opset,
            "attributes": attributes or {},
            "outputs": outputs,
            "tolerance": tolerance,
            "inputs": [
                None
                if t is None
                else {
                    "dtype": {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}[t.dtype],
                    "dims": list(t.shape),
                    "values": numbers(t) if t.dtype == torch.float32 else [int(v) for v in t.reshape(-1).tolist()],
                    "constant": isinstance(x, dict),
                }
                for x, t in zip(inputs, tensors)
            ],
            "seed": {"dims": list(result.shape), "values": numbers(seed)},
            "gradients": [
                None if t is None or isinstance(x, dict) else numbers(leaf.grad) for x, t, leaf in zip(inputs, tensors, leaves)
            ],
        }
    )


def r(*dims):
    return torch.randn(*dims)


def const(value):
    return {"const": value}


def i64(*values):
    return const(torch.tensor(values, dtype=torch.int64))


# Convolutions: [x, w, bias?], strides, padding (symmetric), dilation, groups.
for name, x, w, stride, pad, dilation, groups in [
    ("3x3", (2, 3, 6, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ("3x3 stride 2", (2, 3, 7, 8), (4, 3, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    ("1x1 stride 2", (2, 3, 7, 8), (4, 3, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ("stride above kernel", (1, 1, 9, 9), (2, 1, 2, 2), (3, 3), (0, 0), (1, 1), 1),
    ("dilated groups", (2, 4, 9, 8), (6, 2, 3, 3), (2, 1), (2, 1), (2, 2), 2),
    ("depthwise", (2, 4, 6, 6), (4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    ("depthwise stride 2", (2, 4, 7, 6), (8, 1, 3, 3), (2, 2), (1, 1), (1, 1), 4),
]:
    attributes = {"strides": list(stride), "pads": list(pad) * 2, "dilations": list(dilation), "group": groups}
    conv = lambda x, w, b, s=stride, p=pad, d=dilation, g=groups: F.conv2d(x, w, b, s, p, d, g)
    record("Conv " + name, "Conv", [r(*x), r(*w), r(w[0])], conv, attributes)
record("Conv 1-D", "Conv", [r(2, 3, 9), r(4, 3, 3)], lambda x, w: F.conv1d(x, w, None, 2, 1), {"strides": [2], "pads": [1, 1]})
record("Conv 3-D", "Conv", [r(1, 2, 4, 5, 3), r(3, 2, 2, 3, 2)], lambda x, w: F.conv3d(x, w, None, 1, 1), {"pads": [1] * 6})
record(
    "ConvTranspose",
    "ConvTranspose",
    [r(2, 4, 4, 3), r(4, 3, 3, 3), r(6)],
    lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2),
    {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1], "group": 2},
)

# Normalisation.
for name, shape in [("", (4, 3, 3, 2)), (" rank 2", (6, 3)), (" batch 1", (1, 2, 4, 4))]:
    stats = lambda c=shape[1]: [const(torch.zeros(c)), const(torch.ones(c))]
    record(
        "BatchNormalization training" + name,
        "BatchNormalization",
        [r(*shape) * 2 + 1, r(shape[1]), r(shape[1]), *stats()],
        lambda x, s, b, m, v: F.batch_norm(x, None, None, s, b, True, 0.0, 1e-3),
        {"training_mode": 1, "momentum": 0.0, "epsilon": 1e-3},
        outputs=3,
    )
record(
    "BatchNormalization inference",
    "BatchNormalization",
    [r(3, 2, 3, 3), r(2), r(2), const(r(2)), const(torch.rand(2) + 0.5)],
    lambda x, s, b, m, v: F.batch_norm(x, m, v, s, b, False, 0.0, 1e-5),
)
record("LayerNormalization", "LayerNormalization", [r(2, 3, 5), r(5), r(5)], lambda x, s, b: F.layer_norm(x, (5,), s, b))
record("InstanceNormalization", "InstanceNormalization", [r(2, 3, 4, 2), r(3), r(3)], lambda x, s, b: F.instance_norm(x, None, None, s, b))
record(
    "GroupNormalization",
    "GroupNormalization",
    [r(2, 4, 3, 2), r(4), r(4)],
    lambda x, s, b: F.group_norm(x, 2, s, b),
    {"num_groups": 2},
    opset=21,
)
record("LRN", "LRN", [r(2, 5, 3, 2)], lambda x: F.local_response_norm(x, 3, 0.5, 0.6, 1.5), {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 1.5})
record("LpNormalization", "LpNormalization", [r(2, 3, 4)], lambda x: F.normalize(x, 2, 1), {"p": 2, "axis": 1})

# Pooling.
record(
    "MaxPool overlapping",
    "MaxPool",
    [r(2, 2, 7, 8)],
    lambda x: F.max_pool2d(x, 3, 2, 1),
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4},
)
record(
    "MaxPool with ties",
    "MaxPool",
    [torch.randint(0, 3, (2, 2, 6, 6)).float()],
    lambda x: F.max_pool2d(x, 3, 1),
    {"kernel_shape": [3, 3]},
)
record(
    "MaxPool dilated, ceil",
    "MaxPool",
    [r(1, 2, 8, 9)],
    lambda x: F.max_pool2d(x, 2, 2, 0, 3, True),
    {"kernel_shape": [2, 2], "strides": [2, 2], "dilations": [3, 3], "ceil_mode": 1},
)
for include in [0, 1]:
    record(
        f"AveragePool, padding {'counted' if include else 'not counted'}",
        "AveragePool",
        [r(2, 2, 7, 6)],
        lambda x, i=include: F.avg_pool2d(x, 3, 2, 1, True, bool(i)),
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "ceil_mode": 1, "count_include_pad": include},
        opset=19,
    )
record("GlobalAveragePool", "GlobalAveragePool", [r(2, 3, 4, 5)], lambda x: x.mean((2, 3), keepdim=True))
record("GlobalMaxPool", "GlobalMaxPool", [r(2, 3, 4, 5)], lambda x: x.amax((2, 3), keepdim=True))

# Products.
record(
    "Gemm",
    "Gemm",
    [r(3, 4), r(5, 3), r(1, 5)],
    lambda a, b, c: 0.5 * a.T @ b.T + 2 * c,
    {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0},
)
for a, b in [((4, 3), (3, 5)), ((2, 1, 4, 3), (3, 3, 5)), ((3,), (2, 3, 5)), ((2, 4, 3), (3,)), ((3,), (3,)), ((2, 4, 3), (3, 5))]:
    record(f"MatMul {list(a)} {list(b)}", "MatMul", [r(*a), r(*b)], torch.matmul)
record("Einsum", "Einsum", [r(2, 3, 4), r(4, 5, 2)], lambda a, b: torch.einsum("bij,jkb->ki", a, b), {"equation": "bij,jkb->ki"})

# Losses: labels, class weights, ignored labels.
for reduction in ["mean", "sum", "none"]:
    record(
        f"SoftmaxCrossEntropyLoss {reduction}",
        "SoftmaxCrossEntropyLoss",
        [r(4, 5), i64(0, 4, 2, 2), const(torch.rand(5) + 0.5)],
        lambda x, t, w, k=reduction: F.cross_entropy(x, t, w, reduction=k, ignore_index=2),
        {"reduction": reduction, "ignore_index": 2},
    )
    record(
        f"NegativeLogLikelihoodLoss {reduction}",
        "NegativeLogLikelihoodLoss",
        [r(2, 3, 2), const(torch.tensor([[0, 2], [1, 1]]))],
        lambda x, t, k=reduction: F.nll_loss(x, t, reduction=k),
        {"reduction": reduction},
    )
record("SoftmaxCrossEntropyLoss plain", "SoftmaxCrossEntropyLoss", [r(4, 5), i64(0, 4, 2, 1)], F.cross_entropy)
for axis in [-1, 1]:
    record(f"Softmax {axis}", "Softmax", [r(2, 3, 4)], lambda x, a=axis: F.softmax(x, a), {"axis": axis})
    record(f"LogSoftmax {axis}", "LogSoftmax", [r(2, 3, 4)], lambda x, a=axis: F.log_softmax(x, a), {"axis": axis})

# Arithmetic with broadcasting, at values where conventions differ: ties, zeros, bounds.
for op, function in [("Add", torch.add), ("Sub", torch.sub), ("Mul", torch.mul), ("Div", torch.div)]:
    record(op, op, [r(2, 1, 4), r(3, 1) + 3], function)
grid = torch.tensor([[-2.0, -1.0, 0.0], [0.0, 1.0, 2.0]])
record("Max with ties", "Max", [grid, torch.tensor([0.0, 1.0, 0.0])], torch.maximum)
record("Min with ties", "Min", [grid, torch.tensor([0.0, 1.0, 0.0])], torch.minimum)
record("Pow", "Pow", [torch.rand(2, 3) + 0.5, r(3)], torch.pow)
record("Pow of 0", "Pow", [torch.tensor([0.0, 0.0, 2.0]), torch.tensor([0.0, 2.0, 0.0])], torch.pow)
record("Mod", "Mod", [r(2, 3) * 4, torch.tensor([1.3, -2.1, 0.7])], torch.fmod, {"fmod": 1})
record("Clip on its bounds", "Clip", [grid, const(torch.tensor(-1.0)), const(torch.tensor(1.0))], lambda x, a, b: x.clamp(-1, 1))
record("Where", "Where", [const(torch.tensor([[True], [False]])), r(2, 3), r(3)], torch.where)

for op, function in [
    ("Abs", torch.abs),
    ("Relu", F.relu),
    ("LeakyRelu", lambda x: F.leaky_relu(x, 0.01)),
    ("Elu", F.elu),
    ("Celu", F.celu),
    ("Selu", F.selu),
    ("HardSwish", F.hardswish),
    ("Sign", torch.sign),
    ("Sigmoid", torch.sigmoid),
    ("Tanh", torch.tanh),
    ("Softplus", F.softplus),
    ("Softsign", F.softsign),
    ("Mish", F.mish),
    ("Erf", torch.erf),
    ("Exp", torch.exp),
    ("Sin", torch.sin),
    ("Cos", torch.cos),
    ("Tan", torch.tan),
    ("Atan", torch.atan),
    ("Sinh", torch.sinh),
    ("Cosh", torch.cosh),
    ("Asinh", torch.asinh),
]:
    record(op + " at −5 … 5", op, [torch.tensor([-5.0, -2.0, -0.5, 0.0, 0.5, 2.0, 5.0])], function)
for op, function in [("Asin", torch.asin), ("Acos", torch.acos), ("Atanh", torch.atanh)]:
    record(op, op, [torch.tensor([-0.9, -0.3, 0.0, 0.5])], function)
for op, function in [("Sqrt", torch.sqrt), ("Log", torch.log), ("Reciprocal", torch.reciprocal)]:
    record(op, op, [torch.tensor([0.1, 0.7, 2.0])], function)
record("Acosh", "Acosh", [torch.tensor([1.1, 2.0, 5.0])], torch.acosh)
record("PRelu", "PRelu", [r(2, 3, 2), r(3, 1)], lambda x, s: torch.where(x < 0, x * s, x))
record("Gelu", "Gelu", [r(7)], F.gelu, opset=20)
record("Gelu tanh", "Gelu", [r(7)], lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}, opset=20)
record("HardSigmoid", "HardSigmoid", [r(7) * 4], F.hardsigmoid, {"alpha": 1 / 6, "beta": 0.5})
record("ThresholdedRelu", "ThresholdedRelu", [r(7) * 2], lambda x: F.threshold(x, 0.7, 0.0), {"alpha": 0.7})
record("Shrink", "Shrink", [r(7)], lambda x: F.softshrink(x, 0.5), {"lambd": 0.5, "bias": 0.5})

# Reductions.
ties = torch.randint(0, 3, (2, 3, 4)).float()
for op, function, x in [
    ("ReduceSum", lambda x: x.sum((0, 2)), r(2, 3, 4)),
    ("ReduceMean", lambda x: x.mean((0, 2)), r(2, 3, 4)),
    ("ReduceMax", lambda x: x.amax((0, 2)), ties),
    ("ReduceMin", lambda x: x.amin((0, 2)), ties),
    ("ReduceL1", lambda x: x.abs().sum((0, 2)), r(2, 3, 4)),
    ("ReduceL2", lambda x: x.norm(2, (0, 2)), r(2, 3, 4)),
    ("ReduceLogSumExp", lambda x: x.logsumexp((0, 2)), r(2, 3, 4)),
    ("ReduceSumSquare", lambda x: x.square().sum((0, 2)), r(2, 3, 4)),
    ("ReduceLogSum", lambda x: x.sum((0, 2)).log(), torch.rand(2, 3, 4) + 0.1),
]:
    record(op, op, [x, i64(0, 2)], lambda x, a, f=function: f(x), {"keepdims": 0})
record("ReduceProd with zeros", "ReduceProd", [torch.tensor([[0.0, 2.0, 3.0], [0.0, 0.0, 2.0], [1.0, 2.0, 3.0]]), i64(1)], lambda x, a: x.prod(1, keepdim=True))

# Movement.
record("Slice", "Slice", [r(3, 8), i64(1), i64(7), i64(1), i64(2)], lambda x, *_: x[:, 1:7:2])
record("Concat", "Concat", [r(2, 3), r(2, 1)], lambda a, b: torch.cat([a, b], 1), {"axis": 1})
record("Gather", "Gather", [r(4, 3), const(torch.tensor([[1, 3], [1, 0]]))], lambda x, i: x[i])
record("Pad reflect", "Pad", [r(2, 2, 4, 5), i64(0, 0, 1, 2, 0, 0, 3, 1)], lambda x, p: F.pad(x, (2, 1, 1, 3), "reflect"), {"mode": "reflect"})
record("Pad edge", "Pad", [r(2, 2, 4, 5), i64(0, 0, 1, 2, 0, 0, 3, 1)], lambda x, p: F.pad(x, (2, 1, 1, 3), "replicate"), {"mode": "edge"})
record("Tile", "Tile", [r(2, 3), i64(2, 3)], lambda x, t: x.repeat(2, 3))
record("Expand", "Expand", [r(3, 1), i64(2, 3, 4)], lambda x, s: x.expand(2, 3, 4))
record("CumSum", "CumSum", [r(2, 5), const(torch.tensor(1))], lambda x, a: x.cumsum(1))
record("DepthToSpace CRD", "DepthToSpace", [r(2, 8, 2, 3)], lambda x: F.pixel_shuffle(x, 2), {"blocksize": 2, "mode": "CRD"})
record("SpaceToDepth of one channel", "SpaceToDepth", [r(2, 1, 4, 6)], lambda x: F.pixel_unshuffle(x, 2), {"blocksize": 2})
for mode, coordinates, align in [("linear", "half_pixel", False), ("linear", "align_corners", True)]:
    record(
        f"Resize {mode} {coordinates}",
        "Resize",
        [r(2, 2, 4, 5), None, None, i64(2, 2, 7, 3)],
        lambda x, s, a=align: F.interpolate(x, (7, 3), mode="bilinear", align_corners=a),
        {"mode": mode, "coordinate_transformation_mode": coordinates},
    )
record(
    "Resize nearest",
    "Resize",
    [r(2, 2, 4, 5), None, None, i64(2, 2, 8, 10)],
    lambda x, s: F.interpolate(x, (8, 10), mode="nearest"),
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
)

print("{\"torch\": %s, \"cases\": [\n%s\n]}" % (json.dumps(torch.__version__), ",\n".join(json.dumps(case) for case in cases)))
