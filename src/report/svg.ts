/** @file SVG as text: elements, escaping, and how wide a label will be. */

/** Attribute values; `undefined` and `false` leave the attribute out. Numbers are rounded to hundredths. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Text made safe for element content and attribute values of SVG and HTML. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** One element. Children are markup already; use `escapeText` for text among them. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  let text = `<${name}`;
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    text +=
      value === true ? ` ${key}` : ` ${key}="${typeof value === 'number' ? formatNumber(value) : escapeText(value)}"`;
  }
  return children.length === 0 ? `${text}/>` : `${text}>${children.join('')}</${name}>`;
}

/** A text element. */
export function label(text: string, x: number, y: number, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escapeText(text));
}

/** A coordinate with at most two decimals. */
export function formatNumber(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** About how wide a text is in a 12-pixel sans-serif font, in pixels; a little generous. */
export function textWidth(text: string, fontSize = 12): number {
  let width = 0;
  for (const char of text)
    width += /[ijlI.,:;'|!()\[\]]/.test(char) ? 0.32 : /[mwMW@%]/.test(char) ? 0.9 : /[A-Z]/.test(char) ? 0.68 : 0.56;
  return width * fontSize;
}

/** The outer element of a plot: scales to its container, and names itself to screen readers. */
export function svgRoot(width: number, height: number, title: string, ...children: readonly string[]): string {
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${formatNumber(width)} ${formatNumber(height)}`,
      width,
      height,
      role: 'img',
      'aria-label': title,
      class: 'plot',
    },
    ...children,
  );
}
