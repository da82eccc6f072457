/** @file Energy: power traces, meters, a calibrated model, scenarios. */
export { batteryLevelMeter, browserBattery, type LevelSource } from './battery-level.js';
export {
  energyModelSchema,
  EnergyModelError,
  fitEnergyModel,
  modelReading,
  parseEnergyModel,
  type EnergyModel,
  type EnergyWork,
  type MeteredWork,
} from './energy-model.js';
export {
  counterMeter,
  MeterError,
  meterKinds,
  meterWork,
  perInference,
  readingOfTrace,
  type EnergyMeter,
  type EnergyReading,
  type InferenceEnergy,
  type MeterKind,
  type RunningMeter,
} from './meter.js';
export { readMonitorCsv } from './monitor-csv.js';
export {
  activeEnergy,
  energyBetween,
  meanPower,
  powerTrace,
  PowerTraceError,
  type PowerTrace,
  type TraceEnergy,
  type TraceInterval,
} from './power-trace.js';
export {
  batteryJoules,
  scenarioCost,
  ScenarioError,
  scenarios,
  type Battery,
  type Scenario,
  type ScenarioCost,
} from './scenarios.js';
