"""Writes a small ML program (Core ML, MIL) as a package: its specification and its weights.

Needs: coremltools 9, numpy. Usage: record-audit-mlprogram.py test/fixtures/audit/mlprogram
"""
import os
import shutil
import sys
import tempfile

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb

folder = sys.argv[1]


def build():
    rng = np.random.default_rng(6)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, 16, 16))])
    def network(picture):
        x = mb.conv(x=picture, weight=normal(8, 3, 3, 3), bias=normal(8), strides=[2, 2], pad_type="same", name="first")
        x = mb.relu(x=x)
        x = mb.conv(x=x, weight=normal(8, 1, 3, 3), groups=8, pad_type="same", name="deep")
        x = mb.batch_norm(x=x, mean=normal(8), variance=np.abs(normal(8)), gamma=normal(8), beta=normal(8), name="norm")
        x = mb.reduce_mean(x=x, axes=[2, 3], keep_dims=False)
        x = mb.linear(x=x, weight=normal(40, 8), bias=normal(40), name="scores")
        return mb.softmax(x=x, axis=-1, name="probabilities")

    return network


for name, precision in (("half", ct.precision.FLOAT16), ("full", ct.precision.FLOAT32)):
    model = ct.convert(build(), convert_to="mlprogram", compute_precision=precision, skip_model_load=True)
    model.license = "MIT"
    with tempfile.TemporaryDirectory() as scratch:
        at = os.path.join(scratch, "net.mlpackage")
        model.save(at)
        inside = os.path.join(at, "Data", "com.apple.CoreML")
        shutil.copy(os.path.join(inside, "model.mlmodel"), os.path.join(folder, f"{name}.mlmodel"))
        shutil.copy(os.path.join(inside, "weights", "weight.bin"), os.path.join(folder, f"{name}.weight.bin"))
