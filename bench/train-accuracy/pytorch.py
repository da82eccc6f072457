"""ResNet-20 on the CIFAR-10 copy in PyTorch, with the recipe of run.mjs: the peer of bench/train-accuracy.

python3 pytorch.py DATA.tar.gz OUT.json [--epochs 10] [--seed 0] [--threads 2] [--limit N]
"""
import argparse
import io
import json
import tarfile
import time

import numpy as np
import torch
from PIL import Image
from torch import nn

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


class Block(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == width
            else nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x):
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        blocks, channels = [], 16
        for width, first in ((16, 1), (32, 2), (64, 2)):
            for index in range(3):
                blocks.append(Block(channels, width, first if index == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(64, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                nn.init.normal_(module.weight, 0, (2 / fan_in) ** 0.5)
        nn.init.normal_(self.fc.weight, 0, (1 / 64) ** 0.5)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


def load(path):
    """Images (uint8 N×3×32×32) and labels of both splits; classes in alphabetical order."""
    found = {"train": [], "test": []}
    with tarfile.open(path) as archive:
        for member in archive:
            parts = member.name.strip("./").split("/")
            if member.isfile() and len(parts) >= 3 and parts[-3] in found:
                image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
                found[parts[-3]].append((parts[-2], np.asarray(image).transpose(2, 0, 1)))
    classes = sorted({label for label, _ in found["train"]})
    return {
        split: (
            torch.from_numpy(np.stack([image for _, image in items])),
            torch.tensor([classes.index(label) for label, _ in items]),
        )
        for split, items in found.items()
    }


def normalise(images):
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(images, generator):
    """Crop with 4 black pixels around, flip left to right."""
    count = len(images)
    padded = nn.functional.pad(images, (4, 4, 4, 4))
    tops = torch.randint(0, 9, (count,), generator=generator)
    lefts = torch.randint(0, 9, (count,), generator=generator)
    flips = torch.randint(0, 2, (count,), generator=generator)
    out = torch.empty_like(images)
    for i in range(count):
        crop = padded[i, :, tops[i] : tops[i] + 32, lefts[i] : lefts[i] + 32]
        out[i] = crop.flip(2) if flips[i] else crop
    return out


@torch.no_grad()
def accuracy(model, images, labels):
    model.eval()
    right = sum(
        (model(normalise(images[i : i + 500])).argmax(1) == labels[i : i + 500]).sum().item()
        for i in range(0, len(images), 500)
    )
    model.train()
    return right / len(images)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)

    data = load(args.data)
    images, labels = data["train"]
    if args.limit:
        chosen = torch.randperm(len(images))[: args.limit]
        images, labels = images[chosen], labels[chosen]
    model = ResNet20().to(memory_format=torch.channels_last)
    weights = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.SGD(
        [{"params": weights, "weight_decay": args.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=args.lr,
        momentum=0.9,
        nesterov=True,
    )
    steps = len(images) // args.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, args.lr, total_steps=args.epochs * steps, cycle_momentum=False
    )
    history, start = [], time.time()
    for epoch in range(args.epochs):
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for step in range(steps):
            index = order[step * args.batch : (step + 1) * args.batch]
            loss = nn.functional.cross_entropy(model(normalise(augment(images[index], generator))), labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        history.append({"epoch": epoch + 1, "loss": total / steps, "accuracy": accuracy(model, *data["test"])})
        print(json.dumps(history[-1]), flush=True)
        with open(args.out, "w") as file:
            json.dump(
                {
                    "framework": f"PyTorch {torch.__version__}",
                    "recipe": vars(args) | {"data": None, "out": None},
                    "finished": epoch + 1 == args.epochs,
                    "seconds": time.time() - start,
                    "accuracy": history[-1]["accuracy"],
                    "history": history,
                },
                file,
                indent=1,
            )


if __name__ == "__main__":
    main()
