"""Records gradients from PyTorch's autograd for operators beyond convolutional classifiers: test/gradients/oracle.test.ts.

Usage: python3 test/oracles/record-operator-gradients.py > test/fixtures/operator-gradients.json
Needs PyTorch and torchvision (recorded with 1.13 and 0.14). Where PyTorch has no such operator, its definition is written
out here in plain tensor code. The form is that of record-gradients.py.
"""

import json
import math

import torch
import torch.nn.functional as F
import torchvision.ops as vision

torch.manual_seed(21)
cases = []


def numbers(tensor):
    return [float(f"{value:.8g}") for value in tensor.detach().double().reshape(-1).tolist()]


DTYPES = {
    torch.float32: "float32",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.bool: "bool",
    torch.uint8: "uint8",
    torch.int8: "int8",
}


def record(name, op, inputs, function, attributes=None, opset=18, outputs=1, tolerance=1e-4, domain=""):
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
            "domain": domain,
            "opset": opset,
            "attributes": attributes or {},
            "outputs": outputs,
            "tolerance": tolerance,
            "inputs": [
                None
                if t is None
                else {
                    "dtype": DTYPES[t.dtype],
                    "dims": list(t.shape),
                    "values": numbers(t) if t.dtype == torch.float32 else [int(v) for v in t.reshape(-1).tolist()],
                    "constant": isinstance(x, dict),
                }
                for x, t in zip(inputs, tensors)
            ],
            "seed": {"dims": list(result.shape), "values": numbers(seed)},
            "gradients": [
                None if t is None or isinstance(x, dict) or leaf.grad is None else numbers(leaf.grad)
                for x, t, leaf in zip(inputs, tensors, leaves)
            ],
        }
    )


def r(*dims):
    return torch.randn(*dims)


def const(value):
    return {"const": value}


def i64(*values):
    return const(torch.tensor(values, dtype=torch.int64))


def scalar(value, dtype=torch.int64):
    return const(torch.tensor(value, dtype=dtype))


MS = "com.microsoft"


def attend(q, k, v, bias=None, scale=None, cap=None):
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    if cap:
        scores = torch.tanh(scores / cap) * cap
    return (scores if bias is None else scores + bias).softmax(-1) @ v


def split(x, heads):
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def join(x):
    return x.transpose(1, 2).flatten(2)


def causal(n, m=None):
    return torch.full((n, m or n), -math.inf).triu(1 + (m or n) - n)


