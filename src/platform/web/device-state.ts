/** @file What a browser tells of its device beyond the processor: browser, model, battery, compute pressure. Pages only. */

/** Browser and device by name; what the browser hides is absent. */
export interface WebDevice {
  readonly browser?: string;
  readonly os?: string;
  readonly model?: string;
  readonly arch?: string;
}

/** What changes from minute to minute. */
export interface WebState {
  readonly batteryLevel?: number;
  readonly charging?: boolean;
  readonly pressure?: string;
}

interface BrandList {
  readonly brands: readonly { readonly brand: string; readonly version: string }[];
  readonly platform: string;
  getHighEntropyValues?(hints: readonly string[]): Promise<Readonly<Record<string, unknown>>>;
}

interface BatteryNavigator {
  getBattery?(): Promise<{ readonly level: number; readonly charging: boolean }>;
}

interface PressureSource {
  new (hear: (records: readonly { readonly state: string }[]) => void): {
    observe(source: string, options: { readonly sampleInterval: number }): Promise<void>;
  };
}

/** Browser, system and model: client hints where there are any (Chromium, secure pages), else what the user agent's text says. */
export async function describeWebDevice(): Promise<WebDevice> {
  const hints = (navigator as Navigator & { readonly userAgentData?: BrandList }).userAgentData;
  if (hints === undefined) return fromUserAgent(navigator.userAgent);
  const known = hints.brands.filter(({ brand }) => !/not.?a.?brand|not[^a-z]/i.test(brand));
  const named = known.find(({ brand }) => brand !== 'Chromium') ?? known[0];
  const more = await hints
    .getHighEntropyValues?.(['model', 'architecture', 'bitness', 'platformVersion'])
    .catch(() => undefined);
  const word = (key: string): string => (typeof more?.[key] === 'string' ? more[key] : '');
  const os = `${hints.platform} ${word('platformVersion')}`.trim();
  const arch = `${word('architecture')} ${word('bitness')}`.trim();
  return {
    ...(named && { browser: `${named.brand} ${named.version}` }),
    ...(os && { os }),
    ...(word('model') && { model: word('model') }),
    ...(arch && { arch }),
  };
}

const BROWSERS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/Edg\/(\d+)/, 'Edge'],
  [/Firefox\/(\d+)/, 'Firefox'],
  [/(?:Chrome|CriOS)\/(\d+)/, 'Chrome'],
  [/Version\/(\d+(?:\.\d+)?).*Safari/, 'Safari'],
];
const SYSTEMS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/Android ([\d.]+)/, 'Android'],
  [/(?:iPhone|iPad).*? OS ([\d_]+)/, 'iOS'],
  [/Mac OS X ([\d_.]+)/, 'macOS'],
  [/Windows NT ([\d.]+)/, 'Windows NT'],
  [/(Linux)/, ''],
];

/** Browser and system as a user agent's text says. */
export function fromUserAgent(agent: string): WebDevice {
  const first = (table: typeof BROWSERS): string | undefined => {
    for (const [pattern, name] of table) {
      const version = pattern.exec(agent)?.[1];
      if (version !== undefined) return `${name} ${version.replaceAll('_', '.')}`.trim();
    }
    return undefined;
  };
  const [browser, os] = [first(BROWSERS), first(SYSTEMS)];
  const model = /Android [\d.]+; ([^;)]+?)(?: Build|\))/.exec(agent)?.[1];
  // Chromium writes K where it hides the model.
  return { ...(browser && { browser }), ...(os && { os }), ...(model && model !== 'K' && { model }) };
}

let pressure: string | undefined;
let watching: Promise<void> | undefined;

/** Battery and compute pressure, where this page may know them. Never throws. */
export async function webState(): Promise<WebState> {
  watching ??= watchPressure();
  await watching;
  const battery = await (navigator as BatteryNavigator).getBattery?.().catch(() => undefined);
  return {
    ...(battery && { batteryLevel: battery.level, charging: battery.charging }),
    ...(pressure !== undefined && { pressure }),
  };
}

async function watchPressure(): Promise<void> {
  const { PressureObserver } = globalThis as { readonly PressureObserver?: PressureSource };
  try {
    if (PressureObserver === undefined) return;
    const observer = new PressureObserver((records) => (pressure = records.at(-1)?.state));
    await observer.observe('cpu', { sampleInterval: 2000 });
  } catch {
    // Not allowed on this page, or no sensor: nothing is known then.
  }
}
