/** @file Regenerates src/onnx/gen from src/onnx/onnx.proto. Needs protoc (Debian: protobuf-compiler). */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const root = fileURLToPath(new URL('..', import.meta.url));
const plugin = join(root, 'node_modules/.bin/protoc-gen-es');
execFileSync(
  'protoc',
  [
    `--plugin=protoc-gen-es=${plugin}`,
    `--es_out=${join(root, 'src/onnx/gen')}`,
    '--es_opt=target=ts,import_extension=js',
    `--proto_path=${join(root, 'src/onnx')}`,
    'onnx.proto',
  ],
  { stdio: 'inherit' },
);
