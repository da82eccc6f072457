/** @file How much memory the values between layers need at once, if each is freed after its last use. */
import { bitsOf } from '../read/assemble.js';
import type { AuditModel, AuditTensor } from '../read/model.js';

/**
 * Most bytes of activations of the main graph that live at once, in the order of the layers: a value lives from the layer that
 * makes it to the last that reads it, inputs from the start, outputs to the end. Open dims count as 1. `null` where a shape is
 * not known.
 */
export function peakActivationBytes(model: AuditModel): number | null {
  const layers = model.layers.filter(({ graph }) => graph === undefined);
  if (layers.length === 0) return null;
  const last = new Map<string, number>();
  layers.forEach((layer, index) => {
    for (const { name } of layer.inputs) last.set(name, index);
  });
  for (const { name } of model.outputs) last.set(name, layers.length);
  const live = new Map<string, number>();
  let bytes = 0;
  const add = (tensor: AuditTensor): boolean => {
    const size = bytesOf(tensor);
    if (size === null) return false;
    // A layer that works in place writes over a value of the same name.
    bytes += size - (live.get(tensor.name) ?? 0);
    live.set(tensor.name, size);
    return true;
  };
  for (const input of model.inputs) if (!add(input)) return null;
  let peak = bytes;
  for (const [index, layer] of layers.entries()) {
    for (const tensor of layer.inputs) if (!live.has(tensor.name) && !add(tensor)) return null;
    for (const tensor of layer.outputs) if (!add(tensor)) return null;
    peak = Math.max(peak, bytes);
    for (const { name } of [...layer.inputs, ...layer.outputs])
      if ((last.get(name) ?? index) <= index) {
        bytes -= live.get(name) ?? 0;
        live.delete(name);
      }
  }
  return peak;
}

function bytesOf({ shape, dtype }: AuditTensor): number | null {
  if (shape === null) return null;
  let size = 1;
  for (const dim of shape) size *= dim ?? 1;
  return Math.ceil((size * bitsOf(dtype ?? 'float32')) / 8);
}