# Attention.
record("Attention", "Attention", [r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 3)], attend, opset=23)
record("Attention grouped", "Attention", [r(2, 4, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 3)], attend, opset=23)
record(
    "Attention of rank 3, causal",
    "Attention",
    [r(2, 4, 6), r(2, 4, 6), r(2, 4, 6)],
    lambda q, k, v: join(attend(split(q, 2), split(k, 2), split(v, 2), causal(4))),
    {"q_num_heads": 2, "kv_num_heads": 2, "is_causal": 1},
    opset=23,
)
record("Attention with a bias", "Attention", [r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 3), r(2, 1, 3, 5)], attend, opset=23)
mask = torch.tensor([[1, 0, 0, 1, 1], [1, 1, 0, 0, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
record(
    "Attention masked",
    "Attention",
    [r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 3), const(mask)],
    lambda q, k, v, m: attend(q, k, v, torch.zeros(3, 5).masked_fill(~m, -math.inf)),
    opset=23,
)
record(
    "MultiHeadAttention",
    "MultiHeadAttention",
    [r(2, 3, 8), r(2, 5, 8), r(2, 5, 8), r(24)],
    lambda q, k, v, b: join(attend(split(q + b[:8], 2), split(k + b[8:16], 2), split(v + b[16:], 2))),
    {"num_heads": 2},
    domain=MS,
)
record(
    "packed Attention",
    "Attention",
    [r(2, 3, 6), r(6, 24), r(24)],
    lambda x, w, b: join(attend(*(split(part, 2) for part in (x @ w + b).split(8, -1)))),
    {"num_heads": 2},
    domain=MS,
)
record(
    "GroupQueryAttention",
    "GroupQueryAttention",
    [r(2, 3, 32), r(2, 3, 16), r(2, 3, 16), None, None, const(torch.tensor([2, 2], dtype=torch.int32)), scalar(3, torch.int32)],
    lambda q, k, v, *_: join(attend(split(q, 4), split(k, 2), split(v, 2), causal(3))),
    {"num_heads": 4, "kv_num_heads": 2},
    outputs=3,
    domain=MS,
)


def rotate(x, cos, sin, interleaved=False):
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    a, b = (x[..., ::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    pair = (a * cos - b * sin, a * sin + b * cos)
    return torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1)


record("RotaryEmbedding", "RotaryEmbedding", [r(2, 3, 4, 8), r(2, 4, 4), r(2, 4, 4)], rotate, opset=23)
record(
    "RotaryEmbedding interleaved",
    "RotaryEmbedding",
    [r(2, 3, 4, 8), r(2, 4, 4), r(2, 4, 4)],
    lambda *a: rotate(*a, interleaved=True),
    {"interleaved": 1},
    opset=23,
)
positions = torch.tensor([[0, 1, 2, 3], [8, 1, 1, 4]])
record(
    "RotaryEmbedding by positions",
    "RotaryEmbedding",
    [r(2, 3, 4, 8), const(positions), r(9, 4), r(9, 4)],
    lambda x, p, c, s: rotate(x, c[p], s[p]),
    domain=MS,
)

# Normalisations.
record("LayerNormalization", "LayerNormalization", [r(2, 3, 8), r(8), r(8)], lambda x, w, b: F.layer_norm(x, (8,), w, b))
record("LayerNormalization from axis 1", "LayerNormalization", [r(2, 3, 4), r(3, 4), r(3, 4)], lambda x, w, b: F.layer_norm(x, (3, 4), w, b), {"axis": 1})


def rms(x, w):
    return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * w


record("RMSNormalization", "RMSNormalization", [r(2, 3, 8), r(8)], rms, opset=23)
record("SimplifiedLayerNormalization", "SimplifiedLayerNormalization", [r(2, 3, 8), r(8)], rms)
record(
    "MeanVarianceNormalization",
    "MeanVarianceNormalization",
    [r(2, 3, 4, 2)],
    lambda x: (x - x.mean((0, 2, 3), keepdim=True)) / x.var((0, 2, 3), unbiased=False, keepdim=True).sqrt(),
)
record(
    "SkipLayerNormalization",
    "SkipLayerNormalization",
    [r(2, 3, 8), r(2, 3, 8), r(8), r(8), r(8)],
    lambda x, s, w, b, a: F.layer_norm(x + s + a, (8,), w, b, 1e-12),
    {"epsilon": 1e-12},
    domain=MS,
)
record(
    "SkipSimplifiedLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    [r(2, 3, 8), r(2, 3, 8), r(8)],
    lambda x, s, w: rms(x + s, w),
    {"epsilon": 1e-5},
    domain=MS,
)
ids = torch.tensor([[4, 1, 2], [1, 0, 1]], dtype=torch.int32)
record(
    "EmbedLayerNormalization",
    "EmbedLayerNormalization",
    [const(ids), None, r(5, 8), r(6, 8), None, r(8), r(8)],
    lambda i, w, p, s, b: F.layer_norm(w[i.long()] + p[:3], (8,), s, b, 1e-12),
    {"epsilon": 1e-12},
    outputs=2,
    domain=MS,
)

# Activations.
record("Gelu of com.microsoft", "Gelu", [r(3, 5)], F.gelu, domain=MS)
record("FastGelu", "FastGelu", [r(3, 5), r(5)], lambda x, b: F.gelu(x + b, approximate="tanh"), domain=MS)
record("BiasGelu", "BiasGelu", [r(3, 5), r(5)], lambda x, b: F.gelu(x + b), domain=MS)
record("QuickGelu", "QuickGelu", [r(3, 5)], lambda x: x * torch.sigmoid(1.702 * x), domain=MS)
record("Swish", "Swish", [r(3, 5)], lambda x: x * torch.sigmoid(1.3 * x), {"alpha": 1.3}, opset=24)
record("Swish by default", "Swish", [r(3, 5)], F.silu, opset=24)

# Fused products.
record("FusedMatMul", "FusedMatMul", [r(2, 4, 3), r(2, 5, 4)], lambda a, b: 0.3 * a.mT @ b.mT, {"transA": 1, "transB": 1, "alpha": 0.3}, domain=MS)
record("TransposeMatMul", "TransposeMatMul", [r(2, 3, 4), r(2, 5, 4)], lambda a, b: a @ b.mT, {"transB": 1}, domain=MS)
record("FusedGemm", "FusedGemm", [r(3, 4), r(5, 4), r(5)], lambda a, b, c: F.relu(a @ b.T + c), {"transB": 1, "activation": "Relu"}, domain=MS)
record("FusedConv", "FusedConv", [r(2, 2, 5, 4), r(3, 2, 3, 3), r(3)], lambda x, w, b: torch.tanh(F.conv2d(x, w, b, padding=1)), {"activation": "Tanh", "pads": [1, 1, 1, 1]}, domain=MS)
record("Trilu of com.microsoft", "Trilu", [r(3, 4)], lambda x: x.tril(), {"upper": 0}, domain=MS)
record("Inverse", "Inverse", [r(2, 3, 3) + 3 * torch.eye(3)], torch.linalg.inv, domain=MS)
record("Det", "Det", [r(2, 4, 4)], torch.linalg.det)
record("Det of one", "Det", [r(2, 1, 1)], torch.linalg.det)

# Sampling.
for mode in ["bilinear", "nearest", "bicubic"]:
    for padding in ["zeros", "border", "reflection"]:
        for aligned in [0, 1]:
            grid = torch.rand(2, 3, 2, 2) * 2.6 - 1.3
            record(
                f"GridSample {mode} {padding} {aligned}",
                "GridSample",
                [r(2, 2, 4, 5), grid if mode != "nearest" else const(grid)],
                lambda x, g, m=mode, p=padding, a=aligned: F.grid_sample(x, g, m, p, bool(a)),
                {"mode": {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode), "padding_mode": padding, "align_corners": aligned},
                opset=20,
            )
record(
    "GridSample of a volume",
    "GridSample",
    [r(1, 2, 3, 4, 3), torch.rand(1, 2, 2, 1, 3) * 2.4 - 1.2],
    lambda x, g: F.grid_sample(x, g, "bilinear", "zeros", False),
    {"mode": "linear"},
    opset=20,
)
for aligned in [0, 1]:
    record(
        f"AffineGrid {aligned}",
        "AffineGrid",
        [r(2, 2, 3), i64(2, 1, 3, 4)],
        lambda t, s, a=aligned: F.affine_grid(t, [2, 1, 3, 4], bool(a)),
        {"align_corners": aligned},
        opset=20,
    )
rois = torch.tensor([[0.35, 0.6, 4.7, 4.2], [1.1, 0.2, 5.9, 3.3], [0.3, 1.3, 2.4, 6.4]])
where = torch.tensor([0, 1, 0])
for ratio in [2, 0]:
    record(
        f"RoiAlign ratio {ratio}",
        "RoiAlign",
        [r(2, 2, 6, 5), const(rois), const(where)],
        lambda x, b, i, n=ratio: vision.roi_align(x, torch.cat([i.unsqueeze(1).float(), b], 1), (2, 3), 0.9, n or -1, True),
        {"sampling_ratio": ratio, "output_height": 2, "output_width": 3, "spatial_scale": 0.9, "coordinate_transformation_mode": "half_pixel"},
    )
record(
    "MaxRoiPool",
    "MaxRoiPool",
    [r(2, 2, 6, 5), const(torch.tensor([[0, 0, 0, 4, 4], [1, 1, 0, 3, 5], [0, 2, 3, 4, 5]], dtype=torch.float32))],
    lambda x, b: vision.roi_pool(x, b, (2, 2)),
    {"pooled_shape": [2, 2]},
)
for groups, mask in [(1, True), (2, False)]:
    inputs = [r(2, 4, 6, 5), r(4, 4 // groups, 3, 3), r(2, 18 * groups, 4, 3), r(4)] + ([r(2, 9, 4, 3)] if mask else [])
    record(
        f"DeformConv groups {groups}",
        "DeformConv",
        inputs,
        lambda x, w, o, b, m=None: vision.deform_conv2d(x, o, w, b, mask=m),
        {"group": groups, "offset_group": groups},
        opset=19,
        tolerance=1e-3,
    )
record("Col2Im", "Col2Im", [r(2, 12, 9), i64(4, 4), i64(2, 2)], lambda x, a, b: F.fold(x, (4, 4), 2))
pooled, indices = F.max_pool2d(r(1, 1, 4, 6), 2, return_indices=True)
record("MaxUnpool", "MaxUnpool", [pooled, const(indices)], lambda x, i: F.max_unpool2d(x, i, 2), {"kernel_shape": [2, 2], "strides": [2, 2]})
for mode, exclude in [("cubic", 0)]:
    for aligned in [False, True]:
        record(
            f"Resize cubic {aligned}",
            "Resize",
            [r(2, 2, 4, 5), None, None, i64(2, 2, 7, 3)],
            lambda x, s, a=aligned: F.interpolate(x, (7, 3), mode="bicubic", align_corners=a),
            {"mode": "cubic", "coordinate_transformation_mode": "align_corners" if aligned else "half_pixel"},
        )
for mode in ["linear", "cubic"]:
    record(
        f"Resize {mode} antialiased",
        "Resize",
        [r(2, 2, 7, 9), None, None, i64(2, 2, 3, 4)],
        lambda x, s, m=mode: F.interpolate(x, (3, 4), mode={"linear": "bilinear", "cubic": "bicubic"}[m], antialias=True),
        # PyTorch's antialiased cubic has a = −0.5.
        {"mode": mode, "antialias": 1, "cubic_coeff_a": -0.5, "exclude_outside": 1},
    )
record("Resize by an odd scale", "Resize", [r(2, 2, 5, 6), None, const(torch.tensor([1.0, 1.0, 1.7, 0.6]))], lambda x, s: F.interpolate(x, scale_factor=(1.7, 0.6), mode="bilinear"), {"mode": "linear"})


# Signals: pairs of real and imaginary parts in the last axis.
def pairs(z):
    return torch.view_as_real(z)


def complexes(x):
    return torch.view_as_complex(x.contiguous()) if x.shape[-1] == 2 else x[..., 0]


record("DFT of reals", "DFT", [r(2, 6, 1)], lambda x: pairs(torch.fft.fft(complexes(x))), {"axis": 1})
record("DFT of complexes", "DFT", [r(2, 6, 2)], lambda x: pairs(torch.fft.fft(complexes(x))), {"axis": 1})
record("DFT one-sided", "DFT", [r(2, 7, 1)], lambda x: pairs(torch.fft.rfft(complexes(x))), {"axis": 1, "onesided": 1})
record("DFT inverse", "DFT", [r(2, 6, 2)], lambda x: pairs(torch.fft.ifft(complexes(x))), {"axis": 1, "inverse": 1})
record("DFT filled up", "DFT", [r(2, 6, 2), scalar(8)], lambda x, n: pairs(torch.fft.fft(complexes(x), 8)), {"axis": 1})
record("DFT cut", "DFT", [r(2, 6, 2), scalar(5)], lambda x, n: pairs(torch.fft.fft(complexes(x), 5)), {"axis": 1})
record("DFT along axis 0 of opset 20", "DFT", [r(5, 2, 2), None, scalar(0)], lambda x, a: pairs(torch.fft.fft(complexes(x), dim=0)), opset=20)
record(
    "STFT",
    "STFT",
    [r(2, 20), scalar(4), r(8)],
    lambda x, s, w: pairs(torch.fft.rfft(x.unfold(1, 8, 4) * w)),
    tolerance=2e-4,
)
record("CumProd", "CumProd", [torch.tensor([[1.0, -2.0, 0.0, 3.0, 0.5], [0.5, 2.0, -1.5, 1.0, 2.0]]), scalar(1)], lambda x, a: x.cumprod(1), opset=26)
record("CumProd of zeros", "CumProd", [torch.tensor([[0.0, -2.0, 0.0, 3.0], [2.0, 0.0, 3.0, 0.0]]), scalar(-1)], lambda x, a: x.cumprod(1), opset=26)
record("CumSum reversed", "CumSum", [r(2, 5), scalar(1)], lambda x, a: x.flip(1).cumsum(1).flip(1), {"reverse": 1})

# Picking and placing.
record("Compress", "Compress", [r(4, 3), const(torch.tensor([True, False, True, True]))], lambda x, k: x[k], {"axis": 0})
record("Compress flat", "Compress", [r(2, 3), const(torch.tensor([False, True, True, False, True]))], lambda x, k: x.flatten()[:5][k])
record("GatherElements with repeats", "GatherElements", [r(3, 4), const(torch.tensor([[0, 0, 3], [1, -1, 1]]))], lambda x, i: x.gather(1, i % 4), {"axis": 1})
for reduction, name in [("mul", "prod"), ("max", "amax"), ("min", "amin")]:
    record(
        f"ScatterElements {reduction}",
        "ScatterElements",
        [r(3, 4), const(torch.tensor([[0, 2, 1, 0], [0, 2, 2, 1]])), r(2, 4)],
        lambda x, i, u, n=name: x.scatter_reduce(0, i, u, n),
        {"axis": 0, "reduction": reduction},
    )
record(
    "TensorScatter",
    "TensorScatter",
    [r(2, 3, 5, 4), r(2, 3, 2, 4), i64(1, 3)],
    lambda x, u, s: torch.stack([torch.cat([x[i, :, : s[i]], u[i], x[i, :, s[i] + 2 :]], 1) for i in range(2)]),
    opset=24,
)
record("OneHot", "OneHot", [const(torch.tensor([1, 3, 0])), scalar(4), r(2)], lambda i, d, v: v[F.one_hot(i, 4)])
record("Range", "Range", [torch.tensor(0.5), const(torch.tensor(3.1)), torch.tensor(0.4)], lambda a, b, d: a + d * torch.arange(7))
record("CenterCropPad", "CenterCropPad", [r(5, 4), i64(2, 7)], lambda x, s: F.pad(x[1:3], (1, 2)))
record("ReverseSequence", "ReverseSequence", [r(4, 3), i64(2, 4, 1)], lambda x, n: torch.stack([torch.cat([x[:k, i].flip(0), x[k:, i]]) for i, k in enumerate(n.tolist())], 1))
for equation, shapes in [("...ij,jk->...ik", [(2, 3, 4), (4, 5)]), ("...i,...i->...", [(2, 3), (2, 3)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]), ("bii,bi->b", [(2, 3, 3), (2, 3)])]:
    record(f"Einsum {equation}", "Einsum", [r(*shape) for shape in shapes], lambda *x, e=equation: torch.einsum(e, *x), {"equation": equation})

# Quantisation, straight through: x − its own rounding error, which is detached.
def fake(x, s, z, low, high):
    level = torch.clamp(x / s + (torch.round(x / s) - x / s).detach() + z, low, high)
    return level


x = torch.linspace(-3, 3, 12).reshape(3, 4) + 0.013
step = torch.tensor(0.011)
record(
    "DequantizeLinear per axis",
    "DequantizeLinear",
    [const(torch.randint(-128, 127, (3, 4), dtype=torch.int8)), torch.rand(4) + 0.1, const(torch.tensor([3, 0, -2, 5], dtype=torch.int8))],
    lambda q, s, z: (q.float() - z.float()) * s,
    {"axis": 1},
)
quantised = {"x": numbers(x), "step": numbers(step)}
xs, ss = x.clone().requires_grad_(), step.clone().requires_grad_()
out = (fake(xs, ss, 7, -128, 127) - 7) * ss
quantised["seed"] = torch.randn(3, 4)
(out * quantised["seed"]).sum().backward()
quantised = {**quantised, "seed": numbers(quantised["seed"]), "zero": 7, "dx": numbers(xs.grad), "dstep": numbers(ss.grad)}
# PyTorch's own learnable fake quantisation agrees.
xl, sl = x.clone().requires_grad_(), step.clone().reshape(1).requires_grad_()
built_in = torch._fake_quantize_learnable_per_tensor_affine(xl, sl, torch.tensor([7.0]), -128, 127, 1.0)
(built_in * torch.tensor(quantised["seed"]).reshape(3, 4)).sum().backward()
assert torch.allclose(xl.grad, xs.grad) and torch.allclose(sl.grad, ss.grad.reshape(1), atol=1e-4), (sl.grad, ss.grad)

print(
    '{"torch": %s, "quantised": %s, "cases": [\n%s\n]}'
    % (json.dumps(torch.__version__), json.dumps(quantised), ",\n".join(json.dumps(case) for case in cases))
)
