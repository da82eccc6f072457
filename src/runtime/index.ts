/** @file `cuttle/runtime`: sessions on ONNX Runtime, native, wasm and webgpu, and what they cost on this device. */
export * from './errors.js';
export { measureRanges, type MeasureRangesOptions } from './activation-ranges.js';
export * from './options.js';
export { chooseBackend, type BackendChoice } from './choose-backend.js';
export { configureOrt, type OrtSettings } from './configure.js';
export { isDeviceTensor, type DeviceTensor } from './device-tensor.js';
export { openSession, type Feeds, type ResidentRun, type RunOptions, type Session } from './session.js';
export { isCarried } from './tensors.js';
export { describeDevice, deviceSchema, type DeviceDescription } from './device.js';
export { openAdapted, type AdaptedSession } from './adapted-session.js';
export * from './latency.js';
export { ProfilerOutputError } from './kernel-events.js';
export { profileModel, ProfilerUnavailableError, type ProfileOptions } from './profile.js';
export * from './profile-schema.js';
export { syntheticFeeds, syntheticTensor } from './synthetic.js';
