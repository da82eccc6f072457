"""Records PyTorch's gradients of recurrent layers and its first losses of recurrent networks for test/gradients and test/train.

Run: /usr/bin/python3 test/oracles/record-recurrent.py

Writes test/fixtures/recurrent.json and the exported network test/fixtures/recurrent-export.onnx. Weights and data of the trained
networks come from a linear congruential generator that the tests repeat; everything is computed in float64.
"""

import json
import pathlib
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

warnings.filterwarnings("ignore")
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
fixtures = pathlib.Path(__file__).parent.parent / "fixtures"

# Gates in PyTorch's order, by their place in ONNX's.
ORDER = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}


class Lcg:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return self.state / 2**32

    def tensor(self, shape, scale):
        n = 1
        for d in shape:
            n *= d
        values = [(self.next() * 2 - 1) * scale for _ in range(n)]
        return torch.tensor(values).to(torch.float32).to(torch.float64).reshape(shape)

    def tokens(self, shape, vocabulary):
        n = 1
        for d in shape:
            n *= d
        return torch.tensor([int(self.next() * vocabulary) for _ in range(n)]).reshape(shape)


def to_onnx(op, value, hidden):
    """Rows of gates from PyTorch's order into ONNX's."""
    gates = value.reshape(len(ORDER[op]), hidden, *value.shape[1:])
    return gates[ORDER[op]].reshape(value.shape)


def numbers(value):
    return {"dims": list(value.shape), "values": value.detach().flatten().tolist()}


def gradient_case(name, op, bidirectional=False, lengths=None, nonlinearity=None, bias=True, time=5, batch=3, features=2, hidden=3):
    torch.manual_seed(len(name))
    directions = 2 if bidirectional else 1
    extra = {"nonlinearity": nonlinearity} if nonlinearity else {}
    layer = getattr(nn, op)(features, hidden, bidirectional=bidirectional, bias=bias, **extra)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_((p * 1.5).to(torch.float32).to(torch.float64))
    rounded = lambda *shape: torch.randn(*shape).to(torch.float32).to(torch.float64)
    x = rounded(time, batch, features).requires_grad_()
    h0 = rounded(directions, batch, hidden).requires_grad_()
    c0 = rounded(directions, batch, hidden).requires_grad_() if op == "LSTM" else None
    state = (h0, c0) if op == "LSTM" else h0
    if lengths is None:
        y, last = layer(x, state)
    else:
        packed, last = layer(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), state)
        y, _ = pad_packed_sequence(packed, total_length=time)
    # [T, B, D·H] → [T, D, B, H]
    outputs = [y.reshape(time, batch, directions, hidden).transpose(1, 2), *(last if op == "LSTM" else [last])]
    seeds = [rounded(*output.shape) for output in outputs]
    sum((output * seed).sum() for output, seed in zip(outputs, seeds)).backward()

    def stacked(stem, of):
        parts = [getattr(layer, f"{stem}_l0{suffix}") for suffix in ["", "_reverse"][:directions]]
        return torch.stack([to_onnx(op, of(part), hidden) for part in parts])

    def inputs(of):
        found = {"X": of(x), "W": stacked("weight_ih", of), "R": stacked("weight_hh", of), "initial_h": of(h0)}
        if bias:
            found["B"] = torch.cat([stacked("bias_ih", of), stacked("bias_hh", of)], 1)
        if c0 is not None:
            found["initial_c"] = of(c0)
        return {key: numbers(value) for key, value in found.items()}

    return {
        "name": name,
        "op": op,
        "time": time,
        "batch": batch,
        "features": features,
        "hidden": hidden,
        "direction": "bidirectional" if bidirectional else "forward",
        "activations": ["Relu"] * directions if nonlinearity == "relu" else None,
        "lengths": lengths,
        "inputs": inputs(lambda value: value),
        "outputs": [numbers(output) for output in outputs],
        "seeds": [numbers(seed) for seed in seeds],
        "gradients": inputs(lambda value: value.grad),
    }


cases = []
for op in ["LSTM", "GRU", "RNN"]:
    cases += [
        gradient_case(f"{op}", op),
        gradient_case(f"{op} without bias", op, bias=False),
        gradient_case(f"{op} bidirectional", op, bidirectional=True),
        gradient_case(f"{op} of packed sequences", op, lengths=[5, 2, 4]),
        gradient_case(f"{op} bidirectional of packed sequences", op, bidirectional=True, lengths=[3, 5, 1]),
        gradient_case(f"{op} of one hidden unit, batch 1", op, batch=1, hidden=1),
    ]
