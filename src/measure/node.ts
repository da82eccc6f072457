/** @file `cuttle/measure` in Node: all of it, and benchmarks that need processes and files. */
export * from './index.js';
export { benchParquet, ParquetError } from './bench/parquet.js';
export { defaultPlan, runBench, type BenchModel, type BenchOptions, type BenchProgress } from './bench/run.js';
export * from './android/index.js';
export { androidBatteryMeter, androidRailsMeter, type GaugeOptions } from './energy/android-meters.js';
export { raplMeter } from './energy/rapl.js';
