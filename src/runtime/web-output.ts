/**
 * @file What onnxruntime-web prints. Its WebAssembly takes `console.log` as it is when it starts, and hands out profiles
 * through it alone; so at that moment it is given a function that can also collect.
 */

/** Lines collected while a profile is handed out; `undefined` at all other times. */
let collected: string[] | undefined;
let starting = 0;
let original: typeof console.log | undefined;

/** Runs what starts a web runtime, so that `collectOutput` sees what that runtime prints from then on. */
export async function whileStarting<T>(start: () => Promise<T>): Promise<T> {
  if (starting++ === 0) {
    const print = console.log;
    original = print;
    console.log = (...line: unknown[]) => {
      if (collected === undefined) print.apply(console, line);
      else collected.push(line.join(' '));
    };
  }
  try {
    return await start();
  } finally {
    if (--starting === 0) console.log = original!;
  }
}

/** The lines that a synchronous job makes the web runtimes print. */
export function collectOutput(job: () => void): readonly string[] {
  const lines: string[] = [];
  collected = lines;
  try {
    job();
  } finally {
    collected = undefined;
  }
  return lines;
}
