/** @file Regenerates the message code in the gen folders from the .proto files beside it. Needs protoc (Debian: protobuf-compiler). */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const root = fileURLToPath(new URL('..', import.meta.url));
const plugin = join(root, 'node_modules/.bin/protoc-gen-es');
const sources = [
  ['src/onnx', 'onnx.proto'],
  ['src/split/oip', 'open-inference.proto'],
];
for (const [folder, proto] of sources)
  execFileSync(
    'protoc',
    [
      `--plugin=protoc-gen-es=${plugin}`,
      `--es_out=${join(root, folder, 'gen')}`,
      '--es_opt=target=ts,import_extension=js',
      `--proto_path=${join(root, folder)}`,
      proto,
    ],
    { stdio: 'inherit' },
  );
