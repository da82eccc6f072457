/** @file The script of the page's worker: one job, one answer. */
import { configureLiteRt } from '../../../runtime/litert.js';
import { configureOrt } from '../../../runtime/index.js';
import { answerJob } from '../answer-job.js';
import type { JobRequest } from './job-messages.js';

// Packages lie beside this one: …/cuttle/measure/lab/page/job-worker.js, …/onnxruntime-web/.
const packages = new URL('../../../../', import.meta.url);
configureOrt({ wasmPaths: new URL('onnxruntime-web/', packages).href });
configureLiteRt(new URL('@litertjs/core/wasm/', packages).href);
self.onmessage = ({ data }: MessageEvent<JobRequest>) => {
  void answerJob(data).then((reply) => self.postMessage(reply));
};
