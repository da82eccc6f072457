/** @file A command with all its children: wall time, processor time, and the most memory of all of them together. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

const read = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It ended meanwhile.
    return '';
  }
};

/** Processes below `root`, itself included. */
function tree(root) {
  const children = new Map();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = read(`/proc/${pid}/stat`);
    const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const all = [];
  for (const queue = [String(root)]; queue.length > 0;) {
    const pid = queue.pop();
    all.push(pid);
    queue.push(...(children.get(pid) ?? []));
  }
  return all;
}

const field = (text, name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;

/**
 * Runs a command. Memory is sampled every `everyMs`: `rss` adds up the resident bytes of all processes, `private` what is not shared
 * between them and their files. Processor time is that of all children that were waited for.
 */
export async function measured(command, args, { everyMs = 25, env = process.env, memory = true } = {}) {
  const started = performance.now();
  // The shell stays and tells the times of its children.
  const child = spawn('/bin/bash', ['-c', '"$@"; code=$?; times >&2; exit $code', 'bash', command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  const peak = { rss: 0, private: 0, processes: 0, largest: 0 };
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => (out += text));
  child.stderr.on('data', (text) => (err += text));
  const sample = () => {
    const seen = tree(child.pid)
      .map((pid) => ({ pid, status: read(`/proc/${pid}/status`) }))
      .map(({ pid, status }) => ({
        pid,
        rss: field(status, 'VmRSS'),
        own: field(status, 'RssAnon') + field(status, 'RssShmem'),
      }))
      .filter(({ rss }) => rss > 0);
    peak.rss = Math.max(
      peak.rss,
      seen.reduce((sum, { rss }) => sum + rss, 0),
    );
    peak.private = Math.max(
      peak.private,
      seen.reduce((sum, { own }) => sum + own, 0),
    );
    peak.largest = Math.max(peak.largest, ...seen.map(({ rss }) => rss));
    peak.processes = Math.max(peak.processes, seen.length);
  };
  const timer = memory ? setInterval(sample, everyMs) : undefined;
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  const seconds = (performance.now() - started) / 1000;
  const times = [...err.matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, rest]) => 60 * Number(minutes) + Number(rest));
  return { code, seconds, cpuSeconds: (times.at(-2) ?? 0) + (times.at(-1) ?? 0), peak, out, err };
}
