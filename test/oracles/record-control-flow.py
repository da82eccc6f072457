"""Records gradients through branches and loops from PyTorch's autograd for test/gradients/control-flow-oracle.test.ts.

Usage: python3 test/oracles/record-control-flow.py   (writes test/fixtures/control-flow-gradients.json)
Needs PyTorch (recorded with 1.13). Inputs come from the generator that the tests use, so that only results are kept.
Each function computes in plain Python and PyTorch what the case of the same name in control-flow-cases.ts says in ONNX.
"""

import json
import pathlib

import torch

torch.set_default_dtype(torch.float64)
CASES = {}


def case(*names):
    def keep(function):
        for name in names:
            CASES[name] = function
        return function

    return keep


def imul(a, b):
    return (a * b) & 0xFFFFFFFF


def numbers(name, count):
    """mulberry32 seeded by the value's name, as float32 numbers in [-1, 1)."""
    state = 5
    for letter in name:
        state = (state * 31 + ord(letter)) & 0xFFFFFFFF
    values = []
    for _ in range(count):
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = imul(state ^ (state >> 15), state | 1)
        t ^= (t + imul(t ^ (t >> 7), t | 61)) & 0xFFFFFFFF
        values.append(((t ^ (t >> 14)) & 0xFFFFFFFF) / 4294967296 * 2 - 1)
    return torch.tensor(values).to(torch.float32).to(torch.float64)


class Values(dict):
    """Leaves by name, made on first use."""

    def get(self, name, *dims):
        if name not in self:
            count = 1
            for dim in dims:
                count *= dim
            self[name] = numbers(name, count).reshape(dims).requires_grad_()
        return self[name]


def squares(*values):
    return sum((value * value).sum() for value in values)


def branches(v, taken):
    x, w, u = v.get("x", 3, 4), v.get("w", 4, 2), v.get("v", 4)
    y = torch.tanh(x @ w) if taken else torch.sigmoid((x + u) * x).mean(1, keepdim=True)
    return squares(torch.exp(y))


for suffix in ["", ", symbolic"]:
    CASES["If taken" + suffix] = lambda v: branches(v, True)
    CASES["If not taken" + suffix] = lambda v: branches(v, False)


@case("If with values passed through and constants")
def passed(v):
    x, k = v.get("x", 3, 2), v.get("k", 3, 2)
    q = (x + x) * k
    return squares(x, q / torch.tensor([3.0, 2.0]), q)


def nested(outer, inner):
    def run(v):
        x, w = v.get("x", 3, 2), v.get("w", 2, 2)
        if outer:
            hidden = torch.exp(x @ w)
            return squares((torch.tanh(hidden) * x if inner else torch.softmax(hidden, 1)) * hidden)
        return squares(torch.sin(x) if inner else x @ w.T)

    return run


for outer in (True, False):
    for inner in (True, False):
        CASES[f"If in If, {'then' if outer else 'else'} {'then' if inner else 'else'}"] = nested(outer, inner)


@case("If on a computed condition")
def computed(v):
    x = v.get("x", 4)
    total = x.sum()
    return squares(x * total if total.item() > -9 else x)


def recurrence(axis=0, backwards=False, use="both"):
    def run(v):
        x = v.get("x", *([5, 2, 3] if axis == 0 else [2, 5, 3]))
        h, w, u, c = v.get("h", 2, 4), v.get("w", 3, 4), v.get("u", 4, 4), v.get("c", 4)
        steps = list(torch.unbind(x, axis))
        if backwards:
            steps.reverse()
        trail = []
        for step in steps:
            h = torch.tanh(step @ w + h @ u + c)
            trail.append(h)
        # The forward cases prepend what each step gives, the backward ones append it.
        if not backwards:
            trail.reverse()
        weighted = torch.stack(trail, 1) * numbers("r", 40).reshape(2, 5, 4)
        return squares(h) if use == "state" else squares(weighted) if use == "stack" else squares(h, weighted)

    return run


CASES["Scan"] = CASES["Scan, symbolic"] = recurrence()
CASES["Scan backwards along axis 1"] = recurrence(axis=1, backwards=True)
CASES["Scan, loss on the last state"] = recurrence(use="state")
CASES["Scan, loss on the stack"] = recurrence(axis=1, use="stack")


