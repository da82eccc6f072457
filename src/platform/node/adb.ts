/** @file Android devices through a running adb server (`adb start-server`): commands, files. Speaks the server's protocol; needs no adb binary. */
import { CuttleError } from '../../ir/index.js';

/** No adb server, no such device, a device that does not answer or refuses. Exit code 1. */
export class AdbError extends CuttleError {
  constructor(message: string, hint: string, cause?: unknown) {
    super('failed', 'platform/adb', message, { hint, cause });
  }
}

export interface ShellResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** One Android device. */
export interface AndroidDevice {
  readonly serial: string;
  /** Runs a command line in the device's shell. A failing command is a result, not an error. Throws AdbError where the device is gone. */
  shell(command: string): Promise<ShellResult>;
  /** Writes a file on the device, replacing what is there. `mode` is its permissions, such as 0o755. */
  push(bytes: Uint8Array, path: string, mode: number): Promise<void>;
  pull(path: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface AdbServerPlace {
  readonly host?: string;
  /** 5037 is adb's own. */
  readonly port?: number;
}

/** Serial numbers of devices that are attached and let us in. Throws AdbError. */
export async function androidSerials(place: AdbServerPlace = {}): Promise<readonly string[]> {
  const client = await openClient(place);
  const devices = await client.getDevices(['device']).catch((error: unknown) => {
    throw unreachable(place, error);
  });
  return devices.map(({ serial }) => serial);
}

/** Opens one device: the named one, else the only one. Throws AdbError, naming the devices at hand. */
export async function openAndroid(serial: string | undefined, place: AdbServerPlace = {}): Promise<AndroidDevice> {
  const serials = await androidSerials(place);
  const chosen = serial ?? serials[0];
  const known = serials.length === 0 ? 'none is attached' : `attached: ${serials.join(', ')}`;
  if (chosen === undefined || !serials.includes(chosen))
    throw new AdbError(
      serial === undefined ? 'no Android device is attached' : `no Android device '${serial}'; ${known}`,
      'Attach a phone, switch on USB debugging, allow this computer on its screen, and see: adb devices',
    );
  if (serial === undefined && serials.length > 1)
    throw new AdbError(`more than one Android device; ${known}`, 'Name one by its serial number.');
  const client = await openClient(place);
  const adb = await client.createAdb({ serial: chosen }).catch((error: unknown) => {
    throw new AdbError(`device '${chosen}' cannot be opened`, 'See: adb devices', error);
  });
  const talk = async <Value>(what: string, work: () => Promise<Value>): Promise<Value> => {
    try {
      return await work();
    } catch (error) {
      throw new AdbError(
        `device '${chosen}' failed to ${what}: ${error instanceof Error ? error.message : String(error)}`,
        'Check the cable, and that the device is still listed by: adb devices',
        error,
      );
    }
  };
  return {
    serial: chosen,
    shell: (command) =>
      talk(`run '${command.slice(0, 80)}'`, async () => {
        const { shellProtocol, noneProtocol } = adb.subprocess;
        if (shellProtocol !== undefined) return await shellProtocol.spawnWaitText(command);
        // Before Android 7 a shell gives no exit code: it is printed behind the output.
        const text = await noneProtocol.spawnWaitText(`${command}; printf '\\nexit=%s' "$?"`);
        const match = /\r?\nexit=(\d+)\s*$/.exec(text);
        return {
          stdout: match === null ? text : text.slice(0, match.index),
          stderr: '',
          exitCode: Number(match?.[1] ?? 0),
        };
      }),
    push: (bytes, path, mode) =>
      talk(`take the file ${path}`, async () => {
        const { ReadableStream } = await import('@yume-chan/stream-extra');
        const sync = await adb.sync();
        try {
          const file = new ReadableStream<Uint8Array>({
            start: (controller) => {
              controller.enqueue(bytes);
              controller.close();
            },
          });
          await sync.write({ filename: path, file, permission: mode });
        } finally {
          await sync.dispose();
        }
      }),
    pull: (path) =>
      talk(`give the file ${path}`, async () => {
        const sync = await adb.sync();
        try {
          const chunks: Uint8Array[] = [];
          const reader = sync.read(path).getReader();
          for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            chunks.push(value);
          }
          return Buffer.concat(chunks);
        } finally {
          await sync.dispose();
        }
      }),
    close: async () => {
      await adb.close();
    },
  };
}

async function openClient({ host = '127.0.0.1', port = 5037 }: AdbServerPlace) {
  const [{ AdbServerClient }, { AdbServerNodeTcpConnector }] = await Promise.all([
    import('@yume-chan/adb'),
    import('@yume-chan/adb-server-node-tcp'),
  ]).catch((error: unknown) => {
    throw new AdbError(
      'the packages that speak to adb are not installed',
      'npm install @yume-chan/adb @yume-chan/adb-server-node-tcp',
      error,
    );
  });
  return new AdbServerClient(new AdbServerNodeTcpConnector({ host, port }));
}

function unreachable({ host = '127.0.0.1', port = 5037 }: AdbServerPlace, cause: unknown): AdbError {
  return new AdbError(`no adb server answers at ${host}:${port}`, 'Start one with: adb start-server', cause);
}