cases.append(gradient_case("RNN with ReLU", "RNN", nonlinearity="relu", bidirectional=True))

VOCABULARY, EMBEDDING, HIDDEN, LAYERS, BATCH, TIME, STEPS = 11, 64, 12, 2, 6, 10, 20


class Characters(nn.Module):
    """The zoo's character model. Parameters are drawn in the order of the zoo's initializers, in ONNX's layout."""

    def __init__(self, op):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.layer = getattr(nn, op)(EMBEDDING, HIDDEN, num_layers=LAYERS)
        self.fc = nn.Linear(HIDDEN, VOCABULARY)
        lcg = Lcg(21)
        rows = len(ORDER[op]) * HIDDEN
        inverse = [ORDER[op].index(i) for i in range(len(ORDER[op]))]

        def gates(shape, scale):
            drawn = lcg.tensor(shape, scale)
            return drawn.reshape(len(inverse), HIDDEN, *shape[1:])[inverse].reshape(shape)

        with torch.no_grad():
            self.embedding.weight.copy_(lcg.tensor([VOCABULARY, EMBEDDING], 1))
            for index in range(LAYERS):
                width = EMBEDDING if index == 0 else HIDDEN
                for stem, shape in [
                    ("weight_ih", [rows, width]),
                    ("weight_hh", [rows, HIDDEN]),
                    ("bias_ih", [rows]),
                    ("bias_hh", [rows]),
                ]:
                    getattr(self.layer, f"{stem}_l{index}").copy_(gates(shape, 0.3))
            self.fc.weight.copy_(lcg.tensor([VOCABULARY, HIDDEN], 0.3))
            self.fc.bias.copy_(lcg.tensor([VOCABULARY], 0.3))

    def forward(self, tokens):
        return self.fc(self.layer(self.embedding(tokens.T))[0]).transpose(0, 1)


class Exported(nn.Module):
    """A network as somebody else would write it: batch first, dropout-free, its own names."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.embed = nn.Embedding(VOCABULARY, 8)
        self.rnn = nn.LSTM(8, HIDDEN, num_layers=2, batch_first=True, bidirectional=False)
        self.head = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, tokens):
        return self.head(self.rnn(self.embed(tokens))[0])


def batches():
    lcg = Lcg(31)
    for _ in range(STEPS):
        tokens = lcg.tokens([BATCH, TIME + 1], VOCABULARY)
        # A rule to learn: every second character repeats the one before, moved by one.
        tokens[:, 1::2] = (tokens[:, 0:-1:2] + 1) % VOCABULARY
        yield tokens[:, :-1], tokens[:, 1:]


def train(net, make):
    optimizer = make(net)
    losses = []
    for x, y in batches():
        loss = F.cross_entropy(net(x).reshape(-1, VOCABULARY), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def adam(net):
    return torch.optim.Adam(net.parameters(), 0.03)


def sgd(net):
    return torch.optim.SGD(net.parameters(), 0.5, momentum=0.9)


def export(net, path):
    torch.set_default_dtype(torch.float32)
    net = net.float().eval()
    torch.onnx.export(
        net,
        (torch.zeros(2, 4, dtype=torch.int64),),
        str(path),
        opset_version=14,
        input_names=["tokens"],
        output_names=["scores"],
        dynamic_axes={"tokens": {0: "batch", 1: "time"}, "scores": {0: "batch", 1: "time"}},
        do_constant_folding=True,
    )
    torch.set_default_dtype(torch.float64)
    return net.double()


exported = export(Exported(), fixtures / "recurrent-export.onnx")
runs = {
    "LSTM": train(Characters("LSTM"), adam),
    "RNN": train(Characters("RNN"), sgd),
    "exported": train(exported, adam),
}
fixture = {
    "torch": torch.__version__,
    "shape": {
        "vocabulary": VOCABULARY,
        "hidden": HIDDEN,
        "layers": LAYERS,
        "batch": BATCH,
        "time": TIME,
        "steps": STEPS,
    },
    "cases": cases,
    "runs": runs,
}
rounded = json.loads(json.dumps(fixture), parse_float=lambda s: float(f"{float(s):.9g}"))
(fixtures / "recurrent.json").write_text(json.dumps(rounded) + "\n")
