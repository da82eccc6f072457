/** @file The server's log: events with fields, one JSON object per line, or one readable line on terminals. */

export type LogLevel = 'debug' | 'info' | 'error' | 'silent';

type Fields = Readonly<Record<string, unknown>>;

export interface ServerLog {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'error', 'silent'];

/** A log that hears nothing. */
export const SILENT: ServerLog = { debug: () => undefined, info: () => undefined, error: () => undefined };

/** A log of events from `level` on. `write` takes one line, without its end. */
export function openLog(
  level: LogLevel,
  form: 'json' | 'text',
  write: (line: string) => void,
  time: () => Date = () => new Date(),
): ServerLog {
  const at = (own: LogLevel) => {
    if (LEVELS.indexOf(own) < LEVELS.indexOf(level)) return () => undefined;
    return (event: string, fields: Fields = {}): void => {
      const stamp = time().toISOString();
      if (form === 'json') return write(JSON.stringify({ time: stamp, level: own, event, ...fields }));
      const listed = Object.entries(fields).map(([name, value]) => `${name}=${textOf(value)}`);
      write(`${stamp.slice(11, 23)} ${own === 'error' ? 'ERROR ' : ''}${[event, ...listed].join(' ')}`);
    };
  };
  return { debug: at('debug'), info: at('info'), error: at('error') };
}

function textOf(value: unknown): string {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000);
  if (typeof value === 'string' && /^[^\s"\\]+$/.test(value)) return value;
  return JSON.stringify(value);
}
