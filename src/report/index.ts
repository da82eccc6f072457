/** @file `cuttle/report`: tables for the terminal, SVG plots, and one-file HTML reports. Pure. */
export * from './adapt-report.js';
export { renderAuditReport, type AuditReportData } from './audit-report.js';
export * from './bar-plot.js';
export { benchReport } from './bench-report.js';
export * from './format.js';
export * from './html.js';
export { lineagePlot, type LineagePlot } from './lineage-plot.js';
export * from './png.js';
export { rankPlot, type RankPlot, type RankRow } from './rank-plot.js';
export * from './scale.js';
export * from './split-plot.js';
export * from './style.js';
export * from './svg.js';
export * from './text-table.js';
export * from './xy-plot.js';
