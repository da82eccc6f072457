/** @file Where a verb speaks: the result on standard output, progress and remarks on standard error. */
import { terminalWidth, writeErr, writeOut } from '../platform/node/process.js';

export interface Progress {
  /** `done` of `total` units; `note` says what the figures are now. */
  update(done: number, note?: string): void;
  end(note?: string): void;
}

export interface Console {
  /** A remark for people, one line. */
  log(line: string): void;
  /** A warning, one line. */
  warn(line: string): void;
  /** The one line that ends a failed command. */
  error(line: string): void;
  /** A bar with ETA on a terminal, a plain line every few seconds elsewhere. */
  progress(label: string, total: number): Progress;
  /** The result; only the program calls this. */
  print(text: string): Promise<void>;
}

const PLAIN_INTERVAL_MS = 5_000;
const BAR_INTERVAL_MS = 100;

/** A console on this process's streams. `quiet` keeps remarks and progress back, warnings not. */
export function openConsole(options: { readonly quiet?: boolean } = {}): Console {
  let barShown = false;
  const line = (text: string): void => {
    writeErr(`${barShown ? '\r\x1b[2K' : ''}${text}\n`);
    barShown = false;
  };
  const silent: Progress = { update: () => undefined, end: () => undefined };
  return {
    log: (text) => (options.quiet ? undefined : line(text)),
    warn: (text) => line(`warning: ${text}`),
    error: (text) => line(`error: ${text}`),
    progress(label, total) {
      if (options.quiet) return silent;
      const start = performance.now();
      let last = start;
      return {
        update(done, note = '') {
          const now = performance.now();
          const width = terminalWidth();
          if (now - last < (width === undefined ? PLAIN_INTERVAL_MS : BAR_INTERVAL_MS)) return;
          last = now;
          const eta = done > 0 ? `, ${formatDuration(((now - start) / done) * (total - done))} left` : '';
          const share = total > 0 ? done / total : 0;
          if (width === undefined) return line(`${label}: ${Math.floor(share * 100)} %${note && `, ${note}`}${eta}`);
          const filled = Math.round(share * 20);
          const text = `${label} ${'█'.repeat(filled)}${'░'.repeat(20 - filled)} ${Math.floor(share * 100)} %${note && ` ${note}`}${eta}`;
          writeErr(`\r\x1b[2K${text.slice(0, width - 1)}`);
          barShown = true;
        },
        end: (note = '') =>
          line(`${label}: done in ${formatDuration(performance.now() - start)}${note && `, ${note}`}`),
      };
    },
    print: (text) => {
      if (barShown) line('');
      return writeOut(text.endsWith('\n') ? text : `${text}\n`);
    },
  };
}

/** `4.2 s`, `3 min 20 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
