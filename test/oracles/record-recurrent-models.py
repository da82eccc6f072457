"""Records PyTorch's first 20 training losses of recurrent networks with sub-graphs for test/train/recurrent-models.test.ts.

Usage: python3 test/oracles/record-recurrent-models.py [silero_vad.onnx]
Needs PyTorch (recorded with 1.13). Writes test/fixtures/recurrent/scripted-*.onnx, exported from TorchScript (Loop and If nodes),
and losses.json. With a path to Silero VAD's ONNX file (version 4, MIT licence; `scripts/fetch-silero.mjs` gets it) the losses of
fine-tuning its 16 kHz half are recorded too, with an equivalent PyTorch module that holds the weights of the file.
"""

import json
import pathlib
import sys
from typing import List, Optional

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "recurrent"
FOLDER.mkdir(exist_ok=True)
LOSSES = FOLDER / "losses.json"
STEPS = 20


class Lcg:
    """The generator of test/train/reference-net.ts: numbers in [−scale, scale)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return self.state / 2**32

    def tensor(self, shape, scale):
        count = int(np.prod(shape))
        return torch.tensor([(self.next() * 2 - 1) * scale for _ in range(count)], dtype=torch.float32).reshape(shape)


class Gated(nn.Module):
    """A recurrent cell by hand: a loop over the steps, whose last ones a threshold in the data decides."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 6)
        self.gate = nn.Linear(12, 6)
        self.candidate = nn.Linear(12, 6)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        h = torch.zeros([x.size(1), 6], dtype=torch.float32)
        energy = torch.zeros([1], dtype=torch.float32)
        for t in range(x.size(0)):
            e = torch.tanh(self.embed(x[t]))
            both = torch.cat([e, h], 1)
            z = torch.sigmoid(self.gate(both))
            if bool(x[t].mean() > 0):
                c = torch.tanh(self.candidate(both))
            else:
                c = self.norm(e + h)
            h = z * h + (1 - z) * c
            energy = energy + (h * h).mean()
        return self.head(h) / (1 + energy)


