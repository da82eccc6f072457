/** @file One object inside a large JSON document, member by member, without the document in memory. */
import { AuditError } from '../errors.js';

const [QUOTE, BACKSLASH, OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST, COLON, COMMA] = [
  34, 92, 123, 125, 91, 93, 58, 44,
];
const MAX_DEPTH = 64;
/** Keys longer than this are refused. */
const MAX_KEY_BYTES = 4096;

/**
 * The members of the object at `path`, each parsed by itself, in order. Only the members are checked to be JSON, the rest of the
 * document is passed over. Throws AuditError where a member is no JSON or larger than `maxMemberBytes`, or the document ends early.
 */
export async function* jsonMembers(
  chunks: AsyncIterable<Uint8Array>,
  path: readonly string[],
  maxMemberBytes: number,
): AsyncGenerator<readonly [key: string, value: unknown]> {
  const target = path.length + 1;
  /** Per open container: whether it is an object, and the key that is being read in it. */
  const objects: boolean[] = [];
  const keys: string[] = [];
  let isKey = false;
  let inString = false;
  let escaped = false;
  /** Bytes of a key or of a member's value, as far as they have come. */
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let taking: 'key' | 'value' | undefined;
  const atTarget = (): boolean =>
    objects.length === target && objects[target - 1] === true && path.every((key, i) => keys[i] === key);
  const hold = (bytes: Uint8Array): void => {
    heldBytes += bytes.length;
    if (heldBytes > (taking === 'key' ? MAX_KEY_BYTES : maxMemberBytes))
      throw new AuditError(
        'json',
        `the document has a ${taking} of more than ${taking === 'key' ? MAX_KEY_BYTES : maxMemberBytes} bytes`,
      );
    held.push(bytes.slice());
  };
  const taken = (): unknown => {
    const bytes = new Uint8Array(heldBytes);
    let at = 0;
    for (const piece of held) {
      bytes.set(piece, at);
      at += piece.length;
    }
    [held, heldBytes, taking] = [[], 0, undefined];
    try {
      return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    } catch (cause) {
      throw new AuditError(
        'json',
        `the document is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) {
          inString = false;
          if (taking === 'key') {
            hold(chunk.subarray(from, at + 1));
            keys[objects.length - 1] = String(taken());
          }
        }
        continue;
      }
      switch (byte) {
        case QUOTE:
          inString = true;
          if (isKey && taking === undefined && objects.length <= target) [taking, from] = ['key', at];
          break;
        case COLON:
          isKey = false;
          if (taking === undefined && atTarget()) [taking, from] = ['value', at + 1];
          break;
        case COMMA:
        case CLOSE_OBJECT:
        case CLOSE_LIST:
          if (taking === 'value' && objects.length === target) {
            hold(chunk.subarray(from, at));
            yield [keys[target - 1]!, taken()];
          }
          if (byte === COMMA) isKey = objects.at(-1) === true;
          else {
            objects.pop();
            keys.length = Math.min(keys.length, objects.length);
            isKey = false;
          }
          break;
        case OPEN_OBJECT:
        case OPEN_LIST:
          objects.push(byte === OPEN_OBJECT);
          if (objects.length > MAX_DEPTH)
            throw new AuditError('json', `the document is nested more than ${MAX_DEPTH} deep`);
          isKey = byte === OPEN_OBJECT;
          break;
      }
    }
    if (taking !== undefined) hold(chunk.subarray(from));
  }
  if (objects.length > 0 || inString) throw new AuditError('json', 'the document ends early');
}
