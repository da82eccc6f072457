/** @file How a session is opened: back end, threads, graph optimisation. */

/**
 * `native` is onnxruntime-node (CPU), in Node alone; `wasm` is onnxruntime-web's WebAssembly build, in Node and browsers;
 * `webgpu` computes on the GPU, in browsers alone, and on the processor what the GPU cannot.
 */
export type Backend = 'native' | 'wasm' | 'webgpu';

/** How far ONNX Runtime rewrites the graph when it loads it. */
export type Optimization = 'disabled' | 'basic' | 'extended' | 'all';

export interface SessionOptions {
  /**
   * `auto` where omitted: `native` in Node; in browsers `webgpu` where there is a GPU that takes the model, else `wasm`.
   * The session says which it became (`backend`) and why (`remarks`).
   */
  readonly backend?: Backend | 'auto';
  /**
   * Threads inside one operator; where omitted, the machine's physical cores, or 1 in a page that is not cross-origin
   * isolated. The web back ends have one setting per process or page.
   */
  readonly threads?: number;
  /** `all` where omitted. */
  readonly optimization?: Optimization;
  /** Collects per-kernel times; read them with `profileModel`, which sets this itself. */
  readonly profile?: boolean;
  /** Keeps freed memory for the next run (faster; the default). `false` gives it back after each run. */
  readonly keepMemory?: boolean;
  /** The model is a training step: it is loaded faster and runs in about half the memory, at the same speed. */
  readonly training?: boolean;
  /** Outputs that `runResident` leaves where they are computed: in the GPU's memory with `webgpu`. */
  readonly resident?: readonly string[];
}
