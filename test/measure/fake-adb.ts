/** An adb server with one phone behind it, emulated at the level of the protocol: smart-socket requests, shell v2, sync v1. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';

export interface FakeOutcome {
  readonly stdout: string;
  readonly exitCode?: number;
}

/** What the emulated phone is and does. */
export class FakePhone {
  readonly files = new Map<string, { bytes: Buffer; mode: number }>();
  /** Everything that happened on the phone, in order. */
  readonly log: string[] = [];
  powered = true;
  wifi = true;
  celsius = 31;
  joules = 100;
  /** Output of the framework's program, by its arguments. */
  program: (command: string) => FakeOutcome = () => ({ stdout: '' });
  readonly serial = 'FAKE0001';

  shell(command: string): FakeOutcome {
    if (command === 'getprop')
      return {
        stdout:
          '[ro.product.manufacturer]: [Acme]\r\n[ro.product.model]: [Phone 7]\r\n[ro.soc.model]: [AC700]\r\n[ro.build.version.release]: [14]\r\n[ro.build.version.sdk]: [34]\r\n[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]\r\n',
      };
    if (command.includes('cpuinfo_max_freq'))
      return {
        stdout: [1800, 1800, 1800, 1800, 2400, 2400, 2400, 2900]
          .map((clock, core) => `/sys/devices/system/cpu/cpu${core} ${clock * 1000}\n`)
          .join(''),
      };
    if (command === 'cat /proc/meminfo') return { stdout: 'MemTotal:        7812500 kB\nMemFree: 100 kB\n' };
    if (command.includes('charge_full_design')) return { stdout: '4410000\n' };
    if (command === 'dumpsys battery')
      return {
        stdout: `Current Battery Service state:\n  AC powered: false\n  USB powered: ${this.powered}\n  Wireless powered: false\n  level: 81\n  scale: 100\n  voltage: 4012\n  temperature: 298\n`,
      };
    if (command.includes('thermal_zone')) {
      const now = this.celsius;
      this.celsius = Math.max(25, this.celsius - 4);
      return { stdout: `${now * 1000}\n${(now - 3) * 1000}\n-274000\n` };
    }
    if (command === 'dumpsys thermalservice') return { stdout: 'IsStatusOverride: false\nThermal Status: 0\n' };
    if (command.includes('scaling_cur_freq')) return { stdout: '1000000\n1200000\n0\n' };
    if (command.includes('iio:device')) {
      this.joules += 0.5;
      return {
        stdout: `t=123\nCH0(T=123)[VSYS_PWR_MODEM], 5000000\nCH1(T=123)[S2M_VDD_CPUCL0], ${Math.round(this.joules * 1e6)}\n`,
      };
    }
    if (command.includes('current_now')) return { stdout: '-500000\n4000000\n' };
    if (command.startsWith('svc wifi')) {
      this.wifi = command.endsWith('enable');
      this.log.push(`phone: wifi ${this.wifi ? 'on' : 'off'}`);
      return { stdout: '' };
    }
    if (command.startsWith('rm -rf')) {
      this.log.push(command.includes('mkdir') ? 'phone: folder' : 'phone: cleaned');
      this.files.clear();
      return { stdout: '' };
    }
    if (command.startsWith('nohup sh ')) {
      void this.#alone();
      return { stdout: '' };
    }
    if (command.includes('/program')) return this.program(command);
    return { stdout: `sh: ${command}: not found\n`, exitCode: 127 };
  }

  /** What the pushed script does, step by step, without a cable. */
  async #alone(): Promise<void> {
    const script = this.files.get('/data/local/tmp/cuttle/run.sh')!.bytes.toString();
    this.log.push('phone: started');
    while (this.powered) await new Promise((resolve) => setTimeout(resolve, 5));
    this.log.push('phone: saw power-off');
    const command = /\( (.*) \) > output/.exec(script)![1]!;
    this.log.push('phone: warm-up and runs');
    const { stdout, exitCode = 0 } = this.program(command);
    const file = (name: string, text: string): void =>
      void this.files.set(`/data/local/tmp/cuttle/${name}`, { bytes: Buffer.from(text), mode: 0o644 });
    file('output', `${stdout}exit=${exitCode}\n`);
    file('events', '100.0 power-off\n110.0 begin\n114.0 end\n');
    // 1 W idle, 3 W while running, at 4 V.
    const rows: string[] = [];
    for (let t = 100; t <= 115; t += 0.25) rows.push(`${t} ${t > 110 && t <= 114 ? -750000 : -250000} 4000000`);
    file('gauge', `${rows.join('\n')}\n`);
    this.wifi = true;
    this.log.push('phone: wifi on');
    const [, token, host, port] = /until echo (\S+) \| nc -w 2 (\S+) (\d+)/.exec(script)!;
    const socket = createConnection({ host: host!, port: Number(port) }, () => {
      this.log.push('phone: reports');
      socket.end(`${token}\n`);
    });
    socket.on('error', () => undefined);
  }
}

