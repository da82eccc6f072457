"""Writes test/fixtures/split/frames.json: frames made by an independent reading of docs/split-frames.md (NumPy, zlib).

python3 test/oracles/split-frames.py > test/fixtures/split/frames.json
"""
import json
import struct
import zlib

import numpy as np

CODES = {np.dtype("float32"): 1, np.dtype("int64"): 7}


def lz4_literals(data):
    """An LZ4 block of literals only, or one run where all bytes are equal."""
    def length(n):
        out = b""
        while n >= 255:
            out, n = out + b"\xff", n - 255
        return out + bytes([n])

    if len(data) > 32 and len(set(data)) == 1:
        match = len(data) - 1 - 5 - 4
        token = bytes([(1 << 4) | min(match, 15)]) + data[:1] + struct.pack("<H", 1)
        return token + (length(match - 15) if match >= 15 else b"") + bytes([5 << 4]) + data[-5:]
    count = len(data)
    return bytes([min(count, 15) << 4]) + (length(count - 15) if count >= 15 else b"") + data


def raw_deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def tensor(name, values, bits, planes, codec):
    """Header entry, payload and unpacked values of one tensor."""
    linear = values.dtype == np.float32 and bits <= 16 and np.all(np.isfinite(values))
    scale = b""
    if linear:
        levels = 2**bits - 1
        low = np.float32(values.min()) if values.size else np.float32(0)
        high = np.float32(values.max()) if values.size else np.float32(0)
        step = np.maximum(np.float32(high - low) / np.float32(levels), np.float32(2.0**-126))
        q = np.minimum(np.rint((values.ravel() - low) / step), levels).astype(np.uint16)
        back = (q.astype(np.float32) * step + low).astype(np.float32).reshape(values.shape)
        scale = struct.pack("<ff", low, step)
        if planes:
            rows = [np.packbits((q >> p) & 1, bitorder="little").tobytes() for p in range(bits)]
            plain = b"".join(rows)
        else:
            plain = q.astype("<u1" if bits <= 8 else "<u2").tobytes()
    else:
        back = values
        plain = values.tobytes()
        if planes:
            plain = np.frombuffer(plain, np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()
    payload = [lambda d: d, lz4_literals, raw_deflate][codec](plain)
    encoded = name.encode()
    entry = struct.pack("<H", len(encoded)) + encoded
    entry += bytes([CODES[values.dtype], int(linear), bits if linear else 0, int(planes), codec, values.ndim])
    entry += b"".join(struct.pack("<I", dim) for dim in values.shape) + scale + struct.pack("<I", len(payload))
    return entry, payload, back


def vector(what, tensors, bits, planes, codec):
    parts = [tensor(name, values, bits, planes, codec) for name, values in tensors.items()]
    body = b"".join(entry for entry, _, _ in parts) + b"".join(payload for _, payload, _ in parts)
    frame = b"CUTF" + bytes([1, 0]) + struct.pack("<HI", len(parts), 12 + len(body)) + body
    expected = {
        name: {"dtype": str(values.dtype), "dims": list(values.shape), "bytes": back.tobytes().hex()}
        for (name, values), (_, _, back) in zip(tensors.items(), parts)
    }
    return {"what": what, "frame": frame.hex(), "tensors": expected}


def main():
    random = np.random.default_rng(7)
    relu = np.maximum(random.normal(size=(1, 3, 5, 5)), 0).astype(np.float32)
    signed = random.normal(size=(2, 9)).astype(np.float32)
    vectors = []
    for codec, name in enumerate(["stored", "lz4", "deflate"]):
        for planes in [False, True]:
            for bits in [1, 3, 4, 8, 12, 16, 32]:
                layout = "planes" if planes else "lanes"
                vectors.append(vector(f"{bits} bits, {layout}, {name}", {"map": relu, "état": signed}, bits, planes, codec))
    special = {
        "constant": np.full((2, 40), -1.5, np.float32),
        "mask": np.array([0, -np.inf, 1], np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "scalar": np.float32(0.3).reshape(()),
        "lengths": np.array([5, -1, 2**40], np.int64),
    }
    vectors.append(vector("constant, infinite, empty, scalar and integer tensors", special, 4, True, 1))
    print(json.dumps({"version": 1, "vectors": vectors}, indent=1, ensure_ascii=False))


main()
