"""One process of bench/train-step/run.mjs: training steps of a recurrent network with PyTorch. Prints times as JSON."""

import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--cell", default="LSTM")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--time", type=int, default=64)
parser.add_argument("--hidden", type=int, default=256)
parser.add_argument("--steps", type=int, default=12)
parser.add_argument("--warmup", type=int, default=3)
args = parser.parse_args()
VOCABULARY = 65

torch.set_num_threads(args.threads)
torch.manual_seed(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 64)
        self.layer = getattr(nn, args.cell)(64, args.hidden)
        self.fc = nn.Linear(args.hidden, VOCABULARY)

    def forward(self, tokens):
        return self.fc(self.layer(self.embedding(tokens.T))[0]).transpose(0, 1)


net = Net()
optimizer = torch.optim.Adam(net.parameters(), 1e-3)
x = torch.randint(0, VOCABULARY, (args.batch, args.time))
y = torch.randint(0, VOCABULARY, (args.batch, args.time))
times, losses = [], []
for i in range(args.warmup + args.steps):
    start = time.perf_counter()
    loss = F.cross_entropy(net(x).reshape(-1, VOCABULARY), y.reshape(-1))
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
            "samples": args.batch * args.time,
            "threads": args.threads,
            "times": times,
            "losses": losses,
        }
    )
)
