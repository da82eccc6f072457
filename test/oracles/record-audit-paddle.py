"""Writes a small network as a PaddlePaddle program and as a Paddle Lite model, and what Paddle says of its parameters.

Needs: paddlepaddle 2.6, paddlelite 2.13rc0 (Python 3.10). Usage: record-audit-paddle.py test/fixtures/audit/paddle
"""
import json
import os
import sys
import tempfile

import numpy as np
import paddle
import paddle.static as static
from paddlelite.lite import Opt

folder = sys.argv[1]
paddle.enable_static()
paddle.seed(4)
main, start = static.Program(), static.Program()
with static.program_guard(main, start):
    x = static.data("picture", [1, 3, 16, 16], "float32")
    y = static.nn.conv2d(x, 4, 3, stride=2, padding=1, bias_attr=False, name="first")
    y = static.nn.batch_norm(y, act="relu", is_test=True, name="norm")
    y = static.nn.conv2d(y, 4, 3, padding=1, groups=4, name="deep")
    y = static.nn.conv2d_transpose(y, 2, filter_size=2, stride=2, name="up")
    y = paddle.nn.functional.adaptive_avg_pool2d(y, 1)
    y = static.nn.fc(y, 5, name="scores", activation="softmax")
executor = static.Executor(paddle.CPUPlace())
executor.run(start)
with tempfile.TemporaryDirectory() as scratch:
    at = os.path.join(scratch, "net")
    static.save_inference_model(at, [x], [y], executor, program=main)
    for ending in (".pdmodel", ".pdiparams"):
        with open(at + ending, "rb") as source, open(os.path.join(folder, "net" + ending), "wb") as out:
            out.write(source.read())
    opt = Opt()
    opt.set_model_file(at + ".pdmodel")
    opt.set_param_file(at + ".pdiparams")
    opt.set_valid_places("arm")
    opt.set_model_type("naive_buffer")
    opt.set_optimize_out(os.path.join(folder, "net"))
    opt.run()
scope = static.global_scope()
record = {}
for variable in main.list_vars():
    if variable.persistable and variable.name not in ("feed", "fetch"):
        array = np.array(scope.find_var(variable.name).get_tensor())
        record[variable.name] = {"shape": list(array.shape), "values": [float(v) for v in array.flatten()[:4]]}
with open(os.path.join(folder, "expected.json"), "w") as out:
    json.dump(record, out, indent=1)
    out.write("\n")
