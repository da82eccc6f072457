/** @file Measuring on Android devices over adb. */
export { AffinityError, fastestMask, parseThreadPlan, threadPlanName, type ThreadPlan } from './affinity.js';
export {
  cleanDevice,
  commandOf,
  prepareDevice,
  runOnDevice,
  type AndroidConfiguration,
  type AndroidJob,
  type AndroidMeasurement,
  type DeviceFile,
  type ExperimentOptions,
} from './experiment.js';
export {
  androidState,
  describeAndroid,
  type AndroidDescription,
  type AndroidState,
  type CoreCluster,
} from './properties.js';
export {
  benchmarkTools,
  ToolError,
  type BenchmarkTool,
  type ToolName,
  type ToolSettings,
  type ToolTimes,
} from './tools.js';
export {
  runUnplugged,
  unpluggedScript,
  unpluggedSteps,
  type Notification,
  type PowerSwitch,
  type UnpluggedMeasurement,
  type UnpluggedOptions,
  type UnpluggedStep,
} from './unplugged.js';
export { sweepConfigurations, sweepDevice, type AndroidFailure, type AndroidSweep, type SweepResult } from './sweep.js';
