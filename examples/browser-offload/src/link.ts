/** @file The link of the page: as it is, throttled by the emulator, or gone. */
import { bytesPerMs, fixedRate, LinkModel } from 'cuttle/split';

export type LinkState = 'reachable' | 'throttled' | 'gone';

/** A `fetch` over a link whose state may change at any time. */
export class PageLink {
  state: LinkState = 'reachable';
  readonly #up = new LinkModel({ rate: fixedRate(bytesPerMs(0.2)), latencyMs: 30 });
  readonly #down = new LinkModel({ rate: fixedRate(bytesPerMs(0.2)), latencyMs: 30 });

  readonly fetch: typeof fetch = async (input, init) => {
    if (this.state === 'gone') throw new TypeError('the link is gone');
    if (this.state === 'reachable') return await fetch(input, init);
    const { body } = init ?? {};
    await pause(this.#up, body instanceof Uint8Array ? body.length : 200, init?.signal);
    const response = await fetch(input, init);
    const bytes = await response.arrayBuffer();
    await pause(this.#down, bytes.byteLength, init?.signal);
    return new Response(response.status === 204 ? null : bytes, response);
  };
}

async function pause(link: LinkModel, bytes: number, signal: AbortSignal | null | undefined): Promise<void> {
  const start = performance.now();
  const ms = link.send(bytes, start).arrives - start;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}
