/** The pictures that studio-screenshots.mjs takes: a view, a size, a colour scheme, and what is done first. */
const desk = { width: 1120, height: 760, scheme: 'light' };
const dark = { ...desk, scheme: 'dark' };
const phone = { width: 390, height: 760, scheme: 'light' };

const budget = async (page) => {
  await page.locator('.tile').first().waitFor();
  await page.getByRole('slider', { name: /^Budget/ }).fill('55');
};
const tried = async (page) => {
  await page.locator('.thumbs button').first().click();
  await page.getByText('Taken for').waitFor();
};
const cut = async (page) => {
  await page.getByRole('application').waitFor();
  await page.getByLabel('Cut between').selectOption({ index: 4 });
  await page.getByRole('heading', { name: 'Graph' }).scrollIntoViewIfNeeded();
};

const weak = async (page) => {
  await page.getByRole('slider', { name: /^Link/ }).fill('1.6');
  await page.getByRole('slider', { name: /^The device/ }).fill('2.7');
};
const replayed = async (page) => {
  await page.getByRole('button', { name: 'Play' }).click();
  await page.getByRole('heading', { name: 'A minute on a changing link' }).scrollIntoViewIfNeeded();
  await page.getByRole('heading', { name: 'Link, as the device saw it' }).waitFor();
  await page.mouse.wheel(0, 500);
};
const running = async (page) => {
  await page.getByLabel('What').selectOption('train');
  await page.getByLabel('Epochs').fill('6');
  await page.getByLabel('Where it goes').fill(`trained-${Date.now()}.onnx`);
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByText(/epoch 5\/6/).waitFor({ timeout: 120_000 });
  await page.getByRole('heading', { name: /^Run 1/ }).scrollIntoViewIfNeeded();
};
const run = async (page) => {
  await page.getByRole('heading', { name: 'Loss' }).waitFor({ timeout: 60_000 });
};
const table = async (page) => {
  await page.getByRole('table').first().waitFor();
};
const devices = async (page) => {
  await page.getByRole('heading', { name: 'Devices' }).waitFor();
};

export const studioPictures = [
  { name: 'home', view: '', ...desk },
  { name: 'home-phone', view: '', ...phone },
  { name: 'model', view: 'model?path=progressive.onnx', ...desk, prepare: cut },
  { name: 'model-dark', view: 'model?path=progressive.onnx', ...dark, prepare: cut },
  { name: 'model-phone', view: 'model?path=progressive.onnx', ...phone },
  { name: 'designs', view: 'designs', ...desk, prepare: budget },
  { name: 'designs-dark', view: 'designs', ...dark, prepare: budget },
  { name: 'designs-phone', view: 'designs', ...phone, prepare: budget },
  { name: 'try', view: 'try', ...desk, prepare: tried },
  { name: 'try-dark', view: 'try', ...dark, prepare: tried },
  { name: 'try-phone', view: 'try', ...phone, prepare: tried },
  { name: 'split', view: 'split', ...desk, prepare: weak },
  { name: 'split-dark', view: 'split', ...dark, prepare: weak },
  { name: 'split-phone', view: 'split', ...phone, prepare: weak },
  { name: 'split-replay', view: 'split', ...desk, prepare: replayed },
  { name: 'runs', view: 'runs', ...desk, prepare: running },
  { name: 'runs-dark', view: 'runs?id=1', ...dark, prepare: run },
  { name: 'runs-phone', view: 'runs?id=1', ...phone, prepare: run },
  { name: 'compare', view: 'compare?a=backbone.onnx&b=progressive.onnx', ...desk, prepare: table },
  { name: 'compare-dark', view: 'compare?a=backbone.onnx&b=progressive.onnx', ...dark, prepare: table },
  { name: 'compare-phone', view: 'compare?a=backbone.onnx&b=progressive.onnx', ...phone, prepare: table },
  { name: 'audit', view: 'audit', ...desk, prepare: table },
  { name: 'audit-dark', view: 'audit', ...dark, prepare: table },
  { name: 'audit-phone', view: 'audit', ...phone, prepare: table },
  { name: 'lab', view: 'lab', ...desk, prepare: devices },
  { name: 'lab-dark', view: 'lab', ...dark, prepare: devices },
  { name: 'lab-phone', view: 'lab', ...phone, prepare: devices },
];