class Stopping(nn.Module):
    """Repeats one layer until the state has grown enough, at most 12 times (adaptive computation)."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        h = x
        steps = 0
        while bool(h.abs().mean() < 0.9) and steps < 12:
            h = h + 0.3 * torch.tanh(self.inner(h))
            steps = steps + 1
        return self.head(h)


def data(lcg, shape, batch, classes):
    x = lcg.tensor(shape, 1.0)
    labels = torch.tensor([int(lcg.next() * classes) for _ in range(batch)])
    return x, labels


def train(model, name, shape, batch):
    parameters = Lcg(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameters.tensor(list(parameter.shape), 0.6))
    example, _ = data(Lcg(5), shape, batch, 4)
    scripted = torch.jit.script(model)
    torch.onnx.export(
        scripted,
        (example,),
        str(FOLDER / f"scripted-{name}.onnx"),
        opset_version=16,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "steps", 1: "batch"} if len(shape) == 3 else {0: "batch"}},
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    lcg = Lcg(5)
    losses = []
    for step in range(STEPS):
        # Sequences of 3 to 6 steps: the loop is as long as its input.
        dims = [3 + step % 4, *shape[1:]] if len(shape) == 3 else shape
        x, labels = data(lcg, dims, batch, 4)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(f"{loss.item():.8g}"))
    return losses


class Silero(nn.Module):
    """The 16 kHz half of Silero VAD version 4, written after its ONNX graph, with the file's weights."""

    def __init__(self, path):
        super().__init__()
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(path).graph
        branch = [a.g for node in graph.node if node.op_type == "If" for a in node.attribute if a.name == "then_branch"][0]
        inner = [a.g for node in branch.node if "x0.15" in node.output for a in node.attribute if a.name == "then_branch"][0]
        held = {t.name: numpy_helper.to_array(t) for g in (graph, branch, inner) for t in g.initializer}
        self.weights = {}

        def weight(name, change=lambda value: value):
            parameter = nn.Parameter(torch.tensor(np.ascontiguousarray(change(held[name]))))
            self.weights[name] = parameter
            self.register_parameter(name.replace(".", "_"), parameter)
            return parameter

        self.basis = torch.tensor(held["model.feature_extractor.forward_basis_buffer"])
        self.smoothing = torch.tensor(held["model.adaptive_normalization.filter_"])
        for node in branch.node:
            if node.op_type == "Conv":
                for name in node.input[1:]:
                    if "forward_basis" not in name and "filter_" not in name:
                        weight(name)
        self.cells = []
        for node in inner.node:
            if node.op_type == "LSTM":
                # ONNX has the gates in the order i, o, f, c; PyTorch i, f, c, o.
                gates = lambda value: np.concatenate([np.split(value, 4)[i] for i in (0, 2, 3, 1)])
                w, r = (weight(node.input[i], lambda value: gates(value[0])) for i in (1, 2))
                both = weight(node.input[3], lambda value: np.stack([gates(half) for half in np.split(value[0], 2)]))
                self.cells.append((w, r, both))

    def conv(self, x, name, **options):
        return F.conv1d(x, self.weights[f"model.{name}.weight"], self.weights[f"model.{name}.bias"], **options)

    def block(self, x, name, groups, projected):
        y = self.conv(F.relu(self.conv(x, f"{name}.dw_conv.0", padding=2, groups=groups)), f"{name}.pw_conv.0")
        return F.relu(y + (self.conv(x, f"{name}.proj") if projected else x))

    def forward(self, x, h, c):
        padded = F.pad(x[:, None], (96, 96), mode="reflect")
        spectrum = F.conv1d(padded, self.basis, stride=64)
        magnitude = torch.sqrt(spectrum[:, :129] ** 2 + spectrum[:, 129:] ** 2)
        logs = torch.log(1 + magnitude * 1048576)
        mean = F.pad(logs.mean(1, keepdim=True), (3, 3), mode="reflect")
        level = F.conv1d(mean, self.smoothing).mean(-1, keepdim=True)
        y = torch.cat([magnitude, logs - level], 1)
        y = self.block(y, "first_layer.0", 258, True)
        w = self.weights
        y = F.relu(F.conv1d(y, w["1110"], w["1111"], stride=2))
        y = self.block(y, "encoder.3.0", 16, True)
        y = F.relu(F.conv1d(y, w["1113"], w["1114"], stride=2))
        y = self.block(y, "encoder.7.0", 32, False)
        y = F.relu(F.conv1d(y, w["1116"], w["1117"], stride=2))
        y = self.block(y, "encoder.11.0", 32, True)
        y = F.relu(F.conv1d(y, w["1119"], w["1120"]))
        steps = list(torch.unbind(y, 2))
        for layer, (weight, recurrent, bias) in enumerate(self.cells):
            hidden, cell = h[layer], c[layer]
            for t, step in enumerate(steps):
                i, f, g, o = torch.chunk(step @ weight.T + hidden @ recurrent.T + bias.sum(0), 4, 1)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                hidden = torch.sigmoid(o) * torch.tanh(cell)
                steps[t] = hidden
        y = torch.sigmoid(self.conv(F.relu(torch.stack(steps, 2)), "decoder.decoder.1"))
        return y[:, 0].mean(1, keepdim=True)


def silero(path):
    model = Silero(path)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    lcg = Lcg(9)
    losses = []
    for _ in range(STEPS):
        x, h, c = lcg.tensor([4, 1536], 0.4), lcg.tensor([2, 4, 64], 0.2), lcg.tensor([2, 4, 64], 0.2)
        target = torch.tensor([[float(lcg.next() < 0.5)] for _ in range(4)])
        optimizer.zero_grad()
        loss = F.binary_cross_entropy(model(x, h, c), target)
        loss.backward()
        optimizer.step()
        losses.append(float(f"{loss.item():.8g}"))
    return losses


found = json.loads(LOSSES.read_text()) if LOSSES.exists() else {}
found["gated"] = train(Gated(), "gated", [5, 3, 3], 3)
found["stopping"] = train(Stopping(), "stopping", [4, 5], 4)
if len(sys.argv) > 1:
    found["silero"] = silero(sys.argv[1])
LOSSES.write_text(json.dumps(found, indent=1) + "\n")
for name, losses in found.items():
    print(name, losses[:3], losses[-1])
