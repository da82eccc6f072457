/** @file ZIP entries copied as they are packed, and files written from them: repacking without compressing again. */
import { createWriteStream, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { crc32, deflateRawSync } from 'node:zlib';

/** An entry: { name, method, crc, size, packed }. */
export const packEntry = (name, data, method = 8) => ({
  name,
  method,
  crc: crc32(data) >>> 0,
  size: data.length,
  packed: method === 8 ? deflateRawSync(data, { level: 6 }) : data,
});

/** Entries of a well-formed archive below 4 GiB. */
export function readEntries(path) {
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let at = bytes.readUInt32LE(end + 16);
  return Array.from({ length: bytes.readUInt16LE(end + 10) }, () => {
    const [method, crc, packedSize, size] = [
      bytes.readUInt16LE(at + 10),
      ...[16, 20, 24].map((offset) => bytes.readUInt32LE(at + offset)),
    ];
    const [names, extra, comment] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset));
    const local = bytes.readUInt32LE(at + 42);
    const data = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const entry = {
      name: bytes.toString('utf8', at + 46, at + 46 + names),
      method,
      crc,
      size,
      packed: bytes.subarray(data, data + packedSize),
    };
    at += 46 + names + extra + comment;
    return entry;
  }).filter(({ name }) => !name.endsWith('/'));
}

/** Bytes that an entry takes in a file. */
export const costOf = ({ name, packed }) => packed.length + 76 + 2 * Buffer.byteLength(name);

/** Writes an archive below 4 GiB. */
export async function writeArchive(path, entries) {
  const out = createWriteStream(path);
  const directory = [];
  let at = 0;
  for (const { name, method, crc, size, packed } of entries) {
    const title = Buffer.from(name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(0x0800, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt32LE(0x00210000, 6);
    fields.writeUInt32LE(crc, 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(size, 18);
    fields.writeUInt16LE(title.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(at, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), fields, tail, title);
    for (const part of [Buffer.from('PK\x03\x04', 'latin1'), fields, title, packed]) {
      at += part.length;
      if (!out.write(part)) await once(out, 'drain');
    }
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(index.length, 12);
  end.writeUInt32LE(at, 16);
  out.end(Buffer.concat([index, end]));
  await once(out, 'close');
}
