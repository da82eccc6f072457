/** @file Everything of `cuttle/lab`, the server, and the Node agent. Node only. */
export * from './index.js';
export { startLab, type Lab, type LabOptions } from './server.js';
export { openLabClient, readLab } from './lab-folder.js';
export { runAndroidAgent, type AndroidAgentOptions } from './android-agent.js';
export { fileIdentity, runNodeAgent, type NodeAgentOptions } from './node-agent.js';
export { openResultStore, writeResultsParquet, type ResultStore } from './result-store.js';
export { resultsCsv } from './result-rows.js';
