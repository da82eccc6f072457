/** @file Everything of `cuttle/split`, and the inference server. Node only. */
export * from './index.js';
export { grpcClient, grpcTransport, type GrpcClientOptions, type GrpcTransportOptions } from './client/grpc-client.js';
export { openLinkProxy, type LinkProxy, type LinkProxyOptions } from './link/proxy.js';
export { openLog, SILENT, type LogLevel, type ServerLog } from './server/server-log.js';
export { RepositoryError } from './server/repository-scan.js';
export { startServer, type InferenceServer, type ServerOptions, type ServerTotals } from './server/server.js';
export { readSplitProfile, writeSplitProfile } from './split-profile-file.js';
