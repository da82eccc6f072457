/** @file The page: digits on one side, the network on the other, the drawing that joins them. */
import { useMemo, useRef, useState } from 'preact/hooks';
import { DigitsPanel } from './digits-panel.js';
import { DrawPanel } from './draw-panel.js';
import { FEWEST_SAMPLES, type Sample } from './samples.js';
import { TrainPanel } from './train-panel.js';
import { Training, type TrainingView } from './training.js';

export function App() {
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  const [view, setView] = useState<TrainingView>();
  const show = useRef({ latest: undefined as TrainingView | undefined, frame: 0 });
  const training = useMemo(
    () =>
      // Steps may come faster than the screen is drawn.
      new Training((next) => {
        show.current.latest = next;
        show.current.frame ||= requestAnimationFrame(() => {
          show.current.frame = 0;
          setView(show.current.latest);
        });
      }),
    [],
  );
  const add = (added: readonly Sample[]): void => setSamples((known) => [...known, ...added]);

  return (
    <>
      <header>
        <h1>Train on the spot</h1>
        <p>
          Gather digits, train a small network on them, see what it makes of your hand. Everything happens in this page:
          nothing is sent anywhere.
        </p>
      </header>
      <main>
        <DigitsPanel samples={samples} onAdd={add} onClear={() => setSamples([])} />
        <DrawPanel training={training} view={view} onAdd={(sample) => add([sample])} />
        <TrainPanel training={training} view={view} samples={samples} ready={samples.length >= FEWEST_SAMPLES} />
      </main>
    </>
  );
}
