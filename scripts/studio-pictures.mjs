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
];
