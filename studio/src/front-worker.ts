/** @file Works out the front beside the page, so that sliders never wait. */
import { decodeMemo, scoreTables } from 'cuttle/exits';
import { budgetFront, type FrontDesign, type FrontOptions } from './budget-front.js';

export interface FrontRequest extends Pick<FrontOptions, 'costs' | 'bounds' | 'fallback'> {
  readonly memo: Uint8Array;
  readonly temperatures: readonly number[];
}

export type FrontReply =
  | { readonly kind: 'front'; readonly front: readonly FrontDesign[]; readonly done: boolean }
  | { readonly kind: 'failed'; readonly message: string };

const reply = (message: FrontReply): void => self.postMessage(message);

self.addEventListener('message', ({ data }: MessageEvent<FrontRequest>) => {
  try {
    const scores = scoreTables(decodeMemo(data.memo), data.temperatures);
    let front: readonly FrontDesign[] = [];
    for (front of budgetFront({ ...data, scores })) reply({ kind: 'front', front, done: false });
    reply({ kind: 'front', front, done: true });
  } catch (error) {
    reply({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});
