/** @file Tensors that stay where a session computes them, to be fed back without passing through JavaScript. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { Tensor, type DataType } from '../ir/index.js';
import { downloadOrt, fromOrt } from './tensors.js';

/**
 * An output left on the device: in the GPU's memory with `webgpu`, an ordinary tensor otherwise. Feed it to a session of the
 * same back end, download it, and dispose of it when it is no longer needed: the GPU's memory is not garbage-collected.
 */
export interface DeviceTensor {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  /** Where its elements are now. */
  readonly location: 'host' | 'gpu';
  /** The elements, moved to the host; not copied where they are there already. */
  download(): Promise<Tensor>;
  /** Frees the memory; a second call does nothing. It must not be fed or downloaded afterwards. */
  dispose(): void;
}

/** What stands behind every DeviceTensor: an ONNX Runtime tensor in the GPU's memory, or an IR tensor. */
export class Resident implements DeviceTensor {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  #held: Tensor | OrtTensor;
  #download: Promise<Tensor> | undefined;
  readonly #where: string;
  readonly #inTurn: InTurn;

  /** A result of ONNX Runtime, wherever it lies; `where` names it in messages. */
  constructor(value: OrtTensor, where: string, inTurn: InTurn) {
    this.#held = value.location === 'gpu-buffer' ? value : fromOrt(value, where);
    this.dtype = value.type;
    this.dims = value.dims;
    this.#where = where;
    this.#inTurn = inTurn;
  }

  get location(): 'host' | 'gpu' {
    return this.#held instanceof Tensor ? 'host' : 'gpu';
  }

  /** What a session takes as a feed. */
  get feed(): Tensor | OrtTensor {
    return this.#held;
  }

  download(): Promise<Tensor> {
    const held = this.#held;
    if (held instanceof Tensor) return Promise.resolve(held);
    this.#download ??= this.#inTurn(async () => (this.#held = await downloadOrt(held, this.#where)));
    return this.#download;
  }

  dispose(): void {
    if (!(this.#held instanceof Tensor)) this.#held.dispose();
  }
}

/** Runs a job when no other is under way in the same runtime. */
export type InTurn = <T>(job: () => Promise<T>) => Promise<T>;

/** True for a tensor on a device, false for one of the IR. */
export function isDeviceTensor(tensor: Tensor | DeviceTensor): tensor is DeviceTensor {
  return tensor instanceof Resident;
}
