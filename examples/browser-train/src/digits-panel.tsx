/** @file Where digits come from: those of the page, and image files; what there is of each. */
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { loadEmbedded } from './embedded.js';
import { digitFromFile, ImageFileError } from './image-files.js';
import { CLASSES, countByClass, SIDE, type Sample } from './samples.js';

const AMOUNTS = [500, 2000, 10_000];
/** Digits on the contact sheet: the latest ones. */
const SHEET = { columns: 16, rows: 4 };

interface DigitsPanelProps {
  readonly samples: readonly Sample[];
  readonly onAdd: (samples: readonly Sample[]) => void;
  readonly onClear: () => void;
}

export function DigitsPanel({ samples, onAdd, onClear }: DigitsPanelProps) {
  const [amount, setAmount] = useState(2000);
  const [label, setLabel] = useState(0);
  const [message, setMessage] = useState('');
  const [loading, setLoading] = useState(false);
  const embedded = samples.filter(({ origin }) => origin === 'embedded').length;
  const id = useId();

  const load = async (): Promise<void> => {
    setLoading(true);
    try {
      const digits = await loadEmbedded(amount);
      // A larger amount holds the smaller one: only what is new is added.
      onAdd(digits.slice(embedded));
      setMessage('');
    } catch (error) {
      setMessage((error as Error).message);
    } finally {
      setLoading(false);
    }
  };
  const read = async (files: readonly File[]): Promise<void> => {
    const problems: string[] = [];
    const digits: Sample[] = [];
    for (const file of files)
      try {
        digits.push({ pixels: await digitFromFile(file), label, origin: 'file' });
      } catch (error) {
        if (!(error instanceof ImageFileError)) throw error;
        problems.push(error.message);
      }
    onAdd(digits);
    setMessage([`${digits.length} of ${files.length} images added as ${label}`, ...problems].join('. '));
  };

  return (
    <section class="panel digits" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Digits</h2>
      <div class="row">
        <label>
          Handwritten digits
          <select value={amount} onChange={(event) => setAmount(Number(event.currentTarget.value))}>
            {AMOUNTS.map((count) => (
              <option value={count}>{count.toLocaleString('en-GB')}</option>
            ))}
          </select>
        </label>
        <button type="button" disabled={loading || amount <= embedded} onClick={() => void load()}>
          {loading ? 'Loading …' : 'Load digits'}
        </button>
      </div>
      <div class="row">
        <label>
          Label of image files
          <select value={label} onChange={(event) => setLabel(Number(event.currentTarget.value))}>
            {CLASSES.map((name, digit) => (
              <option value={digit}>{name}</option>
            ))}
          </select>
        </label>
        <label class="button">
          Choose images …
          <input
            type="file"
            accept="image/*"
            multiple
            onChange={(event) => {
              const files = [...(event.currentTarget.files ?? [])];
              event.currentTarget.value = '';
              void read(files);
            }}
          />
        </label>
      </div>
      <p class="note" role="status">
        {message}
      </p>
      <Counts counts={countByClass(samples)} />
      <ContactSheet samples={samples} />
      <div class="row foot">
        <span class="note">
          {samples.length.toLocaleString('en-GB')} {samples.length === 1 ? 'digit' : 'digits'}
        </span>
        <button type="button" class="quiet" disabled={samples.length === 0} onClick={onClear}>
          Remove all
        </button>
      </div>
    </section>
  );
}

function Counts({ counts }: { readonly counts: readonly number[] }) {
  const largest = Math.max(1, ...counts);
  return (
    <ol class="counts" aria-label="Digits by label" start={0}>
      {counts.map((count, digit) => (
        <li>
          <span class="bar" style={{ height: `${count === 0 ? 0 : Math.max(4, (count / largest) * 100)}%` }} />
          <span class="digit">{digit}</span>
          <span class="count">{count}</span>
        </li>
      ))}
    </ol>
  );
}

/** The latest digits, drawn as black ink; the style turns it for a dark page. */
function ContactSheet({ samples }: { readonly samples: readonly Sample[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { columns, rows } = SHEET;
  useEffect(() => {
    const context = canvas.current!.getContext('2d')!;
    context.clearRect(0, 0, columns * SIDE, rows * SIDE);
    samples
      .slice(-columns * rows)
      .reverse()
      .forEach(({ pixels }, index) => {
        const image = context.createImageData(SIDE, SIDE);
        for (let i = 0; i < pixels.length; i++) image.data[4 * i + 3] = pixels[i]!;
        context.putImageData(image, (index % columns) * SIDE, Math.floor(index / columns) * SIDE);
      });
  }, [samples]);
  return (
    <div class="sheet">
      {samples.length === 0 && <p class="note">Digits that you load or draw appear here.</p>}
      <canvas
        ref={canvas}
        class="ink"
        width={columns * SIDE}
        height={rows * SIDE}
        role="img"
        aria-label={samples.length === 0 ? 'No digits yet' : 'The latest digits'}
      />
    </div>
  );
}
