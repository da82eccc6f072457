"""Small networks for test/train/attention-models.test.ts: exported to ONNX, and trained by PyTorch from the same weights.

Usage: python3 test/oracles/export-networks.py
Writes test/fixtures/transformer-classifier.onnx, lenet.onnx and network-training.json. Needs PyTorch (recorded with 1.13).
The Transformer is written as networks are: masks made from the input's shape, positions picked by a run-time range, so that
its export holds the Shape, Gather, Range, ConstantOfShape, Expand and Where nodes that tracing leaves behind.
"""

import io
import json
import math
import pathlib
import warnings

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
fixtures = pathlib.Path(__file__).parent.parent / "fixtures"
STEPS, BATCH, VOCABULARY, LENGTH, WIDTH, HEADS, CLASSES = 20, 8, 24, 12, 16, 2, 4


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x, bias):
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + bias
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(2 * LENGTH, WIDTH)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens):
        batch, length = tokens.shape
        # Token 0 fills up: it is not attended to, and does not count in the mean.
        real = tokens.ne(0)
        bias = torch.zeros(batch, 1, 1, length).masked_fill(~real[:, None, None, :], -1e9)
        x = self.words(tokens) + self.places(torch.arange(length)).expand(batch, length, WIDTH)
        for block in self.blocks:
            x = block(x, bias)
        weight = real.unsqueeze(-1).to(x.dtype)
        return self.head(self.norm((x * weight).sum(1) / weight.sum(1)))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 3 * 3, 60), nn.Linear(60, 40), nn.Linear(40, 10)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc3(torch.relu(self.fc2(torch.sigmoid(self.fc1(x)))))


class Lcg:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return self.state / 2**32


def token_batches():
    lcg = Lcg(5)
    for step in range(STEPS):
        # Batch and length differ from step to step.
        length = LENGTH - step % 3
        tokens = torch.tensor([[1 + int(lcg.next() * (VOCABULARY - 1)) for _ in range(length)] for _ in range(BATCH - step % 2)])
        for row, real in enumerate(int(lcg.next() * 5) for _ in range(len(tokens))):
            tokens[row, length - real :] = 0
        labels = torch.tensor([int(lcg.next() * CLASSES) for _ in range(len(tokens))])
        tokens[:, 0] = labels + 1
        yield tokens, labels


def image_batches():
    lcg = Lcg(9)
    for _ in range(STEPS):
        x = torch.tensor([lcg.next() * 2 - 1 for _ in range(BATCH * 400)], dtype=torch.float64).to(torch.float32).view(BATCH, 1, 20, 20)
        labels = torch.tensor([int(lcg.next() * 10) for _ in range(BATCH)])
        for row, label in enumerate(labels.tolist()):
            x[row, 0, label : label + 4, 3:9] += 1
        yield x, labels


def export(model, example, name, axes, opset):
    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        example,
        buffer,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": axes, "logits": {0: "batch"}},
        opset_version=opset,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
    )
    (fixtures / name).write_bytes(buffer.getvalue())


def train(model, batches, make):
    """Losses in float64 from the float32 weights, so that only rounding of one side is compared."""
    model = model.double()
    optimizer = make(model.parameters())
    losses = []
    for x, y in batches():
        loss = F.cross_entropy(model(x.double() if x.is_floating_point() else x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(f"{loss.item():.9g}"))
    return losses


def fresh(kind, seed=3):
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float32)
    return kind()


def double(kind):
    model = fresh(kind)
    # torch.zeros in the forward pass follows the default.
    torch.set_default_dtype(torch.float64)
    return model


OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, 0.01),
}
export(fresh(Classifier), torch.randint(1, VOCABULARY, (3, 7)), "transformer-classifier.onnx", {0: "batch", 1: "length"}, 14)
export(fresh(LeNet), torch.randn(3, 1, 20, 20), "lenet.onnx", {0: "batch"}, 12)
runs = {
    f"{name} {optimiser}": train(double(kind), batches, make)
    for name, kind, batches in [("transformer-classifier", Classifier, token_batches), ("lenet", LeNet, image_batches)]
    for optimiser, make in OPTIMISERS.items()
}
(fixtures / "network-training.json").write_text(json.dumps({"torch": torch.__version__, "runs": runs}) + "\n")
