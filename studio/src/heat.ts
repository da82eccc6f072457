/** @file What a layer costs, in the sense that the reader chose. */
import { binaryBytes, magnitude, milliseconds } from 'cuttle/report';
import type { NodeView } from '../../src/studio/messages.js';

export const HEATS = {
  time: { name: 'time', value: ({ ms }: NodeView) => ms ?? 0, format: milliseconds },
  macs: { name: 'MACs', value: ({ macs }: NodeView) => macs, format: magnitude },
  memory: { name: 'memory', value: ({ memory }: NodeView) => memory, format: binaryBytes },
  params: { name: 'parameters', value: ({ params }: NodeView) => params, format: magnitude },
} as const;

export type HeatName = keyof typeof HEATS;
