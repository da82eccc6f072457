"""Records PyTorch's losses, weights and schedules for test/train. Run: /usr/bin/python3 test/oracles/record-training.py

Inputs and initial weights come from a linear congruential generator that the tests repeat, so that only results are kept.
Everything is computed in float64.
"""

import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

BATCH, CHANNELS, SIZE, CLASSES, STEPS = 16, 2, 8, 5, 20


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


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=True)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, CLASSES)
        lcg = Lcg(7)
        with torch.no_grad():
            for p in (self.conv1.weight, self.conv2.weight, self.conv2.bias, self.fc.weight, self.fc.bias):
                p.copy_(lcg.tensor(list(p.shape), 0.5))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


def batches():
    lcg = Lcg(11)
    for _ in range(STEPS):
        x = lcg.tensor([BATCH, CHANNELS, SIZE, SIZE], 1.5)
        y = torch.tensor([int(lcg.next() * CLASSES) for _ in range(BATCH)])
        # A pattern to learn: the class shifts one corner of the first channel.
        x[:, 0, :4, :4] += (y.to(torch.float64) * 0.5 - 1).to(torch.float32).to(torch.float64)[:, None, None]
        yield x, y


def train(make, smoothing=0.0, clip=None, ema=None):
    net = Net()
    optimizer = make(net)
    average = {k: v.clone() for k, v in net.state_dict().items()} if ema else None
    losses, correct, norms = [], [], []
    for x, y in batches():
        logits = net(x)
        loss = F.cross_entropy(logits, y, label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        if clip:
            norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), clip)))
        optimizer.step()
        if ema:
            for k, v in net.state_dict().items():
                if v.dtype.is_floating_point:
                    average[k] = ema * average[k] + (1 - ema) * v
        losses.append(loss.item())
        correct.append(int((logits.argmax(1) == y).sum()))
    state = average if ema else net.state_dict()
    weights = {k: v.flatten().tolist() for k, v in state.items() if v.dtype.is_floating_point and v.numel() <= 40}
    return {"losses": losses, "correct": correct, "norms": norms, "weights": weights}


def decoupled_groups(net):
    decay = [p for p in net.parameters() if p.dim() > 1]
    rest = [p for p in net.parameters() if p.dim() <= 1]
    return [{"params": decay}, {"params": rest, "weight_decay": 0.0}]


runs = {
    "sgd": train(lambda n: torch.optim.SGD(n.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-3)),
    "sgd-plain": train(lambda n: torch.optim.SGD(n.parameters(), 0.1)),
    "adam": train(lambda n: torch.optim.Adam(n.parameters(), 0.01, weight_decay=1e-2)),
    "adamw": train(lambda n: torch.optim.AdamW(n.parameters(), 0.01, weight_decay=0.1)),
    "adamw-groups": train(lambda n: torch.optim.AdamW(decoupled_groups(n), 0.01, weight_decay=0.1)),
    "smoothing": train(lambda n: torch.optim.SGD(n.parameters(), 0.1, momentum=0.9), smoothing=0.1),
    "clip": train(lambda n: torch.optim.SGD(n.parameters(), 0.1, momentum=0.9), clip=0.5),
    "average": train(lambda n: torch.optim.SGD(n.parameters(), 0.1, momentum=0.9), ema=0.9),
}


def distillation(temperature):
    lcg = Lcg(3)
    student = lcg.tensor([6, 5], 3).requires_grad_()
    teacher = lcg.tensor([6, 5], 3)
    loss = temperature**2 * F.kl_div(
        F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1), reduction="batchmean"
    )
    loss.backward()
    return {"temperature": temperature, "loss": loss.item(), "gradient": student.grad.flatten().tolist()}


def schedule(make, steps, lr=0.4):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr, momentum=0.9)
    scheduler = make(optimizer)
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


lr_scheduler = torch.optim.lr_scheduler
schedules = {
    "oneCycle": schedule(lambda o: lr_scheduler.OneCycleLR(o, 0.4, total_steps=37, cycle_momentum=False), 36),
    "cosine": schedule(lambda o: lr_scheduler.CosineAnnealingLR(o, 37, eta_min=0.01), 37),
    "step": schedule(lambda o: lr_scheduler.MultiStepLR(o, [10, 20], 0.2), 37),
    "linear": schedule(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, 36), 37),
}

out = pathlib.Path(__file__).parent.parent / "fixtures" / "training.json"
fixture = {
    "torch": torch.__version__,
    "shape": {"batch": BATCH, "channels": CHANNELS, "size": SIZE, "classes": CLASSES, "steps": STEPS},
    "runs": runs,
    "distillation": [distillation(1.0), distillation(4.0)],
    "schedules": schedules,
}
rounded = json.loads(json.dumps(fixture), parse_float=lambda s: float(f"{float(s):.9g}"))
out.write_text(json.dumps(rounded) + "\n")
