/** @file Mounts the studio's page. */
import { render } from 'preact';
import { takeToken } from './api.js';
import { App } from './app.js';
import './style.css';
import './views.css';
import { addPalette, applyTheme } from './theme.js';

takeToken();
addPalette();
applyTheme();
render(<App />, document.getElementById('app')!);
