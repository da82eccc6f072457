"""Builds TensorFlow Lite models with what no converter at hand writes, sparse weights and MediaPipe's own operator, and records what LiteRT computes.

Needs: tflite 2.18, flatbuffers, ai-edge-litert 2. Usage: record-audit-sparse.py > test/fixtures/audit/convert-sparse.json
Inputs and outputs are as in record-audit-convert.py; models are stored gzipped, as base64.
"""
import base64
import gzip
import importlib
import json
import os
import struct
import sys

import flatbuffers
import numpy as np
import tflite as t

sys.path.insert(0, os.path.dirname(__file__))
oracle = importlib.import_module("record-audit-convert")
rng = np.random.default_rng(11)


def vector(b, values, width="i"):
    b.StartVector(struct.calcsize(width), len(values), struct.calcsize(width))
    prepend = {"i": b.PrependInt32, "H": b.PrependUint16, "B": b.PrependUint8}[width]
    for value in reversed(values):
        prepend(int(value))
    return b.EndVector()


def offsets(b, items):
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def index_vector(b, values, kind):
    made = vector(b, values, {1: "i", 2: "H", 3: "B"}[kind])
    start, add, end = {
        1: (t.Int32VectorStart, t.Int32VectorAddValues, t.Int32VectorEnd),
        2: (t.Uint16VectorStart, t.Uint16VectorAddValues, t.Uint16VectorEnd),
        3: (t.Uint8VectorStart, t.Uint8VectorAddValues, t.Uint8VectorEnd),
    }[kind]
    start(b)
    add(b, made)
    return end(b)


def sparsity(b, spec):
    tables = []
    for level in spec["levels"]:
        if isinstance(level, int):
            t.DimensionMetadataStart(b)
            t.DimensionMetadataAddFormat(b, 0)
            t.DimensionMetadataAddDenseSize(b, level)
        else:
            kind, segments, indices = level
            made = index_vector(b, segments, kind), index_vector(b, indices, kind)
            t.DimensionMetadataStart(b)
            t.DimensionMetadataAddFormat(b, 1)
            t.DimensionMetadataAddArraySegmentsType(b, kind)
            t.DimensionMetadataAddArraySegments(b, made[0])
            t.DimensionMetadataAddArrayIndicesType(b, kind)
            t.DimensionMetadataAddArrayIndices(b, made[1])
        tables.append(t.DimensionMetadataEnd(b))
    order, blocks, dims = vector(b, spec["order"]), vector(b, spec["blocks"]), offsets(b, tables)
    t.SparsityParametersStart(b)
    t.SparsityParametersAddTraversalOrder(b, order)
    t.SparsityParametersAddBlockMap(b, blocks)
    t.SparsityParametersAddDimMetadata(b, dims)
    return t.SparsityParametersEnd(b)


