/** @file How a session is opened: back end, threads, graph optimisation. */

/** `native` is onnxruntime-node (CPU); `wasm` is onnxruntime-web's WebAssembly build, in Node and browsers. */
export type Backend = 'native' | 'wasm';

/** How far ONNX Runtime rewrites the graph when it loads it. */
export type Optimization = 'disabled' | 'basic' | 'extended' | 'all';

export interface SessionOptions {
  /** `native` in Node and `wasm` in browsers where omitted. */
  readonly backend?: Backend;
  /** Threads inside one operator; the machine's physical cores where omitted. The wasm back end has one setting per process. */
  readonly threads?: number;
  /** `all` where omitted. */
  readonly optimization?: Optimization;
  /** Collects per-kernel times; read them with `profileModel`, which sets this itself. */
  readonly profile?: boolean;
  /** Keeps freed memory for the next run (faster; the default). `false` gives it back after each run. */
  readonly keepMemory?: boolean;
}
