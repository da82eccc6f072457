/** @file Recordings of power monitors: CSV files whose header says which column is time, current, voltage or power. */
import { powerTrace, PowerTraceError, type PowerTrace } from './power-trace.js';

type Quantity = 'time' | 'current' | 'voltage' | 'power';

/** Names of columns, without their unit, in lower case: Monsoon's PowerTool and Python library, Otii, Joulescope, INA readers. */
const names: readonly (readonly [pattern: RegExp, quantity: Quantity])[] = [
  [/^(time|timestamp|t|seconds|elapsed( time)?)$/, 'time'],
  [
    /^((main|usb|aux|battery|output|avg|average|arc main|main avg|main average)[ _-]?)?(current|amps?|i)$|^main$/,
    'current',
  ],
  [
    /^((main|usb|aux|battery|output|avg|average|arc main|main avg|main average)[ _-]?)?(voltage|volts?|v|u)$/,
    'voltage',
  ],
  [/^((main|usb|aux|battery|output|avg|average|main avg|main average)[ _-]?)?(power|watts?|p)$/, 'power'],
];

/** Factors to s, A, V and W. */
const units: Readonly<Record<Quantity, Readonly<Record<string, number>>>> = {
  time: { s: 1, sec: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 },
  current: { a: 1, ma: 1e-3, ua: 1e-6, µa: 1e-6 },
  voltage: { v: 1, mv: 1e-3, uv: 1e-6, µv: 1e-6 },
  power: { w: 1, mw: 1e-3, uw: 1e-6, µw: 1e-6 },
};

/** Which column of several for the same quantity counts: the phone hangs on the main channel. */
const preferred = /main/;

interface Column {
  readonly place: number;
  readonly factor: number;
}

/**
 * Reads a power monitor's CSV: a header whose names carry units (`Time(s)`, `Main(mA)`, `Main Voltage(V)`, `Power [mW]`),
 * separated by comma, semicolon or tab. Power is its own column, or current times voltage, the voltage being the file's or
 * `volts`. Lines before the header are skipped. Throws PowerTraceError where columns or numbers are missing.
 */
export function readMonitorCsv(text: string, volts?: number): PowerTrace {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const start = lines.findIndex((line) => columnsOf(line).time !== undefined);
  if (start < 0)
    throw new PowerTraceError(
      'no header of the power monitor file names a time column with its unit',
      'The first line should look like: Time(s),Main(mA),Main Voltage(V)',
    );
  const separator = separatorOf(lines[start]!);
  const { time, current, voltage, power } = columnsOf(lines[start]!);
  if (power === undefined && (current === undefined || (voltage === undefined && volts === undefined)))
    throw new PowerTraceError(
      'the power monitor file has no power column, and not both a current and a voltage',
      'Export power, or current and voltage, or give the supply voltage with --volts.',
    );
  const rows = lines.length - start - 1;
  const seconds = new Float64Array(rows);
  const watts = new Float64Array(rows);
  const decimalComma = separator !== ',';
  for (let r = 0; r < rows; r++) {
    const cells = lines[start + 1 + r]!.split(separator);
    const read = ({ place, factor }: Column): number => {
      const cell = (cells[place] ?? '').trim();
      return cell === '' ? NaN : Number(decimalComma ? cell.replace(',', '.') : cell) * factor;
    };
    seconds[r] = read(time!);
    watts[r] = power !== undefined ? read(power) : read(current!) * (voltage === undefined ? volts! : read(voltage));
  }
  return powerTrace(seconds, watts);
}

function separatorOf(header: string): ',' | ';' | '\t' {
  return header.includes('\t') ? '\t' : header.includes(';') ? ';' : ',';
}

function columnsOf(header: string): Partial<Record<Quantity, Column>> {
  const found: Partial<Record<Quantity, Column>> = {};
  header.split(separatorOf(header)).forEach((cell, place) => {
    const match = /^\s*"?\s*([^([]+?)\s*[([]\s*([^)\]]+?)\s*[)\]]\s*"?\s*$/.exec(cell);
    if (match === null) return;
    const name = match[1]!.toLowerCase();
    // `Main(mA)` has its quantity in the unit alone.
    const unit = match[2]!.toLowerCase();
    const quantity =
      names.find(([pattern]) => pattern.test(name))?.[1] ??
      (/^(usb|aux)$/.test(name) ? quantityOfUnit(unit) : undefined);
    if (quantity === undefined) return;
    const factor = units[quantity][unit];
    if (factor === undefined) return;
    if (found[quantity] === undefined || preferred.test(name)) found[quantity] = { place, factor };
  });
  return found;
}

function quantityOfUnit(unit: string): Quantity | undefined {
  return (['current', 'voltage', 'power'] as const).find((quantity) => unit in units[quantity]);
}
