"""One process of bench/roofline: fastest of several products of square matrices and sums of large arrays in PyTorch. Prints JSON."""

import argparse
import json
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=1)
args = parser.parse_args()
torch.set_num_threads(args.threads)


def fastest(work, runs=10):
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


n = 1024
a, b, c = torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)
product = fastest(lambda: torch.mm(a, b, out=c))
size = 2**23
x, y, z = torch.ones(size), torch.ones(size), torch.empty(size)
total = fastest(lambda: torch.add(x, y, out=z))
print(json.dumps({"gflops": 2 * n**3 / product / 1e9, "gbPerSecond": 12 * size / total / 1e9}))
