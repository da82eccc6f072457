/** @file Headers of everything that the lab answers: nothing is guessed, kept or framed. */

/** Headers for content of a type. */
export function plainHeaders(type: string): Headers {
  return new Headers({
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
  });
}
