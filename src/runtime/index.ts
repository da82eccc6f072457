/** @file `cuttle/runtime`: sessions on ONNX Runtime, native and wasm, and what they cost on this device. */
export * from './errors.js';
export * from './options.js';
export { DEFAULT_BACKEND } from './ort.js';
export { openSession, type RunOptions, type Session } from './session.js';
export { isCarried } from './tensors.js';
export { describeDevice, deviceSchema, type DeviceDescription } from './device.js';
export * from './latency.js';
export { ProfilerOutputError } from './kernel-events.js';
export { profileModel, ProfilerUnavailableError, type ProfileOptions } from './profile.js';
export * from './profile-schema.js';
export { syntheticFeeds } from './synthetic.js';
