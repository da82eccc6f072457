/** @file Pictures of the findings: time over MACs, batches, predictions against measurements. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { xyPlot } from '../../dist/report/index.js';

const PLATFORMS = ['native-1', 'native-2', 'wasm-1', 'wasm-2', 'chromium-1x', 'chromium-6x'];

/** Writes embench-*.svg into a folder. */
export function drawPlots({ networks, batch, predictor }, folder) {
  const draw = (name, plot) => writeFileSync(join(folder, `embench-${name}.svg`), `${xyPlot(plot)}\n`);
  const log = Math.log10;
  draw('macs', {
    title: 'Time of one inference over MACs',
    xLabel: 'million MACs (log)',
    yLabel: 'log10 of ms',
    xScale: 'log',
    series: PLATFORMS.filter((platform) => networks[0].ms[platform] !== undefined).map((platform, style) => ({
      name: platform,
      style,
      points: networks.map(({ name, macs, ms }) => ({
        x: macs / 1e6,
        y: log(ms[platform]),
        title: `${name}: ${ms[platform].toFixed(3)} ms`,
      })),
    })),
  });
  if (batch)
    draw('batch', {
      title: 'Images per second over batches, of what one image at a time on one thread gives',
      xLabel: 'batch (log)',
      yLabel: 'times as many',
      xScale: 'log',
      yFromZero: true,
      series: ['resnet-20', 'mobilenet-v2', 'densenet-40'].flatMap((name, i) =>
        [1, 2].map((threads) => {
          const rows = batch.filter((row) => row.name === name && row.threads === threads);
          const base = batch.find((row) => row.name === name && row.threads === 1 && row.batch === 1).perSecond;
          return {
            name: `${name}, ${threads} thread${threads > 1 ? 's' : ''}`,
            style: 2 * i + threads - 1,
            line: true,
            points: rows.map((row) => ({ x: row.batch, y: row.perSecond / base })),
          };
        }),
      ),
    });
  if (predictor?.validation)
    draw('predicted', {
      title: 'Predicted over measured time, of architectures that were not learned from',
      xLabel: 'measured ms (log)',
      yLabel: 'predicted / measured',
      xScale: 'log',
      yFromZero: true,
      series: [
        ['predictor', 'predictedMs'],
        ['in proportion to MACs', 'macsMs'],
        ['a power of MACs', 'macsPowerMs'],
      ].map(([name, field], style) => ({
        name,
        style,
        points: predictor.validation.networks.map((row) => ({
          x: row.measuredMs,
          y: row[field] / row.measuredMs,
          title: row.name,
        })),
      })),
    });
}
