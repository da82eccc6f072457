/** @file Light or dark: as the system has it, unless somebody chose. The palette is that of the reports. */
import { themeStyle } from 'cuttle/report';

const KEY = 'cuttle-studio-theme';
export type Theme = 'system' | 'light' | 'dark';

export function chosenTheme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

/** Brings the palette, once. */
export function addPalette(): void {
  const sheet = document.createElement('style');
  sheet.textContent = themeStyle();
  document.head.prepend(sheet);
}

/** Shows a theme and keeps the choice. */
export function applyTheme(theme: Theme = chosenTheme()): void {
  localStorage.setItem(KEY, theme);
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}
