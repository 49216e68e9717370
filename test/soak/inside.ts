// `node --import` of this: what the soak has inside Postern. It measures each thread's memory, collects garbage, and lets workers die.
//
// The product has no such hooks and needs none: whoever makes threads makes them through `node:worker_threads`. Every few
// seconds the first thread writes what all threads last told into POSTERN_SOAK_MEMORY. SIGUSR2: one of the workers dies, as if it had
// crashed. SIGWINCH: each thread collects all its garbage and tells anew, so that what is really alive can be compared.

import { writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import threads, { BroadcastChannel } from 'node:worker_threads';

const EVERY_MS = 5000;
const MIB = 1024 * 1024;

/** Of one thread, in MiB. */
export interface ThreadMemory {
  readonly thread: number;
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
}

function ofThisThread(): ThreadMemory {
  const { heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const [total = 0, used = 0, outside = 0, buffers = 0] = [heapTotal, heapUsed, external, arrayBuffers].map(
    (octets) => Math.round((octets / MIB) * 10) / 10,
  );
  return { thread: threads.threadId, heapTotal: total, heapUsed: used, external: outside, arrayBuffers: buffers };
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

const alive = new Set<threads.Worker>();
const told = new Map<number, ThreadMemory>();

class Watched extends threads.Worker {
  constructor(...args: ConstructorParameters<typeof threads.Worker>) {
    super(...args);
    const thread = this.threadId;
    alive.add(this);
    this.once('exit', () => {
      alive.delete(this);
      told.delete(thread);
    });
  }
}

const file = process.env.POSTERN_SOAK_MEMORY;
const channel = new BroadcastChannel('postern-soak');

if (threads.isMainThread) {
  threads.Worker = Watched as typeof threads.Worker;
  syncBuiltinESMExports();
  const isAlive = (thread: number): boolean => [...alive].some(({ threadId }) => threadId === thread);
  const write = (): void => {
    told.set(0, ofThisThread());
    if (file !== undefined) writeFileSync(file, JSON.stringify([...told.values()]));
  };
  channel.onmessage = (event) => {
    const memory = event.data as ThreadMemory;
    if (isAlive(memory.thread)) told.set(memory.thread, memory);
  };
  setInterval(write, EVERY_MS).unref();
  process.on('SIGUSR2', () => {
    const [first] = [...alive].toSorted(() => Math.random() - 0.5);
    void first?.terminate();
  });
  process.on('SIGWINCH', () => {
    channel.postMessage('collect');
    collect();
  });
} else {
  const tell = (): void => channel.postMessage(ofThisThread());
  channel.onmessage = (event) => {
    if (event.data !== 'collect') return; // another worker tells
    collect();
    tell();
  };
  setInterval(tell, EVERY_MS).unref();
}
channel.unref();
