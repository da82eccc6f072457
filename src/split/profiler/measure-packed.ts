/**
 * @file Offline, once per model and independent of the device: accuracy and bytes of every ⟨cut, bit-width⟩, by running the
 * device half, packing and unpacking what crosses, and running the server half (DynO §4.2).
 */
import type { Tensor } from '../../ir/index.js';
import { now } from '../../platform/index.js';
import { openSession, type Session, type SessionOptions } from '../../runtime/index.js';
import { halvesOf, type Cuts } from '../cuts.js';
import { pureCodecs, type Codecs } from '../packing/codecs.js';
import { packTensors, unpackTensors, type Packing } from '../packing/pack.js';

/** One sample, batch 1: what to feed and the right class. */
export interface LabelledFeeds {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly label: number;
}

export interface MeasurePackedOptions extends SessionOptions {
  /** Cuts to measure. */
  readonly cuts: readonly number[];
  /** Packings to measure at each: usually one per bit-width, with the layout and codec that suit it. */
  readonly packings: readonly Packing[];
  /** Output with one score per class; the network's first where omitted. */
  readonly logits?: string;
  readonly codecs?: Codecs;
  readonly signal?: AbortSignal;
  readonly progress?: (done: number, total: number) => void;
}

/** What one ⟨cut, packing⟩ does to a set of samples. */
export interface MeasuredCut {
  readonly cut: number;
  readonly packing: Packing;
  readonly accuracy: number;
  /** Mean bytes of a frame; 0 where nothing is sent. */
  readonly bytes: number;
  /** Bytes unpacked per byte sent; 1 where nothing is sent. */
  readonly ratio: number;
  /** Mean time to pack and to unpack one sample on this machine, ms; 0 where nothing is sent. */
  readonly packMs: number;
  readonly unpackMs: number;
}

/**
 * Measures accuracy and size. Each sample is packed alone, as it is when it is sent. Throws CutError, PackingError, what the
 * runtime throws, and the signal's reason.
 */
export async function measurePacked(
  cuts: Cuts,
  samples: readonly LabelledFeeds[],
  options: MeasurePackedOptions,
): Promise<readonly MeasuredCut[]> {
  const { codecs = pureCodecs, logits = cuts.model.graph.outputs[0]!.name, signal, progress } = options;
  const measured: MeasuredCut[] = [];
  for (const [done, cut] of options.cuts.entries()) {
    const halves = halvesOf(cuts, cut);
    const opened: Session[] = [];
    try {
      const open = async (model: typeof halves.device): Promise<Session | undefined> => {
        if (model === undefined) return undefined;
        const session = await openSession(model, options);
        opened.push(session);
        return session;
      };
      const [device, server] = [await open(halves.device), await open(halves.server)];
      const right = new Float64Array(options.packings.length);
      const bytes = new Float64Array(options.packings.length);
      const packMs = new Float64Array(options.packings.length);
      const unpackMs = new Float64Array(options.packings.length);
      let unpacked = 0;
      for (const { feeds, label } of samples) {
        signal?.throwIfAborted();
        const known = { ...feeds, ...(device && (await device.run(pick(feeds, device.inputNames)))) };
        const crossing = server && pick(known, cuts.cuts[cut]!.frontier);
        for (const tensor of Object.values(crossing ?? {})) unpacked += tensor.bytes.length;
        for (const [p, packing] of options.packings.entries()) {
          let answer = known[logits];
          if (server && crossing) {
            const start = now();
            const frame = packTensors(crossing, packing, codecs);
            const packed = now();
            const back = unpackTensors(frame, codecs);
            packMs[p]! += packed - start;
            unpackMs[p]! += now() - packed;
            bytes[p]! += frame.length;
            answer = (await server.run(back))[logits] ?? answer;
          }
          if (argmax(answer!.data as Float32Array) === label) right[p]!++;
        }
      }
      options.packings.forEach((packing, p) =>
        measured.push({
          ...{ cut, packing },
          accuracy: right[p]! / samples.length,
          bytes: bytes[p]! / samples.length,
          ratio: server ? unpacked / bytes[p]! : 1,
          packMs: packMs[p]! / samples.length,
          unpackMs: unpackMs[p]! / samples.length,
        }),
      );
    } finally {
      await Promise.all(opened.map((session) => session.release()));
    }
    progress?.(done + 1, options.cuts.length);
  }
  return measured;
}

function pick(tensors: Readonly<Record<string, Tensor>>, names: readonly string[]): Record<string, Tensor> {
  return Object.fromEntries(names.map((name) => [name, tensors[name]!]));
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
