/** @file The link emulator: what a message costs over a link with given bandwidth, latency and faults, in virtual time. */
export { LinkError } from './errors.js';
export { ETHERNET_TCP, LinkModel, type LinkModelOptions, type Packets } from './link-model.js';
export {
  bytesPerMs,
  fixedRate,
  meanRate,
  parseTrace,
  steppedRate,
  TRACE_PACKET,
  traceRate,
  type LinkRate,
  type LinkTrace,
  type RateStep,
  type Sender,
  type Span,
} from './rate.js';
