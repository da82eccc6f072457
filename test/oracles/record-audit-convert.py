"""Records what LiteRT computes for the TensorFlow Lite models beside the checkout, on pseudo-random inputs.

Needs: ai-edge-litert 2, numpy. Usage: record-audit-convert.py FORMATS_FOLDER > test/fixtures/audit/convert-models.json

Inputs: element i is the i-th number of a linear congruential generator (see `numbers`), seeded with the input's place plus 1.
Outputs: at most 2,048 elements of each, evenly spaced, as base64 of little-endian numbers.
"""
import base64
import glob
import json
import os
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MOST = 2048


def numbers(count, seed):
    """Uniform in [0, 1), 24 bits, from s' = 1664525 s + 1013904223 mod 2^32."""
    found = np.empty(count, np.float64)
    state = seed
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        found[i] = (state >> 8) / 2.0**24
    return found


def given(shape, dtype, seed):
    count = int(np.prod(shape)) if len(shape) else 1
    uniform = numbers(count, seed)
    if dtype == np.int8:
        made = np.floor(uniform * 256) - 128
    elif dtype == np.uint8:
        made = np.floor(uniform * 256)
    elif np.issubdtype(dtype, np.integer):
        made = np.floor(uniform * 4)
    else:
        made = uniform * 2 - 1
    return made.astype(dtype).reshape(shape)


def packed(array):
    flat = np.ascontiguousarray(array).ravel()
    step = max(1, -(-flat.size // MOST))
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "step": step,
        "data": base64.b64encode(flat[::step].tobytes()).decode(),
    }


def run(model, signature=None):
    interpreter = Interpreter(model_content=model, num_threads=1)
    if signature:
        runner = interpreter.get_signature_runner(signature)
        details = runner.get_input_details()
        names = sorted(details)
        feeds = {
            name: given([max(1, d) for d in details[name]["shape"]], details[name]["dtype"], i + 1)
            for i, name in enumerate(names)
        }
        made = runner(**feeds)
        return {
            "signature": signature,
            "inputs": [[n, list(feeds[n].shape), str(feeds[n].dtype)] for n in names],
            "outputs": {name: packed(value) for name, value in made.items()},
        }
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    for i, detail in enumerate(inputs):
        interpreter.set_tensor(detail["index"], given(detail["shape"], detail["dtype"], i + 1))
    interpreter.invoke()
    return {
        "inputs": [[d["name"], [int(x) for x in d["shape"]], np.dtype(d["dtype"]).name] for d in inputs],
        "outputs": {d["name"]: packed(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()},
    }


# Entries that only read: the others of these files train.
SIGNATURES = {"ondevice_multi_signature.tflite": ["multiply01", "multiply02", "layers", "layer_count", "parameters"]}


def main(folder):
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*", "*.tflite"))):
        name = os.path.relpath(path, folder)
        with open(path, "rb") as file:
            model = file.read()
        for signature in SIGNATURES.get(os.path.basename(path), [None]):
            key = name if signature is None else f"{name}#{signature}"
            try:
                found[key] = run(model, signature)
            except Exception as error:  # what LiteRT itself cannot run is no reference
                print(f"{key}: {error}", file=sys.stderr)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
