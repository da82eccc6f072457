/** @file The drawing, what the network makes of it, and how it becomes a labelled digit. */
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { DrawPad, type DrawPadHandle } from './draw-pad.js';
import { CLASSES, type Sample } from './samples.js';
import type { Training, TrainingView } from './training.js';

interface DrawPanelProps {
  readonly training: Training;
  readonly view: TrainingView | undefined;
  readonly onAdd: (sample: Sample) => void;
}

export function DrawPanel({ training, view, onAdd }: DrawPanelProps) {
  const pad = useRef<DrawPadHandle>(null);
  const [digit, setDigit] = useState<Uint8Array>();
  const [said, setSaid] = useState('');
  const probabilities = useProbabilities(training, digit, view);
  const best = probabilities && probabilities.indexOf(Math.max(...probabilities));
  const id = useId();

  const add = (label: number): void => {
    if (digit === undefined) return setSaid('Draw a digit first.');
    onAdd({ pixels: digit, label, origin: 'drawn' });
    setSaid(`Added as ${label}.`);
    pad.current?.clear();
  };

  return (
    <section class="panel draw" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Draw</h2>
      <div class="drawing">
        <div class="pad">
          <DrawPad handle={pad} onDigit={setDigit} onLabel={add} />
          <button type="button" class="quiet" disabled={digit === undefined} onClick={() => pad.current?.clear()}>
            Clear
          </button>
        </div>
        <div class="guess">
          <p class="verdict" aria-live="polite">
            {best === undefined ? (view?.hasNetwork ? 'Draw a digit' : 'Not trained yet') : `Looks like ${best}`}
          </p>
          <ol class="probabilities" aria-label="Probability of each digit" start={0}>
            {CLASSES.map((name, index) => {
              const percent = Math.round((probabilities?.[index] ?? 0) * 100);
              return (
                <li class={index === best ? 'best' : undefined}>
                  <span class="digit">{name}</span>
                  <span class="track">
                    <span class="bar" style={{ width: `${percent}%` }} />
                  </span>
                  <span class="percent">{probabilities ? `${percent} %` : ''}</span>
                </li>
              );
            })}
          </ol>
        </div>
      </div>
      <p class="note">Add the drawing to your digits as</p>
      <div class="labels" role="group" aria-label="Add the drawing to the digits">
        {CLASSES.map((name, label) => (
          <button type="button" aria-label={`Add as ${name}`} onClick={() => add(label)}>
            {name}
          </button>
        ))}
      </div>
      <p class="note" role="status">
        {said}
      </p>
      <p class="note" id="pad-help">
        With the keyboard: arrows move the pen, Space puts it down and lifts it, Escape clears, a digit key adds.
      </p>
    </section>
  );
}

/**
 * The network's answer to a drawing, asked anew when the drawing or the network changes. One question is under way at a
 * time: what changes meanwhile is asked when the answer has come.
 */
function useProbabilities(
  training: Training,
  digit: Uint8Array | undefined,
  view: TrainingView | undefined,
): readonly number[] | undefined {
  const [probabilities, setProbabilities] = useState<readonly number[]>();
  const asking = useRef({ digit, busy: false, again: false });
  asking.current.digit = digit;
  const step = view?.progress?.step;
  const phase = view?.phase;
  useEffect(() => {
    const state = asking.current;
    const ask = async (): Promise<void> => {
      state.busy = true;
      do {
        state.again = false;
        const answer = state.digit && (await training.classify(state.digit));
        setProbabilities(state.digit && answer);
      } while (state.again);
      state.busy = false;
    };
    state.again = true;
    if (!state.busy) void ask();
  }, [training, digit, step, phase]);
  return probabilities;
}
