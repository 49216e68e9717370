// What does a counter cost that worker threads share: asked of the main thread over a port, or taken in shared memory?
//
//   node bench/counters.ts [--seconds 2]
//
// One question is one bucket of one source charged, as a MAIL with a rate does; 10 000 sources in turn. `own` is what one
// thread does by itself, `port` what workers do (limits/remote-store.ts before the memory store of the main thread). `shared`
// is the alternative at its best: a table of fixed size in a SharedArrayBuffer, a spin lock for every eight slots, keys
// hashed, no bans, no connections and no way to list them.
// In flight: one question, so that the time is one session's wait; or 64 of 64 sessions.

import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { MemoryStore } from '../src/limits/memory-store.ts';
import { RemoteStore, type StoreCalls, StoreServer } from '../src/limits/remote-store.ts';
import type { Asked, Store } from '../src/limits/store.ts';
import { WorkerChannel } from '../src/serve/worker-channel.ts';
import { printMachine, printTable } from './harness/report.ts';

const SOURCES = 10_000;
const LIMIT = 1_000_000_000; // a rate that nobody reaches
const WINDOW = 60_000;
const BUSY = 64;
const BUCKETS = 1 << 14;
const SLOTS = 8;

const names = Array.from({ length: SOURCES }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);

function askedOf(name: string): Asked {
  return {
    networks: [name],
    charges: [{ key: `source.message_rate\0${name}`, limit: LIMIT, window: WINDOW, cost: 1 }],
    strike: null,
  };
}

/** The alternative: eight slots with one lock to a bucket; the slot that is empty first gives way. */
class SharedCounters {
  readonly #locks: Int32Array;
  readonly #keys: Int32Array;
  readonly #emptyAt: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#emptyAt = new Float64Array(memory, 0, BUCKETS * SLOTS);
    this.#keys = new Int32Array(memory, BUCKETS * SLOTS * 8, BUCKETS * SLOTS);
    this.#locks = new Int32Array(memory, BUCKETS * SLOTS * 12, BUCKETS);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(BUCKETS * SLOTS * 12 + BUCKETS * 4);
  }

  take(name: string): boolean {
    const key = hash(name);
    const bucket = key & (BUCKETS - 1);
    while (Atomics.compareExchange(this.#locks, bucket, 0, 1) !== 0);
    let slot = bucket * SLOTS;
    for (let at = slot; at < bucket * SLOTS + SLOTS; at++) {
      if (this.#keys[at] === key) {
        slot = at;
        break;
      }
      if ((this.#emptyAt[at] as number) < (this.#emptyAt[slot] as number)) slot = at;
    }
    const now = Date.now();
    const next = Math.max(this.#keys[slot] === key ? (this.#emptyAt[slot] as number) : 0, now) + WINDOW / LIMIT;
    this.#keys[slot] = key;
    if (next - now <= WINDOW) this.#emptyAt[slot] = next;
    Atomics.store(this.#locks, bucket, 0);
    return next - now <= WINDOW;
  }
}

function hash(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h;
}

interface Order {
  readonly way: 'own' | 'port' | 'shared';
  readonly inFlight: number;
  readonly ms: number;
  readonly memory: SharedArrayBuffer;
}

interface Done {
  readonly questions: number;
  /** Microseconds; of one question in 64, so that the clock is not what is measured. */
  readonly waits: readonly number[];
}

async function ask({ way, inFlight, ms, memory }: Order, store: Store): Promise<Done> {
  const shared = new SharedCounters(memory);
  const own = new MemoryStore();
  const until = performance.now() + ms;
  const waits: number[] = [];
  let questions = 0;
  const next = (): string => names[questions++ % SOURCES] as string;
  if (way !== 'port') {
    while (performance.now() < until) {
      const before = performance.now();
      if (way === 'shared') for (let i = 0; i < 64; i++) shared.take(next());
      else for (let i = 0; i < 64; i++) own.take(askedOf(next()), before);
      waits.push(((performance.now() - before) * 1000) / 64);
    }
    return { questions, waits };
  }
  const one = async (): Promise<void> => {
    for (let turn = 0; ; turn++) {
      const before = performance.now();
      await store.take(askedOf(next()), before);
      const now = performance.now();
      if (inFlight === 1 || turn % 64 === 0) waits.push((now - before) * 1000);
      if (now >= until) return;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  return { questions, waits };
}

function percentile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
}

async function measure(order: Order, threads: number): Promise<string[]> {
  const store = new MemoryStore();
  const lines = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: order });
    const done = new Promise<Done>((resolve) => {
      const tenant = new StoreServer(store, () => performance.now());
      new WorkerChannel(worker, { ...tenant.calls, done: (found: Done) => resolve(found) });
    });
    return { worker, done };
  });
  const cpu = process.cpuUsage();
  const found = await Promise.all(lines.map(({ done }) => done));
  const { user, system } = process.cpuUsage(cpu);
  await Promise.all(lines.map(({ worker }) => worker.terminate()));
  const questions = found.reduce((sum, one) => sum + one.questions, 0);
  const waits = found.flatMap((one) => one.waits).sort((a, b) => a - b);
  return [
    order.way,
    String(threads),
    order.way === 'port' ? String(order.inFlight) : '–',
    percentile(waits, 0.5).toFixed(2),
    percentile(waits, 0.99).toFixed(2),
    String(Math.round(questions / (order.ms / 1000))),
    ((user + system) / questions).toFixed(2),
  ];
}

if (isMainThread) {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '2' } } });
  const memory = SharedCounters.memory();
  const rows: string[][] = [];
  for (const threads of [1, 2, 4]) {
    for (const [way, inFlight] of [
      ['own', 1],
      ['port', 1],
      ['port', BUSY],
      ['shared', 1],
    ] as const) {
      rows.push(await measure({ way, inFlight, ms: Number(values.seconds) * 1000, memory }, threads));
    }
  }
  printMachine();
  printTable(['way', 'threads', 'in flight', 'p50 µs', 'p99 µs', 'questions/s', 'CPU µs each'], rows);
} else if (parentPort !== null) {
  const line = new WorkerChannel<StoreCalls & { done(found: Done): void }>(parentPort, {});
  const store = new RemoteStore(line);
  await ask({ ...(workerData as Order), ms: 300 }, store); // V8 compiles
  line.tell('done', await ask(workerData as Order, store));
}
