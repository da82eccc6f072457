"""Writes a checkpoint of ONNX Runtime's on-device training by its schema (ort_training_checkpoint.fbs); its package is not published any more.

Needs: flatbuffers, numpy. Usage: record-audit-checkpoint.py test/fixtures/audit/ort/checkpoint
"""
import sys

import flatbuffers
import numpy as np

b = flatbuffers.Builder(1024)


def table(count, slots):
    b.StartObject(count)
    for slot, (kind, value) in slots.items():
        if kind == "offset":
            b.PrependUOffsetTRelativeSlot(slot, value, 0)
        elif kind == "int64":
            b.PrependInt64Slot(slot, value, 0)
        else:
            b.PrependInt32Slot(slot, value, 0)
    return b.EndObject()


def offsets(items):
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def tensor(name, array):
    text = b.CreateString(name)
    b.StartVector(8, array.ndim, 8)
    for dim in reversed(array.shape):
        b.PrependInt64(dim)
    dims, data = b.EndVector(), None
    data = b.CreateByteVector(array.astype(np.float32).tobytes())
    return table(6, {0: ("offset", text), 2: ("offset", dims), 3: ("int32", 1), 4: ("offset", data)})


rng = np.random.default_rng(9)
trained = offsets([tensor("head.weight", rng.normal(size=(4, 6))), tensor("head.bias", rng.normal(size=4))])
frozen = offsets([tensor("features.0.weight", rng.normal(size=(6, 3, 3, 3)))])
modules = table(4, {0: ("offset", trained), 1: ("offset", frozen)})
name = b.CreateString("group0")
groups = offsets([table(4, {0: ("offset", name), 1: ("int64", 12)})])
b.Finish(table(4, {0: ("int32", 1), 1: ("offset", modules), 2: ("offset", groups)}), b"ODTC")
with open(sys.argv[1], "wb") as out:
    out.write(b.Output())
