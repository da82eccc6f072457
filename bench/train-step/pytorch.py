"""One process of bench/train-step: training steps of ResNet-20 with PyTorch (channels_last). Prints times as JSON."""

import argparse
import json
import pathlib
import sys
import time

import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "train-accuracy"))
from pytorch import ResNet20  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--steps", type=int, default=12)
parser.add_argument("--warmup", type=int, default=3)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(1)
model = ResNet20().to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
x = torch.randn(args.batch, 3, 32, 32).to(memory_format=torch.channels_last)
y = torch.randint(0, 10, (args.batch,))
times, losses = [], []
for i in range(args.warmup + args.steps):
    start = time.perf_counter()
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if i >= args.warmup:
        times.append((time.perf_counter() - start) * 1000)
print(
    json.dumps(
        {
            "version": f"PyTorch {torch.__version__}",
            "batch": args.batch,
            "threads": args.threads,
            "times": times,
            "losses": losses,
        }
    )
)
