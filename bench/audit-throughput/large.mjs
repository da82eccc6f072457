/** @file Archives with one entry of 2 GiB: stored, deflated, and a stored native library. */
import { createWriteStream, existsSync, mkdirSync, renameSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { crc32, createDeflateRaw, constants } from 'node:zlib';
import { createRandom } from '../../dist/platform/index.js';

const BLOCK = 16 * 2 ** 20;
const BLOCKS = 128;

/** Bytes that do not repeat within a block; as `text`, lines of numbers. */
function blockOf(text) {
  const random = createRandom(1);
  const block = Buffer.alloc(BLOCK);
  if (text)
    for (let at = 0, line = 0; at < BLOCK; line++)
      at += block.write(`${line},${random.next().toFixed(3)},value\n`, at, 'latin1');
  else for (let at = 0; at < BLOCK; at += 4) block.writeUInt32LE(Math.floor(random.next() * 2 ** 32), at);
  return block;
}

/** An archive whose only entry has a data descriptor in front of nothing: sizes stand in the directory. */
async function write(path, name, first, block, method) {
  const out = createWriteStream(`${path}.part`);
  const title = Buffer.from(name);
  let at = 0;
  const put = async (bytes) => {
    at += bytes.length;
    if (!out.write(bytes)) await once(out, 'drain');
  };
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(method === 8 ? 8 : 0, 2);
  fields.writeUInt16LE(method, 4);
  fields.writeUInt16LE(title.length, 22);
  let crc = 0;
  const size = BLOCK * BLOCKS;
  for (let i = 0; i < BLOCKS; i++) crc = crc32(i === 0 ? first : block, crc) >>> 0;
  fields.writeUInt32LE(crc, 10);
  fields.writeUInt32LE(size, 18);
  if (method === 0) fields.writeUInt32LE(size, 14);
  await put(Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), fields, title]));
  const start = at;
  if (method === 0) for (let i = 0; i < BLOCKS; i++) await put(i === 0 ? first : block);
  else {
    const packer = createDeflateRaw({ level: constants.Z_BEST_SPEED });
    const feed = (async () => {
      for (let i = 0; i < BLOCKS; i++) if (!packer.write(i === 0 ? first : block)) await once(packer, 'drain');
      packer.end();
    })();
    for await (const chunk of packer) await put(chunk);
    await feed;
  }
  const central = Buffer.from(fields);
  central.writeUInt32LE(at - start, 14);
  const index = Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), central, Buffer.alloc(14), title]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(index.length, 12);
  end.writeUInt32LE(at, 16);
  out.end(Buffer.concat([index, end]));
  await once(out, 'close');
  renameSync(`${path}.part`, path);
}

/** Writes them where they are missing; gives path by name. */
export async function writeLargeArchives(folder) {
  mkdirSync(folder, { recursive: true });
  const noise = blockOf(false);
  const text = blockOf(true);
  const elf = Buffer.from(noise);
  elf.write('\x7fELF\x02\x01\x01', 'latin1');
  const cases = {
    'entry of 2 GiB, stored': ['large-stored.apk', 'assets/data.bin', noise, noise, 0],
    'entry of 2 GiB, deflated': ['large-deflated.apk', 'assets/data.csv', text, text, 8],
    'library of 2 GiB, stored': ['large-library.apk', 'lib/arm64-v8a/liblarge.so', elf, noise, 0],
  };
  const paths = {};
  for (const [name, [file, ...entry]] of Object.entries(cases)) {
    paths[name] = join(folder, file);
    if (!existsSync(paths[name])) await write(paths[name], ...entry);
  }
  return paths;
}
