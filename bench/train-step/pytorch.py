"""One process of bench/train-step: training steps with PyTorch (images channels_last). Prints times as JSON."""

import argparse
import json
import resource
import time

import torch
from networks import NETWORKS
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--network", default="resnet-20", choices=NETWORKS)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--steps", type=int, default=12)
parser.add_argument("--warmup", type=int, default=3)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(1)
build, make_batch, make_optimizer = NETWORKS[args.network]
model = build()
if any(parameter.dim() == 4 for parameter in model.parameters()):
    model = model.to(memory_format=torch.channels_last)
optimizer = make_optimizer(model.parameters())
x, y = make_batch(args.batch)
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
            "peakMegabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "times": times,
            "losses": losses,
        }
    )
)
