"""Records PyTorch's losses, gradients and factors of low-rank adapters: python3 record-adapters.py > ../fixtures/adapters.json"""
import json

import torch
from torch import nn
from torch.nn import functional as F


class Lcg:
    def __init__(self, seed):
        self.state = seed

    def tensor(self, dims, scale):
        size = 1
        for dim in dims:
            size *= dim
        values = []
        for _ in range(size):
            self.state = (self.state * 1664525 + 1013904223) % 2**32
            values.append((self.state / 2**32 * 2 - 1) * scale)
        return torch.tensor(values, dtype=torch.float32).reshape(dims)


lcg = Lcg(5)
conv = lcg.tensor((4, 2, 3, 3), 0.5)
fc = lcg.tensor((3, 4), 0.5)
conv_a, conv_b = lcg.tensor((2, 2, 3, 3), 0.3), lcg.tensor((4, 2, 1, 1), 0.3)
fc_a, fc_b = lcg.tensor((4, 2), 0.3), lcg.tensor((2, 3), 0.3)
x = lcg.tensor((6, 2, 5, 5), 1.0)
labels = torch.tensor([i % 3 for i in range(6)])
factors = {"conv.lora_a": conv_a, "conv.lora_b": conv_b, "fc.lora_a": fc_a, "fc.lora_b": fc_b}
for factor in factors.values():
    factor.requires_grad_()
scale = 4 / 2


def forward(x):
    h = F.conv2d(x, conv, stride=2, padding=1) + F.conv2d(scale * F.conv2d(x, conv_a, stride=2, padding=1), conv_b)
    h = torch.relu(h).mean((2, 3))
    return h @ fc.T + scale * (h @ fc_a) @ fc_b


optimizer = torch.optim.SGD(factors.values(), 0.5)
losses, gradients, logits = [], {}, forward(x).detach().flatten().tolist()
for step in range(5):
    loss = F.cross_entropy(forward(x), labels)
    optimizer.zero_grad()
    loss.backward()
    if step == 0:
        gradients = {name: factor.grad.flatten().tolist() for name, factor in factors.items()}
    optimizer.step()
    losses.append(loss.item())
final = {name: factor.detach().flatten().tolist() for name, factor in factors.items()}
print(json.dumps({"torch": torch.__version__, "logits": logits, "losses": losses, "gradients": gradients, "final": final}))