def model(tensors, operators, inputs, outputs):
    """Tensors: (name, shape, contents or None, sparsity or None), all float32. Operators: (code or name, inputs, outputs, custom options)."""
    b = flatbuffers.Builder(4096)
    buffers, made = [], []
    t.BufferStart(b)
    buffers.append(t.BufferEnd(b))
    for name, shape, contents, sparse in tensors:
        place = 0
        if contents is not None:
            data = b.CreateByteVector(np.asarray(contents, np.float32).tobytes())
            t.BufferStart(b)
            t.BufferAddData(b, data)
            place = len(buffers)
            buffers.append(t.BufferEnd(b))
        text, dims = b.CreateString(name), vector(b, shape)
        extra = sparsity(b, sparse) if sparse else None
        t.TensorStart(b)
        t.TensorAddShape(b, dims)
        t.TensorAddType(b, t.TensorType.FLOAT32)
        t.TensorAddBuffer(b, place)
        t.TensorAddName(b, text)
        if extra is not None:
            t.TensorAddSparsity(b, extra)
        made.append(t.TensorEnd(b))
    codes, steps = [], []
    for i, (code, given, results, custom) in enumerate(operators):
        text = b.CreateString(code) if isinstance(code, str) else None
        t.OperatorCodeStart(b)
        t.OperatorCodeAddDeprecatedBuiltinCode(b, 32 if text else min(code, 127))
        t.OperatorCodeAddBuiltinCode(b, 32 if text else code)
        t.OperatorCodeAddVersion(b, 1)
        if text:
            t.OperatorCodeAddCustomCode(b, text)
        codes.append(t.OperatorCodeEnd(b))
        options = None
        if code == t.BuiltinOperator.FULLY_CONNECTED:
            t.FullyConnectedOptionsStart(b)
            options = t.BuiltinOptions.FullyConnectedOptions, t.FullyConnectedOptionsEnd(b)
        given, results = vector(b, given), vector(b, results)
        blob = b.CreateByteVector(custom) if custom else None
        t.OperatorStart(b)
        t.OperatorAddOpcodeIndex(b, i)
        t.OperatorAddInputs(b, given)
        t.OperatorAddOutputs(b, results)
        if options:
            t.OperatorAddBuiltinOptionsType(b, options[0])
            t.OperatorAddBuiltinOptions(b, options[1])
        if blob is not None:
            t.OperatorAddCustomOptions(b, blob)
        steps.append(t.OperatorEnd(b))
    parts = offsets(b, made), vector(b, inputs), vector(b, outputs), offsets(b, steps)
    t.SubGraphStart(b)
    t.SubGraphAddTensors(b, parts[0])
    t.SubGraphAddInputs(b, parts[1])
    t.SubGraphAddOutputs(b, parts[2])
    t.SubGraphAddOperators(b, parts[3])
    graph = offsets(b, [t.SubGraphEnd(b)])
    lists = offsets(b, codes), offsets(b, buffers)
    t.ModelStart(b)
    t.ModelAddVersion(b, 3)
    t.ModelAddOperatorCodes(b, lists[0])
    t.ModelAddSubgraphs(b, graph)
    t.ModelAddBuffers(b, lists[1])
    b.Finish(t.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


def dense(shape, values, spec):
    """x · wᵀ, with a sparse w."""
    rows, columns = shape
    tensors = [("x", [2, columns], None, None), ("w", shape, values, spec), ("dense", shape, None, None), ("y", [2, rows], None, None)]
    return model(
        tensors, [(t.BuiltinOperator.DENSIFY, [1], [2], None), (t.BuiltinOperator.FULLY_CONNECTED, [0, 2, -1], [3], None)], [0], [3]
    )


def transposed(padding, strides, size, kernel, out):
    (height, width), (rows, columns) = size, kernel
    tensors = [
        ("x", [1, height, width, 3], None, None),
        ("w", [4, rows, columns, 3], rng.normal(size=(4, rows, columns, 3)), None),
        ("b", [4], rng.normal(size=4), None),
        ("y", [1, *out, 4], None, None),
    ]
    custom = struct.pack("<iii", padding, strides[1], strides[0])
    return model(tensors, [("Convolution2DTransposeBias", [0, 1, 2], [3], custom)], [0], [3])


CASES = {
    # Rows of 1, 0, 2 and 3 numbers.
    "rows": dense([4, 5], rng.normal(size=6), {"order": [0, 1], "blocks": [], "levels": [4, (3, [0, 1, 1, 3, 6], [2, 0, 4, 1, 2, 3])]}),
    "columns first": dense([3, 4], rng.normal(size=4), {"order": [1, 0], "blocks": [], "levels": [4, (2, [0, 1, 1, 3, 4], [2, 0, 1, 2])]}),
    # Blocks of 1 × 4 along the rows, as XNNPACK and pruned networks have them.
    "blocks": dense(
        [4, 8], rng.normal(size=12), {"order": [0, 1, 2], "blocks": [1], "levels": [4, (1, [0, 1, 1, 2, 3], [1, 0, 1]), 4]}),
    "transposed same": transposed(1, (2, 2), (5, 4), (2, 2), (9, 8)),
    "transposed same odd": transposed(1, (2, 3), (4, 5), (3, 3), (8, 14)),
    "transposed valid": transposed(2, (2, 2), (4, 5), (3, 2), (9, 10)),
}


def main():
    found = {}
    for name, made in CASES.items():
        found[name] = {"model": base64.b64encode(gzip.compress(made, 9, mtime=0)).decode(), **oracle.run(made)}
    json.dump(found, sys.stdout)


main()
