/** @file Writes protobuf wire format by hand, so that tests can make files which no encoder would. */

/** An unsigned varint; negative values are written as 64-bit two's complement. */
export function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

/** A field with its tag; wire type 0 takes a number, 2 takes bytes. */
export function field(number: number, wire: 0, value: bigint): Uint8Array;
export function field(number: number, wire: 2, value: Uint8Array): Uint8Array;
export function field(number: number, wire: 0 | 2, value: bigint | Uint8Array): Uint8Array {
  const tag = varint(BigInt(number * 8 + wire));
  if (typeof value === 'bigint') return Buffer.concat([tag, varint(value)]);
  return Buffer.concat([tag, varint(BigInt(value.length)), value]);
}

/** A packed list of varints. */
export function packed(number: number, values: readonly (number | bigint)[]): Uint8Array {
  return field(number, 2, Buffer.concat(values.map((value) => varint(BigInt(value)))));
}