@case("Scan with two states, two inputs, a counter and an idle state")
def several(v):
    x, y, p, q = v.get("x", 4, 2), v.get("y", 2, 4), v.get("p", 2), v.get("q")
    trail = []
    for k in range(4):
        xi, yi = x[k], y[:, k]
        p, q = (p + xi * k) * torch.cos(q), q + (xi * yi).sum()
        trail.append(p * yi)
    return squares(p, torch.stack(trail), q)


@case("Scan with an If inside")
def choosing(v):
    x, h, w = v.get("x", 6, 2), v.get("h", 2), v.get("w", 2)
    for xi in x:
        gain = torch.exp(h * w)
        h = torch.tanh(torch.tanh(gain) * xi if xi.sum().item() > 0 else h * h + gain)
    return squares(h)


@case("Scan in Scan, weights in the bodies")
def planes(v):
    x, row, w = v.get("x", 3, 4, 2), v.get("start", 2), v.get("w", 2, 2)
    sums = []
    for plane in x:
        scale, cell, total = torch.exp(row), row, 0
        for point in reversed(list(plane)):
            cell = torch.tanh((cell * scale) @ w.T + point)
            total = total + cell * point
        row = cell
        sums.append(total)
    return squares(row, torch.stack(sums))


def looped(trips, limit=None):
    def run(v):
        z, a = v.get("z", 3), v.get("a", 3)
        total = torch.zeros(3)
        for _ in range(trips):
            sine = torch.sin(z)
            z, total = z * a + sine, total + sine
            if limit is not None and not z.abs().sum().item() < limit:
                break
        return squares(z, total)

    return run


CASES["Loop with a constant trip count"] = looped(4)
CASES["Loop with one trip"] = looped(1)
CASES["Loop with no trip"] = looped(0)
CASES["Loop with a fed trip count"] = looped(3)


@case("Loop that its values end, without trip count and scan outputs")
def growing_numbers(v):
    z = v.get("z", 3)
    while True:
        z = z * 1.5
        if not z.abs().max().item() < 4:
            return squares(z)


@case("Loop that its values end")
def ended(v):
    z, a = v.get("z", 3), v.get("a", 3)
    total = torch.zeros(3)
    for _ in range(50):
        sine = torch.sin(z)
        z, total = z * a + sine, total + sine
        if not z.abs().sum().item() > 0.9:
            break
    return squares(z, total)


@case("Loop over the rows of a captured matrix")
def rows(v):
    x, h = v.get("x", 4, 3), v.get("h", 3)
    trail = []
    for row in x:
        before, h = h, torch.tanh((row + h) * row)
        trail.append(h * before)
    return squares(h, torch.stack(trail))


@case("Loop whose carried value grows")
def growing(v):
    x, y = v.get("x", 2, 2), v.get("y", 1, 2)
    for _ in range(3):
        x = torch.cat([-x, y])
    return squares(torch.exp(x))


@case("Loop in If")
def loop_in_if(v):
    z, a = v.get("z", 2), v.get("a", 2)
    start = value = torch.exp(z)
    for _ in range(3):
        value = torch.sin(value) * (a + start)
    return squares(value)


@case("Loop in Loop, the inner as long as the outer has come")
def triangle(v):
    z, a = v.get("z", 2), v.get("a", 2)
    trail = []
    for i in range(4):
        inner = z
        for _ in range(i):
            inner = torch.tanh(inner * a + z)
        trail.append(inner * z)
        z = inner
    return squares(z, torch.stack(trail))


results = {}
for name, function in CASES.items():
    values = Values()
    loss = function(values)
    loss.backward()
    results[name] = {
        "loss": float(f"{loss.item():.10g}"),
        "gradients": {
            key: [float(f"{x:.8g}") for x in (torch.zeros_like(leaf) if leaf.grad is None else leaf.grad).reshape(-1).tolist()]
            for key, leaf in values.items()
        },
    }

path = pathlib.Path(__file__).parent.parent / "fixtures" / "control-flow-gradients.json"
path.write_text(json.dumps(results, separators=(",", ":")) + "\n")
print(f"{len(results)} cases, {path.stat().st_size} bytes")
