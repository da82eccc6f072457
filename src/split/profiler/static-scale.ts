/** @file Quantisation with ranges fixed beforehand, as systems before DynO did it: what lies outside is clamped. For comparison. */
import { Tensor } from '../../ir/index.js';
import { dequantise, levelsOf, SMALLEST_STEP, type LinearScale } from '../packing/quantise.js';

/** Smallest and largest value of every tensor of a cut over some samples. */
export class StaticRanges {
  readonly #ranges = new Map<string, { min: number; max: number }>();

  /** Widens the ranges to what these tensors hold. */
  observe(tensors: Readonly<Record<string, Tensor>>): void {
    for (const [name, { dtype, data }] of Object.entries(tensors)) {
      if (dtype !== 'float32') continue;
      let { min, max } = this.#ranges.get(name) ?? { min: Infinity, max: -Infinity };
      for (const value of data as Float32Array) {
        if (value < min) min = value;
        if (value > max) max = value;
      }
      this.#ranges.set(name, { min, max });
    }
  }

  /** The tensors as they come back at a width, and whether any value was outside the ranges. Other types stay. */
  quantised(
    tensors: Readonly<Record<string, Tensor>>,
    bits: number,
  ): { readonly tensors: Record<string, Tensor>; readonly clamped: boolean } {
    let clamped = false;
    const entries = Object.entries(tensors).map(([name, tensor]) => {
      const range = this.#ranges.get(name);
      if (range === undefined) return [name, tensor] as const;
      const { min, max } = range;
      const levels = levelsOf(bits);
      const scale: LinearScale = { bits, min, step: Math.max(Math.fround((max - min) / levels), SMALLEST_STEP) };
      const values = tensor.data as Float32Array;
      const lanes = bits <= 8 ? new Uint8Array(values.length) : new Uint16Array(values.length);
      for (let i = 0; i < values.length; i++) {
        const value = values[i]!;
        if (value < min || value > max) clamped = true;
        lanes[i] = Math.min(levels, Math.max(0, Math.round((value - min) / scale.step)));
      }
      return [name, Tensor.of('float32', tensor.dims, dequantise(lanes, scale))] as const;
    });
    return { tensors: Object.fromEntries(entries), clamped };
  }
}
