"""Writes small models in formats that other packages write, and what these packages say of them.

Needs: numpy, safetensors 0.8, gguf 0.19, keras 3 (KERAS_BACKEND=numpy), h5py. Usage: record-audit-weights.py test/fixtures/audit/weights
"""
import json
import os
import sys

os.environ["KERAS_BACKEND"] = "numpy"
import gguf
import keras
import numpy as np
from safetensors.numpy import save_file

folder = sys.argv[1]
at = lambda name: os.path.join(folder, name)
random = np.random.default_rng(3)
normal = lambda *shape: random.normal(size=shape).astype(np.float32)
record = {}


def described(arrays):
    return {
        name: {"shape": list(array.shape), "values": [float(v) for v in array.flatten()[:4]]}
        for name, array in arrays.items()
    }


arrays = {
    "model.embed_tokens.weight": normal(9, 4),
    "model.layers.0.attn.weight": normal(4, 4),
    "model.layers.0.attn.bias": normal(4),
    "model.layers.0.norm.weight": normal(4),
    "conv.weight": normal(6, 3, 2, 2),
}
save_file(arrays, at("model.safetensors"), metadata={"format": "pt", "license": "apache-2.0"})
record["safetensors"] = described(arrays)

writer = gguf.GGUFWriter(at("model.gguf"), "llama")
writer.add_name("tiny")
writer.add_license("mit")
writer.add_block_count(1)
writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "d"])
plain = {"token_embd.weight": normal(5, 64), "blk.0.attn_norm.weight": normal(64)}
for name, array in plain.items():
    writer.add_tensor(name, array)
packed = normal(3, 64)
for kind in ("Q8_0", "Q4_0"):
    quantised = gguf.quants.quantize(packed, gguf.GGMLQuantizationType[kind])
    writer.add_tensor(f"blk.0.ffn_{kind.lower()}.weight", quantised, raw_dtype=gguf.GGMLQuantizationType[kind])
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
reader = gguf.GGUFReader(at("model.gguf"))
record["gguf"] = {
    t.name: {"type": t.tensor_type.name, "shape": [int(d) for d in reversed(t.shape)], "bytes": int(t.n_bytes)}
    for t in reader.tensors
}
record["gguf-plain"] = described(plain)

inputs = keras.Input((12, 12, 3), name="picture")
x = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="first")(inputs)
x = keras.layers.BatchNormalization(name="first_norm")(x)
x = keras.layers.ReLU()(x)
x = keras.layers.DepthwiseConv2D(3, padding="same", name="deep")(x)
x = keras.layers.Conv2D(6, 1, name="second", activation="relu")(x)
x = keras.layers.GlobalAveragePooling2D()(x)
outputs = keras.layers.Dense(5, name="scores", activation="softmax")(x)
model = keras.Model(inputs, outputs, name="tiny")
for layer in model.layers:
    layer.set_weights([normal(*w.shape) for w in layer.get_weights()])
model.save(at("model.keras"))
record["keras"] = {
    "params": int(model.count_params()),
    "layers": {
        layer.name: [
            {"name": w.name, "shape": list(w.shape), "values": [float(v) for v in np.asarray(w).flatten()[:4]]}
            for w in layer.weights
        ]
        for layer in model.layers
        if layer.weights
    },
}
sequential = keras.Sequential([keras.Input((8, 4)), keras.layers.LSTM(3, name="memory"), keras.layers.Dense(2, name="out")])
sequential.save(at("sequential.keras"))
record["keras-sequential"] = {"params": int(sequential.count_params())}
nested = keras.Sequential([keras.Input((12, 12, 3)), model, keras.layers.Dense(3, name="last")], name="around")
nested.save(at("nested.keras"))
record["keras-nested"] = {"params": int(nested.count_params())}
with open(at("expected.json"), "w") as out:
    json.dump(record, out, indent=1)
    out.write("\n")
