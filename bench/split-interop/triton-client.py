"""Asks a running `cuttle serve` with NVIDIA's own client, over HTTP and gRPC, and prints what agrees as JSON.

    python3 -m venv venv && venv/bin/pip install 'tritonclient[http,grpc]'
    venv/bin/python bench/split-interop/triton-client.py HOST:PORT MODEL
"""

import json
import sys

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

url, model = sys.argv[1:3]
checks = {}


def check(name, held):
    checks[name] = bool(held)


def refused(call, *words):
    try:
        call()
    except InferenceServerException as error:
        text = str(error)
        return all(word in text for word in words)
    return False


def infer(api, client, data, **options):
    tensor = api.InferInput(input_name, data.shape, np_to_triton_dtype(data.dtype))
    tensor.set_data_from_numpy(data, **options)
    return client.infer(model, [tensor], request_id='42')


http = over_http.InferenceServerClient(url, concurrency=4)
grpc = over_grpc.InferenceServerClient(url)
described = http.get_model_metadata(model)
spec = described['inputs'][0]
input_name = spec['name']
shape = [4 if dim == -1 else dim for dim in spec['shape']]
rng = np.random.default_rng(0)
data = rng.normal(size=shape).astype(np.float32)
output = described['outputs'][0]['name']

for name, client in (('http', http), ('grpc', grpc)):
    check(f'{name}: server live', client.is_server_live())
    check(f'{name}: server ready', client.is_server_ready())
    check(f'{name}: model ready', client.is_model_ready(model))
    check(f'{name}: version ready', client.is_model_ready(model, '1'))
    check(f'{name}: other version not ready', not_ready := refused(lambda: client.is_model_ready(model, '99'), '99') or not client.is_model_ready(model, '99'))
check('http: server metadata', http.get_server_metadata()['name'] == 'cuttle')
check('grpc: server metadata', grpc.get_server_metadata().name == 'cuttle')
check('grpc: model metadata agrees', grpc.get_model_metadata(model, as_json=True)['inputs'][0]['name'] == input_name)

binary = infer(over_http, http, data, binary_data=True).as_numpy(output)
text = infer(over_http, http, data, binary_data=False).as_numpy(output)
raw = infer(over_grpc, grpc, data)
check('http: binary and JSON agree', np.array_equal(binary, text))
check('http and grpc agree', np.array_equal(binary, raw.as_numpy(output)))
check('grpc: request id comes back', raw.get_response().id == '42')
check('grpc: server reports its load', raw.get_response().parameters['cuttle_load'].double_param >= 1)
compressed = over_http.InferInput(input_name, data.shape, 'FP32')
compressed.set_data_from_numpy(data)
check(
    'http: gzip request',
    np.array_equal(http.infer(model, [compressed], request_compression_algorithm='gzip').as_numpy(output), binary),
)
tensor = over_grpc.InferInput(input_name, data.shape, 'FP32')
tensor.set_data_from_numpy(data)
check(
    'grpc: gzip request',
    np.array_equal(grpc.infer(model, [tensor], compression_algorithm='gzip').as_numpy(output), binary),
)
wanted = [over_grpc.InferRequestedOutput(output)]
check('grpc: named output', np.array_equal(grpc.infer(model, [tensor], outputs=wanted).as_numpy(output), binary))
asynchronous = [http.async_infer(model, [compressed]) for _ in range(8)]
check('http: 8 at a time', all(np.array_equal(one.get_result().as_numpy(output), binary) for one in asynchronous))
rows = [infer(over_grpc, grpc, data[i : i + 1]).as_numpy(output)[0] for i in range(len(data))]
check('one by one as in a batch', np.allclose(np.stack(rows), binary, atol=1e-5))

for name, api, client in (('http', over_http, http), ('grpc', over_grpc, grpc)):
    check(f'{name}: unknown model refused', refused(lambda: client.get_model_metadata('nothing'), 'nothing'))
    wrong = data.reshape(-1)
    check(f'{name}: wrong shape refused', refused(lambda: infer(api, client, wrong), input_name))
    check(f'{name}: wrong type refused', refused(lambda: infer(api, client, data.astype(np.float64)), 'float64'))

print(json.dumps({'client': 'tritonclient', 'model': model, 'passed': sum(checks.values()), 'of': len(checks), 'checks': checks}, indent=2))
sys.exit(0 if all(checks.values()) else 1)
