"""Serves every model of a repository (NAME/1/model.onnx) with KServe's own model server on plain onnxruntime.

    kserve-server.py FOLDER PORT
"""

import pathlib
import sys

import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer

folder, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])
DATATYPES = {'tensor(float)': 'FP32', 'tensor(uint8)': 'UINT8', 'tensor(uint16)': 'UINT16', 'tensor(int64)': 'INT64'}


class OnnxModel(Model):
    def __init__(self, name, path):
        super().__init__(name)
        self.session = onnxruntime.InferenceSession(str(path))
        self.ready = True

    def get_input_types(self):
        return [{'name': value.name, 'datatype': DATATYPES[value.type], 'shape': []} for value in self.session.get_inputs()]

    async def predict(self, payload, headers=None, response_headers=None):
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        names = [value.name for value in self.session.get_outputs()]
        outputs = []
        for name, array in zip(names, self.session.run(names, feeds)):
            output = InferOutput(name=name, shape=list(array.shape), datatype='FP32')
            output.set_data_from_numpy(array, binary_data=True)
            outputs.append(output)
        return InferResponse(response_id=payload.id or '', model_name=self.name, infer_outputs=outputs)


if __name__ == '__main__':
    models = [OnnxModel(path.parent.parent.name, path) for path in sorted(folder.glob('*/1/model.onnx'))]
    ModelServer(http_port=port, enable_grpc=False, workers=1).start(models)
