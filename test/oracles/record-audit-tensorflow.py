"""Records what TensorFlow computes for the SavedModel and the frozen graph beside the checkout, on the inputs of record-audit-convert.py.

Needs: tensorflow 2.21, ai-edge-litert 2. Usage: record-audit-tensorflow.py FORMATS_FOLDER > test/fixtures/audit/convert-tensorflow.json
"""
import importlib
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow.compat.v1 as tf

sys.path.insert(0, os.path.dirname(__file__))
oracle = importlib.import_module("record-audit-convert")


def run(session, feed, shape, fetch, name, result):
    given = oracle.given(shape, np.float32, 1)
    made = session.run(fetch, {feed: given})
    return {"inputs": [[name, shape, "float32"]], "outputs": {result: oracle.packed(made)}}


def main(folder):
    found = {}
    with tf.Session(graph=tf.Graph()) as session:
        tf.saved_model.load(session, ["serve"], os.path.join(folder, "mlperf-tiny/kws_saved_model"))
        found["mlperf-tiny/kws_saved_model"] = run(
            session, "serving_default_input_1:0", [2, 49, 10, 1], "StatefulPartitionedCall:0", "input_1", "dense")
    graph = tf.GraphDef()
    with open(os.path.join(folder, "odd/plain_saved_model.pb"), "rb") as file:
        graph.ParseFromString(file.read())
    with tf.Session(graph=tf.Graph()) as session:
        tf.import_graph_def(graph, name="")
        shape = session.graph.get_tensor_by_name("nn_input:0").shape.as_list()
        found["odd/plain_saved_model.pb"] = run(session, "nn_input:0", [2] + shape[1:], "nn_output:0", "nn_input", "nn_output")
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
