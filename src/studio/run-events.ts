/** @file What a verb tells the studio that started it, besides its words for people. */

/** Progress of a run that curves and fronts are drawn from. */
export type EventOfRun =
  | {
      readonly kind: 'training';
      readonly label: string;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss: number;
      readonly accuracy: number;
    }
  | {
      readonly kind: 'epoch';
      readonly label: string;
      readonly epoch: number;
      readonly step: number;
      readonly heldOut?: number;
    }
  | { readonly kind: 'phase'; readonly name: string; readonly done?: number; readonly total?: number }
  | {
      readonly kind: 'design';
      readonly policy: string;
      /** In the unit of the costs; Infinity is never asked for. */
      readonly budget: number;
      readonly latency: number;
      readonly accuracy: number;
      readonly exits: readonly number[];
      readonly backbone: number;
    };
