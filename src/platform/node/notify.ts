/** @file Waiting for one line from another machine: how a device without a cable says that it is done. */
import { createServer } from 'node:net';
import { CuttleError } from '../../ir/index.js';

/** No word in time, or a port that cannot be opened. Exit code 1. */
export class NotifyError extends CuttleError {
  constructor(message: string, hint: string, cause?: unknown) {
    super('failed', 'platform/notify', message, { hint, cause });
  }
}

export interface Listener {
  readonly port: number;
  /** Resolves when a line that equals the token has come. Throws NotifyError after `timeoutMs`. */
  heard(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/** What a peer may send before it is cut off. */
const MAX_BYTES = 4096;

/** Listens for `token` on a line of its own; other bytes are ignored. Throws NotifyError where the port is taken. */
export async function listenFor(token: string, host: string, port = 0): Promise<Listener> {
  let tell: () => void;
  const heard = new Promise<void>((resolve) => (tell = resolve));
  const server = createServer((socket) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.split(/\r?\n/).includes(token)) tell();
      if (text.length > MAX_BYTES) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new NotifyError(`port ${port} of ${host} cannot be listened on`, 'Choose another port or address.', error),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    heard: async (timeoutMs) => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () =>
            reject(
              new NotifyError(
                `the device did not report within ${Math.round(timeoutMs / 1000)} s`,
                'Check that its Wi-Fi reaches this computer, and allow it more time.',
              ),
            ),
          timeoutMs,
        );
      });
      try {
        await Promise.race([heard, late]);
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
