"""Makes one small TensorFlow Lite model per operator (float; int8 where the converter quantises it) and records what LiteRT computes.

Needs: tensorflow 2.21, ai-edge-litert 2. Usage: record-audit-operators.py > test/fixtures/audit/convert-operators.json
Inputs and outputs are as in record-audit-convert.py; models are stored gzipped, as base64.
"""
import base64
import gzip
import importlib
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

sys.path.insert(0, os.path.dirname(__file__))
oracle = importlib.import_module("record-audit-convert")

F = tf.float32
rng = np.random.default_rng(7)


def w(*shape):
    return (rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[:-1])))).astype(np.float32)


def same(*shape):
    return [tf.TensorSpec(shape, F)]


PICTURE = same(1, 9, 7, 4)
PAIR = same(1, 6, 5, 4) * 2
k = tf.keras.layers


def keras_layer(layer, shape, integer=True):
    model = tf.keras.Sequential([tf.keras.Input(shape[1:], batch_size=shape[0]), layer])
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype(np.float32) * 0.3)
    return (lambda x: model(x), same(*shape), integer)


k33, kd, bias = w(3, 3, 4, 6), w(3, 3, 4, 2), w(6)
# Name -> (function, input specs, also int8)
CASES = {
    "conv-same-stride": (lambda x: tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(x, k33, [2, 2], "SAME"), bias)), PICTURE, True),
    "conv-valid-dilated": (lambda x: tf.nn.conv2d(x, k33, 1, "VALID", dilations=2), PICTURE, True),
    "conv-explicit": (lambda x: tf.nn.relu(tf.nn.conv2d(x, k33, 2, [[0, 0], [1, 0], [2, 1], [0, 0]])), PICTURE, True),
    "conv-grouped": (lambda x: tf.nn.conv2d(x, k33[:, :, :2], 1, "SAME"), PICTURE, False),
    "conv-tanh": (lambda x: tf.tanh(tf.nn.conv2d(x, k33, 1, "SAME")), PICTURE, True),
    "depthwise-multiplier": (lambda x: tf.nn.depthwise_conv2d(x, kd, [1, 1, 1, 1], "SAME"), PICTURE, True),
    "depthwise-stride": (lambda x: tf.nn.relu(tf.nn.depthwise_conv2d(x, kd[..., :1], [1, 2, 2, 1], "SAME")), PICTURE, True),
    "conv1d": keras_layer(k.Conv1D(5, 3, padding="causal"), (1, 12, 4)),
    "conv3d": (lambda x: tf.nn.conv3d(x, w(2, 3, 3, 2, 3), [1, 1, 1, 1, 1], "SAME"), same(1, 4, 5, 6, 2), False),
    "transpose-conv-same": (lambda x: tf.nn.conv2d_transpose(x, w(3, 3, 5, 4), [1, 18, 14, 5], 2, "SAME"), PICTURE, True),
    "transpose-conv-valid": (lambda x: tf.nn.conv2d_transpose(x, w(3, 2, 5, 4), [1, 19, 14, 5], 2, "VALID"), PICTURE, False),
    "dense": (lambda x: tf.nn.relu(tf.matmul(x, w(12, 7)) + w(7)), same(3, 12), True),
    "dense-keep-dims": keras_layer(k.Dense(6), (2, 5, 8)),
    "batch-matmul": (lambda a, b: tf.matmul(a, b, transpose_b=True), [tf.TensorSpec((2, 3, 4), F), tf.TensorSpec((2, 5, 4), F)], True),
    "average-pool": (lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME"), PICTURE, True),
    "max-pool": (lambda x: tf.nn.max_pool2d(x, [2, 3], [2, 1], "VALID"), PICTURE, True),
    "mean-spatial": (lambda x: tf.reduce_mean(x, [1, 2]), PICTURE, True),
    "mean-keep": (lambda x: tf.reduce_mean(x, [1, 2], keepdims=True), PICTURE, True),
    "sum-one-axis": (lambda x: tf.reduce_sum(tf.nn.max_pool2d(x, 2, 1, "SAME"), 2), PICTURE, True),
    "max-min-prod": (lambda x: tf.reduce_max(x, 1) + tf.reduce_min(x, 1) + tf.reduce_prod(x[:, :3], 1), PICTURE, False),
    "add-scales": (lambda a, b: a * 3.0 + b, PAIR, True),
    "add-relu-broadcast": (lambda a: tf.nn.relu(tf.nn.max_pool2d(a, 2, 1, "SAME") + w(4)), same(1, 6, 5, 4), True),
    "sub-mul-div": (lambda a, b: (a - b) * a / (b * b + 1.0), PAIR, False),
    "mul": (lambda a, b: a * b, PAIR, True),
    "maximum-minimum": (lambda a, b: tf.minimum(tf.maximum(a, b), 0.5), PAIR, True),
    "squared-difference": (lambda a, b: tf.math.squared_difference(a, b), PAIR, True),
    "pow-exp-log": (lambda a: tf.pow(tf.exp(a), 1.5) + tf.math.log(tf.exp(a) + 1.5), same(2, 5), False),
    "floor-ceil-round": (lambda a: tf.floor(a * 3.3) + tf.math.ceil(a * 2.1) + tf.round(a * 1.7), same(2, 9), False),
    "sqrt-rsqrt-square": (lambda a: tf.sqrt(a * a + 1.0) + tf.math.rsqrt(tf.square(a) + 1.0), same(2, 9), False),
    "sin-cos-neg-abs": (lambda a: tf.sin(a) + tf.cos(-a) * tf.abs(a), same(2, 9), False),
    "floor-div-mod": (lambda a, b: tf.math.floordiv(a, b + 2.0) + tf.math.floormod(a * 5.0, b + 2.0), same(2, 9) * 2, False),
    "integer-floor": (
        lambda a: tf.math.floordiv(tf.cast(a * 20.0, tf.int32), 3) + tf.math.floormod(tf.cast(a * 20.0, tf.int32), 4), same(2, 9), False),
    "logistic": (lambda x: tf.sigmoid(x * 4.0), same(2, 9), True),
    "tanh": (lambda x: tf.tanh(x * 2.0), same(2, 9), True),
    "hard-swish": keras_layer(k.Activation(lambda x: x * tf.nn.relu6(x + 3.0) / 6.0), (1, 4, 4, 3)),
    "leaky-relu": (lambda x: tf.nn.leaky_relu(x, 0.3), PICTURE, True),
    "prelu": keras_layer(k.PReLU(shared_axes=[1, 2]), (1, 5, 6, 3)),
    "elu": (lambda x: tf.nn.elu(x), PICTURE, False),
    "gelu": (lambda x: tf.nn.gelu(x * 2.0), same(2, 9), False),
    "gelu-tanh": (lambda x: tf.nn.gelu(x * 2.0, approximate=True), same(2, 9), False),
    "softmax": (lambda x: tf.nn.softmax(x * 3.0), same(2, 9), True),
    "log-softmax": (lambda x: tf.nn.log_softmax(x), same(2, 9), False),
    "l2-normalise": (lambda x: tf.math.l2_normalize(x, -1), same(3, 8), True),
    "local-response": (lambda x: tf.nn.local_response_normalization(x, 2, 1.0, 0.3, 0.6), PICTURE, False),
    "resize-bilinear": (lambda x: tf.compat.v1.image.resize_bilinear(x, [13, 10]), PICTURE, True),
    "resize-bilinear-align": (lambda x: tf.compat.v1.image.resize_bilinear(x, [13, 10], align_corners=True), PICTURE, True),
    "resize-bilinear-half": (lambda x: tf.compat.v1.image.resize_bilinear(x, [5, 10], half_pixel_centers=True), PICTURE, True),
    "resize-nearest": (lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, [13, 10]), PICTURE, True),
    "resize-nearest-align": (lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, [13, 10], align_corners=True), PICTURE, False),
    "resize-nearest-half": (lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, [13, 10], half_pixel_centers=True), PICTURE, False),
    "pad": (lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [1, 0]], constant_values=0.5), PICTURE, True),
    "pad-reflect": (lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], "REFLECT"), PICTURE, False),
    "pad-symmetric": (lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 1], [0, 0]], "SYMMETRIC"), PICTURE, False),
    "concat": (lambda a, b: tf.concat([tf.nn.max_pool2d(a, 2, 1, "SAME"), b * 2.0], 3), PAIR, True),
    "concat-height": (lambda a, b: tf.concat([a, b], 1), PAIR, True),
    "reshape-transpose": (lambda x: tf.transpose(tf.reshape(tf.nn.max_pool2d(x, 2, 1, "SAME"), [3, 21, 4]), [2, 0, 1]), PICTURE, True),
    "transpose-to-first": (lambda x: tf.transpose(tf.nn.max_pool2d(x, 2, 1, "SAME"), [0, 3, 1, 2]), PICTURE, True),
    "squeeze-expand": (lambda x: tf.expand_dims(tf.squeeze(x[:, :1], 1), -1), PICTURE, True),
    "strided-slice": (lambda x: x[:, 1:8:2, ::-1, tf.newaxis, 1], PICTURE, True),
    "strided-slice-ellipsis": (lambda x: tf.nn.max_pool2d(x, 2, 1, "SAME")[..., 1:3], PICTURE, True),
    "slice": (lambda x: tf.slice(x, [0, 2, 1, 0], [1, 4, -1, 2]), PICTURE, True),
    "split": (lambda x: tf.concat(tf.split(tf.nn.max_pool2d(x, 2, 1, "SAME"), 2, 3)[::-1], 3), PICTURE, True),
    "split-v": (lambda x: tf.concat(tf.split(x, [2, 5, 2], 1)[::-1], 1), PICTURE, False),
    "pack-unpack": (lambda x: tf.stack(tf.unstack(x, axis=3)[::-1], 1), PICTURE, True),
    "gather": (lambda x: tf.gather(x, [2, 0, 0, 5], axis=1), PICTURE, True),
    "gather-nd": (lambda x: tf.gather_nd(x, [[0, 1, 2], [0, 3, 4]]), PICTURE, False),
    "tile-broadcast": (lambda x: tf.tile(x, [1, 2, 1, 1]) + tf.broadcast_to(w(1, 1, 1, 4), [1, 18, 7, 4]), PICTURE, False),
    "depth-to-space": (lambda x: tf.nn.depth_to_space(x, 2), PICTURE, True),
    "space-to-depth": (lambda x: tf.nn.space_to_depth(x[:, :8, :6], 2), PICTURE, False),
    "space-to-batch": (lambda x: tf.batch_to_space(tf.space_to_batch(x, [2, 3], [[1, 0], [1, 1]]) * 2.0, [2, 3], [[1, 0], [1, 1]]), PICTURE, False),
    "arg-max": (lambda x: tf.argmax(x, 1, tf.int32), PICTURE, False),
    "top-k": (lambda x: tf.math.top_k(x, 3), same(2, 9), False),
    "cumsum": (lambda x: tf.cumsum(x, 1, exclusive=True, reverse=True), same(2, 9), False),
    "reverse": (lambda x: tf.reverse(x, [1, 2]), PICTURE, False),
    "compare-select": (lambda a, b: tf.where(tf.greater(a, b), a, tf.where(tf.less_equal(a, 0.2), b, -a)), PAIR, False),
    "logical": (lambda a, b: tf.cast(tf.logical_or(tf.logical_and(a > 0.0, b > 0.0), tf.logical_not(tf.not_equal(a, b))), F), PAIR, False),
    "one-hot": (lambda x: tf.one_hot(tf.cast(x * 3.0, tf.int32), 4, 2.0, -1.0), same(2, 5), False),
    "fill-range-shape": (lambda x: tf.fill([2, 3], 1.5) + tf.cast(tf.range(3), F) + tf.cast(tf.size(x), F), same(2, 5), False),
    "add-n": (lambda a, b: tf.add_n([a, b, a]), PAIR, False),
    "any-all": (lambda a: tf.cast(tf.reduce_any(a > 0.5, 1), F) + tf.cast(tf.reduce_all(a > -0.9, 1), F), same(3, 7), False),
    "atan2": (lambda a, b: tf.atan2(a, b), same(3, 7) * 2, False),
    "layer-norm": keras_layer(k.LayerNormalization(), (2, 5, 8)),
    "lstm": keras_layer(k.LSTM(5, return_sequences=True), (1, 6, 4), False),
    "gru": keras_layer(k.GRU(5), (1, 6, 4), False),
    "attention": (
        lambda q, v: tf.matmul(tf.nn.softmax(tf.matmul(q, v, transpose_b=True) / 2.0), v), [tf.TensorSpec((1, 4, 8), F)] * 2, True),
    "condition": (lambda x: tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * 2.0, lambda: x - 1.0), same(2, 5), False),
    "loop": (lambda x: tf.while_loop(lambda i, a: i < 4, lambda i, a: (i + 1, a * 1.5 + 0.1), [0, x])[1], same(2, 5), False),
}


def converted(function, specs, quantised=None):
    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], concrete)
    if quantised == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    elif quantised == "int16":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    if quantised in ("int8", "int16"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

        def examples():
            for seed in range(8):
                yield [oracle.given(s.shape, np.float32, 100 * seed + i + 1) for i, s in enumerate(specs)]

        converter.representative_dataset = examples
    if quantised == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def main():
    found = {}
    only = sys.argv[1:]
    for name, (function, specs, *rest) in CASES.items():
        if only and name not in only:
            continue
        kinds = [None] + (["int8"] if not rest or rest[0] else [])
        if name in ("conv-same-stride", "dense"):
            kinds += ["float16", "int16"]
        for kind in kinds:
            key = name if kind is None else f"{name} {kind}"
            print(f"case {key}", file=sys.stderr, flush=True)
            try:
                model = converted(function, specs, kind)
                found[key] = {"model": base64.b64encode(gzip.compress(model, 9, mtime=0)).decode(), **oracle.run(model)}
            except Exception as error:
                print(f"SKIPPED {key}: {str(error)[-300:]}", file=sys.stderr)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
