/** @file The page's way to its server: JSON and bytes, refusals as errors with their next step, events as they come. */
import type { ErrorView } from '../../src/studio/messages.js';

/** A refusal of the server, or its silence. */
export class ServerError extends Error {
  readonly hint: string | undefined;
  readonly code: string;

  constructor({ code, message, hint }: ErrorView['error']) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** The server does not answer. */
export function silence(): ServerError {
  return new ServerError({
    code: 'silent',
    message: 'the studio does not answer',
    hint: 'Is the command still running? Start it again (cuttle studio), then load this page again.',
  });
}

const TOKEN = 'cuttle-studio-token';

/** Takes the token from the address into this tab's own memory, and out of sight. */
export function takeToken(): void {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token === undefined) return;
  sessionStorage.setItem(TOKEN, decodeURIComponent(token));
  history.replaceState(null, '', '#/');
}

interface Asked {
  readonly method?: 'GET' | 'POST';
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: BodyInit;
  readonly signal?: AbortSignal;
}

async function ask(name: string, { method = 'GET', query = {}, body, signal }: Asked): Promise<Response> {
  const url = new URL(`api/${name}`, location.href);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value));
  const token = sessionStorage.getItem(TOKEN);
  const headers = { 'x-cuttle-studio': '1', ...(token !== null && { authorization: `Bearer ${token}` }) };
  let response: Response;
  try {
    response = await fetch(url, { method, headers, ...(body !== undefined && { body }), ...(signal && { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw silence();
  }
  if (response.ok) return response;
  const told = (await response.json().catch(() => undefined)) as ErrorView | undefined;
  throw new ServerError(told?.error ?? { code: 'http', message: `the server answers with ${response.status}` });
}

/** Asks for JSON. Throws ServerError. */
export async function askJson<T>(name: string, asked: Asked = {}): Promise<T> {
  return (await (await ask(name, asked)).json()) as T;
}

/** Asks for bytes. Throws ServerError. */
export async function askBytes(name: string, asked: Asked = {}): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await ask(name, asked)).arrayBuffer());
}

/** Server-sent events as parsed JSON; by fetch, since EventSource cannot send a token. Throws ServerError. */
export async function* askEvents<T>(name: string, asked: Asked): AsyncGenerator<T> {
  const { body } = await ask(name, asked);
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split('\n\n');
      rest = parts.pop()!;
      for (const part of parts) if (part.startsWith('data: ')) yield JSON.parse(part.slice(6)) as T;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
