/** @file `cuttle audit`: which models are inside apps, a whole collection of apps at a time. */
import { auditOptions, auditFlags } from '../audit-options.js';
import { auditApps } from '../audit-run.js';
import { defineVerb } from '../verb.js';
import { auditBench } from './audit-bench.js';
import { auditCompare } from './audit-compare.js';
import { auditExport } from './audit-export.js';
import { auditExtract } from './audit-extract.js';
import { auditQuery } from './audit-query.js';
import { auditReport } from './audit-report.js';
import { auditWorker } from './audit-worker.js';

export const audit = defineVerb({
  name: 'audit',
  summary: 'Find the neural networks inside apps: what they are, how they are built, which services the apps call.',
  args: [['[paths...]', 'apps (APK, APKS, XAPK, AAB, AAR, IPA …), archives, models, or folders of them']],
  flags: auditFlags,
  options: auditOptions,
  examples: ['cuttle audit apps --out audit', 'cuttle audit app.apk model.tflite --out audit --workers 1'],
  verbs: [auditWorker, auditBench, auditExtract, auditReport, auditQuery, auditExport, auditCompare],
  run: auditApps,
});
