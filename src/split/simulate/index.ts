/** @file The simulator: policies on a split profile, a link and loads over time, in virtual time. */
export { costOf, planOf, type Plan, type PlanCost, type SamplePath } from './plan.js';
export { openSplitPolicy, SPLIT_POLICIES, type SplitPolicy, type SplitPolicyName } from './policies.js';
export {
  simulateSplit,
  type SimulatedDecision,
  type SimulatedFrame,
  type Simulation,
  type SimulationResult,
} from './simulate.js';
