/** @file The look of reports: one style sheet for pages and plots, light and dark, screens from phones up, and paper. */

/** Colours of plots and pages. Every text pair has a contrast of at least 4.5:1, every mark one of at least 3:1. */
const light = `--page:#f6f7f9;--card:#ffffff;--text:#17202b;--quiet:#526070;--rule:#dde2e8;--grid:#e8ecf1;--good:#14703a;--bad:#b42318;--accent:#0b63bd;--s0:#0b63bd;--s1:#c2410c;--s2:#14793c;--s3:#7c3aed;--s4:#8a5a00;--s5:#64748b;`;
const dark = `--page:#0e1319;--card:#161d26;--text:#e6ebf1;--quiet:#a3b0bf;--rule:#2c3644;--grid:#242d39;--good:#5ad48a;--bad:#ff8f85;--accent:#6cb2ff;--s0:#6cb2ff;--s1:#ff9e64;--s2:#5ad48a;--s3:#c4a7ff;--s4:#e5c07b;--s5:#94a3b8;`;

const series = [0, 1, 2, 3, 4, 5]
  .map(
    (i) =>
      `.plot .l.s${i}{stroke:var(--s${i})}.plot .m.s${i}{fill:var(--s${i});stroke:var(--s${i})}.plot .b.s${i}{fill:var(--s${i})}`,
  )
  .join('');

/** Styles of everything inside a plot. */
const plots = `.plot{display:block;max-width:100%;height:auto;font-family:inherit}
.plot text{fill:var(--text);font-size:12px}
.plot .tick,.plot .value{font-size:11px;fill:var(--quiet);font-variant-numeric:tabular-nums}
.plot .name{font-size:12px;fill:var(--quiet)}
.plot .point{font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}
.plot .grid{stroke:var(--grid)}.plot .axis{stroke:var(--quiet)}
.plot .guide{stroke:var(--quiet);stroke-dasharray:3 4}
.plot .l{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.plot .l.dashed{stroke-dasharray:5 4;stroke-width:1.5}
${series}
.plot .m.hollow{fill:var(--card);stroke-width:2}.plot .m.cross{fill:none;stroke-width:2.5;stroke-linecap:round}.plot .faint{opacity:.45}`;

const pages = `*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:820px;margin:0 auto;padding:28px 16px 48px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;line-height:1.3;margin:0 0 4px}
h3{font-size:14px;margin:18px 0 6px}
p{margin:0 0 10px}.lead{color:var(--quiet);margin-bottom:20px}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:18px 20px;margin:0 0 16px}
section>p:first-of-type{color:var(--quiet)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 16px}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:24px;line-height:1.2;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.tile small{font-size:14px;font-weight:600;letter-spacing:0}
.tile .what{color:var(--quiet);font-size:13px;display:block;margin-bottom:4px}
.tile .more{font-size:13px;display:block;margin-top:2px}
.good{color:var(--good)}.bad{color:var(--bad)}.quiet{color:var(--quiet)}
.scroll{overflow-x:auto;margin:0 -20px;padding:0 20px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;color:var(--quiet);font-size:13px;white-space:nowrap}
td.n,th.n{text-align:right;white-space:nowrap}th:last-child,td:last-child{padding-right:0}
td:first-child{white-space:nowrap}tbody tr:last-child td{border-bottom:0}tr.ours td{font-weight:600}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0;font-size:14px}
dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:8px 28px}
.wide{display:block}.narrow{display:none}
.examples{display:flex;flex-wrap:wrap;gap:10px;margin:0;padding:0;list-style:none}
.examples li{width:76px;font-size:12px;line-height:1.3;overflow-wrap:anywhere}
.examples img{display:block;width:76px;height:76px;object-fit:contain;background:var(--grid);border-radius:6px;image-rendering:pixelated;margin-bottom:3px}
.examples li.wrong img{outline:3px solid var(--bad);outline-offset:-3px}
details summary{cursor:pointer;color:var(--accent);font-size:14px;margin-top:8px}
a{color:var(--accent)}a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--page);border:1px solid var(--rule);border-radius:6px;padding:8px 10px;margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
ul.notes{margin:0;padding-left:18px}ul.notes li{margin:3px 0}
footer{color:var(--quiet);font-size:13px}
@media(max-width:620px){.tile{padding:12px}.tile b{font-size:22px}.tile small{font-size:13px}main{padding:18px 10px 32px}section{padding:14px}.scroll{margin:0 -14px;padding:0 14px}.wide{display:none}.narrow{display:block}.pair{grid-template-columns:1fr}h1{font-size:22px}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:6px}}
@media print{section,.tile{break-inside:avoid}body{background:#fff}}`;

/** The style sheet of a page; the reader's system chooses between light and dark. */
export function pageStyle(): string {
  return `:root{color-scheme:light dark;${light}}@media(prefers-color-scheme:dark){:root{${dark}}}\n${pages}\n${plots}`;
}

/** The style sheet of a plot that stands alone in an SVG file. */
export function plotStyle(): string {
  return `svg.plot{${light}font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;background:var(--card)}@media(prefers-color-scheme:dark){svg.plot{${dark}}}\n${plots}`;
}

/**
 * Palette and plots for a page that has rules of its own and lets its reader choose: `data-theme` on the root element is
 * `light` or `dark`, or absent for what the system says.
 */
export function themeStyle(): string {
  return `:root{color-scheme:light dark;${light}}@media(prefers-color-scheme:dark){:root{${dark}}}:root[data-theme=light]{color-scheme:light;${light}}:root[data-theme=dark]{color-scheme:dark;${dark}}\n${plots}`;
}
