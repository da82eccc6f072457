/** @file The emulated link between real sockets: a TCP proxy whose bytes come through when the model says. Node only. */
import { now } from '../../platform/index.js';
import { createRandom } from '../../platform/random.js';
import { openTcpProxy, type TcpProxy } from '../../platform/node/tcp-proxy.js';
import { LinkModel, type LinkModelOptions } from './link-model.js';

export interface LinkProxyOptions {
  readonly target: { readonly host: string; readonly port: number };
  /** 0 (any free one) where omitted. */
  readonly port?: number;
  /** To the target, and back; the rates' times count from when the proxy is opened. All connections share them. */
  readonly up: LinkModelOptions;
  readonly down: LinkModelOptions;
  /**
   * Messages to the target that stall, with a probability: nothing more comes through on that connection, from the
   * message's start or once so many bytes of it have passed. A message begins with the first bytes after a reply.
   */
  readonly stalls?: { readonly probability: number; readonly afterBytes?: number };
  /** Of the stalls; 0 where omitted. */
  readonly seed?: number;
}

/** The proxy; its `port` stands for the target's. */
export interface LinkProxy extends TcpProxy {
  /** Messages that have stalled so far. */
  readonly stalled: number;
}

/** Opens a proxy over an emulated link. Throws LinkError for impossible links, and what listening throws. */
export async function openLinkProxy({ target, port, up, down, stalls, seed }: LinkProxyOptions): Promise<LinkProxy> {
  const links = { up: new LinkModel(up), down: new LinkModel(down) };
  const random = createRandom(seed ?? 0);
  const start = now();
  let stalled = 0;
  const pass = (link: LinkModel, bytes: number, at: number): number => start + link.send(bytes, at - start).arrives;
  const open = () => {
    let replied = true;
    /** Bytes of the message that still pass before it stalls. */
    let left = Infinity;
    return {
      up: (bytes: number, at: number): number => {
        if (replied) {
          replied = false;
          const stalling = stalls !== undefined && random.next() < stalls.probability;
          if (stalling) stalled++;
          left = stalling ? (stalls.afterBytes ?? 0) : Infinity;
        }
        left -= bytes;
        return left < 0 ? Infinity : pass(links.up, bytes, at);
      },
      down: (bytes: number, at: number): number => {
        replied = true;
        return pass(links.down, bytes, at);
      },
    };
  };
  const proxy = await openTcpProxy({ target, open, ...(port === undefined ? {} : { port }) });
  return Object.defineProperty(proxy, 'stalled', { get: () => stalled }) as LinkProxy;
}
