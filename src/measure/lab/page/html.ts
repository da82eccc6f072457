/** @file The agent's page: its text and looks. */

export const AGENT_HTML = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Cuttle lab agent</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="/agent.css" />
    <script type="module" src="/modules/cuttle/measure/lab/page/main.js"></script>
  </head>
  <body>
    <main>
      <h1>Device lab</h1>
      <p id="status" role="status" aria-live="polite">Loading …</p>
      <form id="join">
        <label>Name of this device <input id="name" required maxlength="64" autocomplete="off" spellcheck="false" /></label>
        <label>Join token <input id="token" required autocomplete="off" spellcheck="false" /></label>
        <button>Join</button>
      </form>
      <p id="hint">Keep this page in front and the device on its charger while it measures.</p>
      <h2>This device</h2>
      <dl id="device"></dl>
      <h2>Jobs</h2>
      <ol id="jobs" reversed></ol>
      <noscript>This page needs JavaScript.</noscript>
    </main>
  </body>
</html>
`;

export const AGENT_CSS = `:root {
  font: 16px/1.5 system-ui, sans-serif;
  --ink: #17202a;
  --paper: #fff;
  --quiet: #56616c;
  --line: #c8d0d8;
  --accent: #0b57d0;
  --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8edf2;
    --paper: #12181f;
    --quiet: #a3b0bd;
    --line: #3a4653;
    --accent: #8ab4f8;
    --bad: #f2b8b5;
  }
}
body {
  margin: 0;
  color: var(--ink);
  background: var(--paper);
}
main {
  max-width: 40rem;
  margin: 0 auto;
  padding: 1rem;
}
h1 {
  font-size: 1.4rem;
}
h2 {
  font-size: 1rem;
  margin-top: 2rem;
}
#status {
  font-size: 1.1rem;
}
#status.bad {
  color: var(--bad);
}
form {
  display: grid;
  gap: 0.75rem;
}
form[hidden] {
  display: none;
}
label {
  display: grid;
  gap: 0.25rem;
}
input,
button {
  font: inherit;
  padding: 0.6rem;
  color: inherit;
  background: transparent;
  border: 1px solid var(--line);
  border-radius: 0.4rem;
}
button {
  background: var(--accent);
  color: var(--paper);
  border-color: var(--accent);
}
:focus-visible {
  outline: 3px solid var(--accent);
  outline-offset: 2px;
}
#hint,
dt,
.why {
  color: var(--quiet);
}
dl {
  display: grid;
  grid-template-columns: max-content 1fr;
  gap: 0.25rem 1rem;
}
dd {
  margin: 0;
  overflow-wrap: anywhere;
}
ol {
  padding-left: 1.2rem;
  overflow-wrap: anywhere;
}
#jobs:empty::before {
  content: 'None yet.';
  color: var(--quiet);
}
.failed {
  color: var(--bad);
}
`;
