/** @file This host as a lab's device: what it is, what it can compute on, and how it is just now. */
import { describeHost, isNode } from '../../platform/index.js';
import { isLiteRtConfigured, liteRtThreads } from '../../runtime/litert.js';
import { jobKinds, type DeviceState, type LabDeviceDescription } from './protocol.js';

/** Describes this host for a lab. Loads no runtime. */
export async function describeLabDevice(): Promise<LabDeviceDescription> {
  return isNode ? await describeNode() : await describePage();
}

/** How this host is now. Never throws. */
export async function labDeviceState(): Promise<DeviceState> {
  if (!isNode) return (await import('../../platform/web/device-state.js')).webState();
  return (await import('../../platform/node/device-state.js')).machineState();
}

async function describeNode(): Promise<LabDeviceDescription> {
  const { machineModel } = await import('../../platform/node/device-state.js');
  const { packageFolder } = await import('../../platform/node/places.js');
  const host = await describeHost();
  const soc = machineModel();
  const packages = { native: 'onnxruntime-node', wasm: 'onnxruntime-web' };
  const backends = Object.entries(packages).flatMap(([name, folder]) =>
    packageFolder(folder) === undefined ? [] : [{ name, maxThreads: host.logicalCores }],
  );
  const missing = Object.values(packages).filter((name) => packageFolder(name) === undefined);
  return {
    agent: 'node',
    ...withoutEmpty(host),
    ...(soc !== undefined && { soc }),
    backends,
    kinds: [...jobKinds],
    state: await labDeviceState(),
    remarks: missing.map((name) => `${name} is not installed`),
  };
}

async function describePage(): Promise<LabDeviceDescription> {
  const { describeWebDevice } = await import('../../platform/web/device-state.js');
  const { describeGpu } = await import('../../platform/web/gpu.js');
  const host = await describeHost();
  const known = await describeWebDevice();
  const gpu = await describeGpu();
  const threads = globalThis.crossOriginIsolated ? host.logicalCores : 1;
  const remarks = [
    ...(globalThis.crossOriginIsolated
      ? []
      : ['one thread, no WebGPU: browsers allow them on pages from https:// or this machine alone']),
    ...(gpu?.software ? ['the WebGPU adapter is the processor itself'] : []),
  ];
  return {
    agent: 'browser',
    ...withoutEmpty(host),
    ...(known.os !== undefined && { os: known.os }),
    ...(known.arch !== undefined && { arch: known.arch }),
    ...(known.model !== undefined && { soc: known.model }),
    ...(known.browser !== undefined && { browser: known.browser }),
    ...(gpu && { gpu: `${gpu.vendor} ${gpu.architecture}`.trim() || 'unknown' }),
    backends: [
      { name: 'wasm', maxThreads: threads },
      ...(gpu === undefined ? [] : [{ name: 'webgpu', maxThreads: threads }]),
      ...(await liteRtBackends(gpu !== undefined)),
    ],
    kinds: [...jobKinds],
    state: await labDeviceState(),
    remarks,
  };
}

/** LiteRT.js, where the page was told where it lies. */
async function liteRtBackends(hasGpu: boolean): Promise<LabDeviceDescription['backends']> {
  if (!isLiteRtConfigured()) return [];
  return [
    { name: 'litert', maxThreads: await liteRtThreads(), formats: ['tflite'] },
    ...(hasGpu ? [{ name: 'litert-webgpu', maxThreads: 1, formats: ['tflite' as const] }] : []),
  ];
}

function withoutEmpty(host: Awaited<ReturnType<typeof describeHost>>) {
  const { memoryBytes, cpuFeatures, ...rest } = host;
  return { ...rest, cpuFeatures: [...cpuFeatures], ...(memoryBytes !== undefined && { memoryBytes }) };
}
