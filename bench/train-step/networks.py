"""The networks of bench/train-step in PyTorch, layer by layer those of networks.mjs."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "train-accuracy"))
from pytorch import ResNet20  # noqa: E402


def conv_block(channels, width, kernel, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    def __init__(self, channels, width, expansion, stride):
        super().__init__()
        inner = channels * expansion
        layers = [] if expansion == 1 else [conv_block(channels, inner, 1)]
        layers += [conv_block(inner, inner, 3, stride, inner)]
        layers += [nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and channels == width

    def forward(self, x):
        return x + self.layers(x) if self.adds else self.layers(x)


def mobilenet_v2():
    groups = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers, channels = [conv_block(3, 32, 3)], 32
    for expansion, width, repeats, stride in groups:
        for repeat in range(repeats):
            layers.append(InvertedResidual(channels, width, expansion, stride if repeat == 0 else 1))
            channels = width
    layers += [conv_block(channels, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10)]
    return nn.Sequential(*layers)


def vgg_11():
    layers, channels = [], 3
    for width in [64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"]:
        if width == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class TransformerBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.TransformerEncoderLayer(128, 4, 512, dropout=0, activation="gelu", batch_first=True, norm_first=True)
        self.fc = nn.Linear(128, 10)

    def forward(self, x):
        return self.fc(self.block(x).mean(1))


def images(batch):
    return torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last), torch.randint(0, 10, (batch,))


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)


def adam(parameters):
    return torch.optim.Adam(parameters, 1e-3)


# Name: model, one batch, optimiser.
NETWORKS = {
    "resnet-20": (ResNet20, images, sgd),
    "mobilenet-v2": (mobilenet_v2, images, sgd),
    "vgg-11": (vgg_11, images, sgd),
    "transformer-block": (TransformerBlock, lambda batch: (torch.randn(batch, 64, 128), torch.randint(0, 10, (batch,))), adam),
}
