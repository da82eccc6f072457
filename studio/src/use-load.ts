/** @file Something that is being loaded: under way, there, or failed. */
import { useEffect, useState } from 'preact/hooks';

export type Loaded<T> =
  | { readonly state: 'loading' }
  | { readonly state: 'ready'; readonly value: T }
  | { readonly state: 'failed'; readonly error: Error };

/** Loads again whenever `key` changes; what comes too late is dropped. `undefined` as key loads nothing. */
export function useLoad<T>(key: string | undefined, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [loaded, setLoaded] = useState<{ readonly key: string | undefined; readonly value: Loaded<T> }>({
    key: undefined,
    value: { state: 'loading' },
  });
  useEffect(() => {
    if (key === undefined) return undefined;
    const controller = new AbortController();
    const settle = (value: Loaded<T>): void => {
      if (!controller.signal.aborted) setLoaded({ key, value });
    };
    load(controller.signal).then(
      (value) => settle({ state: 'ready', value }),
      (error: unknown) => settle({ state: 'failed', error: error instanceof Error ? error : new Error(String(error)) }),
    );
    return () => controller.abort();
  }, [key]);
  return loaded.key === key ? loaded.value : { state: 'loading' };
}
