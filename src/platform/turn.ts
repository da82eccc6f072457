/** @file A turn of the event loop, so that long loops stay open to messages, timers and aborts. */

type Resume = () => void;

const waiting: Resume[] = [];
let channel: MessageChannel | undefined;

/**
 * Resolves in a later turn of the event loop: messages and timers that are due come first. Browsers hold nested timers back
 * for 4 ms, so a message to oneself stands in for one there; a turn costs some 20 µs.
 */
export function turn(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve));
  channel ??= openChannel();
  const { port2 } = channel;
  return new Promise((resolve) => {
    waiting.push(resolve);
    port2.postMessage(undefined);
  });
}

function openChannel(): MessageChannel {
  const opened = new MessageChannel();
  opened.port1.onmessage = () => waiting.shift()?.();
  return opened;
}
