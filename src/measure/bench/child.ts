/** @file The measuring process: started for one opening, ended after it. */
import { answerParent } from '../../platform/node/ask-child.js';
import { memoryUse } from '../../platform/node/cpu.js';
import { readBytes } from '../../platform/node/files.js';
import { describeDevice } from '../../runtime/index.js';
import type { ChildAnswer, ChildRequest } from './child-protocol.js';
import { measureOpening, measureSustained, type Window } from './opening.js';

const clock = (): number => performance.timeOrigin + performance.now();

answerParent<ChildRequest, ChildAnswer, Window>(async (request, onWindow) => {
  const began = clock();
  await describeDevice(request.session);
  const runtime = clock();
  const baseResidentBytes = memoryUse().residentBytes;
  const model = await readBytes(request.modelFile);
  const read = clock();
  const given = { ...request, model };
  const measured =
    request.sustained === undefined
      ? { opening: await measureOpening(given) }
      : { windows: await measureSustained(given, request.sustained, { onWindow }) };
  return {
    ...measured,
    cold: { processMs: began - request.askedAt, runtimeMs: runtime - began, readMs: read - runtime },
    memory: { peakResidentBytes: memoryUse().peakResidentBytes, baseResidentBytes },
  };
});
