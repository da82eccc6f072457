/** @file The form that starts a run: few fields, all of them checked again by the server. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { JobView } from '../../src/studio/messages.js';
import { askJson } from './api.js';
import { Choice, Failure } from './parts.js';
import { useWorkspace } from './workspace-context.js';

const VERBS: readonly (readonly [verb: string, what: string])[] = [
  ['demo', 'demo: all on digits'],
  ['train', 'train: from scratch'],
  ['adapt', 'adapt: add early exits'],
  ['split', 'split: measure cuts'],
];

type Fields = Readonly<Record<string, string>>;
const FIRST: Fields = {
  out: '',
  data: 'mnist',
  arch: 'lenet-5',
  epochs: '2',
  exitEpochs: '2',
  budgets: '50%, 75%',
  limit: '',
};
const OUT: Fields = { demo: 'cuttle-demo', train: 'trained.onnx', adapt: 'adapted', split: 'split-profile.json' };

export function RunForm({
  verb: given,
  onStarted,
}: {
  readonly verb: string;
  readonly onStarted: (job: JobView) => void;
}) {
  const { models } = useWorkspace().workspace;
  const [verb, setVerb] = useState(given in OUT ? given : 'demo');
  const [fields, setFields] = useState<Fields>(FIRST);
  const [failed, setFailed] = useState<Error>();
  const model = fields['model'] ?? models[0]?.path ?? '';
  const out = fields['out'] === '' ? OUT[verb]! : fields['out']!;
  const field = (
    name: string,
    label: string,
    value = fields[name]!,
    keyboard: 'text' | 'numeric' = 'text',
  ): ComponentChildren => (
    <label class="field">
      <span>{label}</span>
      <input
        inputMode={keyboard}
        value={value}
        spellcheck={false}
        onInput={(event) => setFields({ ...fields, [name]: event.currentTarget.value })}
      />
    </label>
  );
  const start = async (event: Event): Promise<void> => {
    event.preventDefault();
    setFailed(undefined);
    const whole = (name: string): object => (fields[name] === '' ? {} : { [name]: Number(fields[name]) });
    const requests: Readonly<Record<string, object>> = {
      demo: { verb, out, ...whole('epochs'), ...whole('exitEpochs') },
      train: { verb, arch: fields['arch'], data: fields['data'], out, ...whole('epochs') },
      adapt: {
        ...{ verb, model, data: fields['data'], out },
        budgets: fields['budgets']!.split(',').map((budget) => budget.trim()),
        ...whole('epochs'),
        ...whole('limit'),
      },
      split: { verb, model, data: fields['data'], out, ...whole('limit') },
    };
    try {
      onStarted(await askJson<JobView>('jobs', { method: 'POST', body: JSON.stringify(requests[verb]) }));
    } catch (error) {
      setFailed(error as Error);
    }
  };
  const needsModel = verb === 'adapt' || verb === 'split';
  return (
    <section>
      <h2>Start a run</h2>
      <form class="stack" onSubmit={(event) => void start(event)}>
        <Choice label="What" value={verb} options={VERBS} onChange={setVerb} />
        {needsModel && (
          <Choice
            label="Model"
            value={model}
            options={models.map(({ path }) => [path, path])}
            onChange={(path) => setFields({ ...fields, model: path })}
          />
        )}
        {verb === 'train' && field('arch', 'Architecture')}
        {verb !== 'demo' && field('data', 'Images: a known name or ./FOLDER')}
        {verb === 'adapt' && field('budgets', 'Budgets')}
        {verb !== 'split' && field('epochs', 'Epochs', fields['epochs'], 'numeric')}
        {verb === 'demo' && field('exitEpochs', 'Epochs of the exits', fields['exitEpochs'], 'numeric')}
        {needsModel && field('limit', 'Images of each part, at most', fields['limit'], 'numeric')}
        {field('out', 'Where it goes, in this folder', out)}
        <button class="main" type="submit" disabled={needsModel && model === ''}>
          Start
        </button>
      </form>
      {needsModel && model === '' && <p class="notice">There is no model here yet: train one, or run the demo.</p>}
      {failed !== undefined && <Failure error={failed} />}
    </section>
  );
}
