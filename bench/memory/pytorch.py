"""One process of bench/memory: training steps of a ResNet with PyTorch (channels_last), and what the process held. Prints JSON."""
import argparse
import json
import pathlib
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "train-accuracy"))
from pytorch import Block, ResNet20  # noqa: E402


class ResNet(ResNet20):
    """ResNet-20 with more blocks per width: 9 make ResNet-56."""

    def __init__(self, count):
        super().__init__()
        blocks, channels = [], 16
        for width, first in ((16, 1), (32, 2), (64, 2)):
            for index in range(count):
                blocks.append(Block(channels, width, first if index == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)


def held(what):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


parser = argparse.ArgumentParser()
parser.add_argument("--arch", default="resnet-20")
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=5)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(1)
F.conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(4, 3, 3, 3))
program = held("VmRSS")
model = ResNet({"resnet-20": 3, "resnet-56": 9}[args.arch]).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
x = torch.randn(args.batch, 3, 32, 32).to(memory_format=torch.channels_last)
y = torch.randint(0, 10, (args.batch,))
times = []
for _ in range(args.steps):
    start = time.perf_counter()
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    times.append((time.perf_counter() - start) * 1000)
peak = held("VmHWM")
result = {"version": torch.__version__, "program": program, "peak": peak, "step": peak - program, "times": times[1:]}
print(json.dumps(result))
