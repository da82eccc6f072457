/** @file `cuttle/lab`: the device lab's protocol, client and agents, for Node and browsers. */
export { LabError } from './errors.js';
export * from './protocol.js';
export { latencyResultSchema, parseValue, type JobValues, type LatencyResult } from './results.js';
export { LabClient, LabUnreachableError, type LabClientOptions } from './client.js';
export {
  GiveUpError,
  runAgent,
  type AgentEvent,
  type AgentIdentity,
  type AgentJob,
  type AgentOptions,
} from './agent.js';
export { configureLiteRt } from '../../runtime/litert.js';
export { describeLabDevice, labDeviceState } from './describe.js';
export { runLabJob } from './run-job.js';
