"""Writes small PyTorch files in every form, and what torch itself says of their parameters.

Needs: torch 1.13. Usage: record-audit-pytorch.py test/fixtures/audit/torch
"""
import json
import os
import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4)
        )
        self.up = nn.ConvTranspose2d(4, 2, 2)
        self.words = nn.Embedding(7, 5)
        self.memory = nn.LSTM(5, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x, words):
        y = self.up(self.features(x)).mean()
        z, _ = self.memory(self.words(words))
        return self.head(z) + y


def described(state):
    return {
        name: {
            "dtype": str(tensor.dtype).replace("torch.", ""),
            "shape": list(tensor.shape),
            "values": [float(value) for value in tensor.flatten()[:4]],
        }
        for name, tensor in state.items()
    }


def main(folder):
    torch.manual_seed(5)
    net = Net().eval()
    at = lambda name: os.path.join(folder, name)
    torch.save(net.state_dict(), at("state.pt"))
    torch.save(net.state_dict(), at("state-legacy.pt"), _use_new_zipfile_serialization=False)
    torch.save(net, at("module.pt"))
    torch.save({"epoch": 3, "model": net.state_dict(), "note": "a checkpoint"}, at("checkpoint.pt"))
    script = torch.jit.script(net)
    script.save(at("script.pt"))
    torch.jit.freeze(torch.jit.script(net.features)).save(at("frozen.pt"))
    small = torch.jit.script(net.features)
    small._save_for_lite_interpreter(at("mobile.ptl"))
    small._save_for_lite_interpreter(at("mobile-flat.ptl"), _use_flatbuffer=True)
    views = torch.arange(24.0).reshape(4, 6)
    mixed = {
        "transposed": views.t(),
        "part": views[1:3],
        "half": torch.tensor([0.5, -2.0]).half(),
        "brain": torch.tensor([0.5, -2.0]).bfloat16(),
        "bytes": torch.tensor([3, -4], dtype=torch.int8),
        "scalar": torch.tensor(7.0),
        "empty": torch.zeros(0, 3),
        "quantised": torch.quantize_per_tensor(torch.tensor([0.0, 1.0, 2.0]), 0.5, 10, torch.quint8),
    }
    torch.save(mixed, at("mixed.pt"))
    mixed["quantised"] = mixed["quantised"].int_repr()
    record = {"net": described(net.state_dict()), "mixed": described(mixed)}
    with open(at("expected.json"), "w") as out:
        json.dump(record, out, indent=1)
        out.write("\n")


main(sys.argv[1])