/** Serves `phone` as an adb server on loopback. */
export async function serveFakeAdb(phone: FakePhone): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    void talk(new Reader(socket), socket, phone).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

class Reader {
  #held = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#held = Buffer.concat([this.#held, chunk]);
      this.#wake?.();
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  async take(length: number): Promise<Buffer> {
    while (this.#held.length < length) {
      if (this.#ended) throw new Error('closed');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }
}

const text = (value: string): Buffer => Buffer.from(value.length.toString(16).padStart(4, '0') + value);
const okay = Buffer.from('OKAY');

async function talk(reader: Reader, socket: Socket, phone: FakePhone): Promise<void> {
  let attached = false;
  for (;;) {
    const length = parseInt((await reader.take(4)).toString(), 16);
    const request = (await reader.take(length)).toString();
    const device = `${phone.serial}               device product:acme model:Phone_7 device:acme transport_id:1\n`;
    if (request === 'host:version') socket.end(Buffer.concat([okay, text('0029')]));
    else if (request === 'host:devices-l') socket.end(Buffer.concat([okay, text(device)]));
    else if (request === `host:tport:serial:${phone.serial}`) {
      attached = true;
      socket.write(Buffer.concat([okay, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])]));
      continue;
    } else if (request === 'host:transport-id:1') {
      attached = true;
      socket.write(okay);
      continue;
    } else if (request === 'host:features' && attached)
      socket.end(Buffer.concat([okay, text('shell_v2,cmd,fixed_push_mkdir')]));
    else if (request.includes('wait-for-any-disconnect')) socket.write(okay);
    else if (request.startsWith('shell,v2,') && attached) {
      socket.write(okay);
      const { stdout, exitCode = 0 } = phone.shell(request.slice(request.indexOf(':') + 1));
      socket.end(Buffer.concat([packet(1, Buffer.from(stdout)), packet(3, Buffer.from([exitCode]))]));
    } else if (request === 'sync:' && attached) {
      socket.write(okay);
      await sync(reader, socket, phone);
    } else socket.end(Buffer.concat([Buffer.from('FAIL'), text(`unknown service ${request}`)]));
    return;
  }
}

function packet(id: number, data: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head[0] = id;
  head.writeUInt32LE(data.length, 1);
  return Buffer.concat([head, data]);
}

async function sync(reader: Reader, socket: Socket, phone: FakePhone): Promise<void> {
  const frame = (id: string, length: number): Buffer => {
    const head = Buffer.alloc(8);
    head.write(id, 'latin1');
    head.writeUInt32LE(length, 4);
    return head;
  };
  for (;;) {
    const id = (await reader.take(4)).toString('latin1');
    const length = (await reader.take(4)).readUInt32LE();
    if (id === 'QUIT') return void socket.end();
    const path = (await reader.take(length)).toString();
    if (id === 'SEND') {
      const comma = path.lastIndexOf(',');
      const chunks: Buffer[] = [];
      for (;;) {
        const part = (await reader.take(4)).toString('latin1');
        const size = (await reader.take(4)).readUInt32LE();
        if (part === 'DONE') break;
        chunks.push(Buffer.from(await reader.take(size)));
      }
      phone.files.set(path.slice(0, comma), {
        bytes: Buffer.concat(chunks),
        mode: Number(path.slice(comma + 1)) & 0o777,
      });
      phone.log.push(`phone: got ${path.slice(path.lastIndexOf('/') + 1, comma)}`);
      socket.write(frame('OKAY', 0));
    } else if (id === 'RECV') {
      const file = phone.files.get(path);
      if (file === undefined) {
        const message = Buffer.from('No such file or directory');
        socket.write(Buffer.concat([frame('FAIL', message.length), message]));
        continue;
      }
      phone.log.push(`phone: gave ${path.slice(path.lastIndexOf('/') + 1)}`);
      socket.write(Buffer.concat([frame('DATA', file.bytes.length), file.bytes, frame('DONE', 0)]));
    } else return void socket.destroy();
  }
}
