/** @file Where the page is: `#/view?key=value`. The address says all, so that it can be kept and the back button works. */
import { useEffect, useState } from 'preact/hooks';

export interface Route {
  readonly view: string;
  readonly query: URLSearchParams;
}

/** Reads the part of the address behind `#`. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  return { view: path === '' ? 'home' : path, query: new URLSearchParams(query) };
}

/** The address of a view. */
export function linkTo(view: string, query: Readonly<Record<string, string | number | undefined>> = {}): string {
  const given = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]));
  const text = new URLSearchParams(given).toString();
  return `#/${view}${text === '' ? '' : `?${text}`}`;
}

/** The present route; follows the address. */
export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = (): void => setHash(location.hash);
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return parseRoute(hash);
}

/** Goes to a view; `replace` leaves no step in the history, for sliders and choices within a view. */
export function goTo(address: string, replace = false): void {
  if (!replace) location.hash = address;
  else {
    history.replaceState(null, '', address);
    dispatchEvent(new HashChangeEvent('hashchange'));
  }
}
