// What does a question to the counters cost, and does it cost more, in time or in memory, after ten million sources?
//
//   node --expose-gc bench/limits.ts [--quick]     --quick: one million
//
// The counters of this process by default, at their default size. Each source asks once, as a message does: three buckets of
// the source and one of its sender. Then one flooder among fresh sources: it must be refused, however many come between.

import { bucketKey } from '../src/limits/keys.ts';
import { MemoryStore } from '../src/limits/memory-store.ts';
import type { Asked } from '../src/limits/store.ts';
import { printMachine, printTable, readFlags } from './harness/report.ts';

const HOUR = 3_600_000;
const { quick } = readFlags();
const SOURCES = quick ? 1_000_000 : 10_000_000;
const STEP = SOURCES / 10;

function question(n: number): Asked {
  const source = `${(n >>> 24) & 255}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}/32`;
  return {
    networks: [source],
    charges: [
      { key: bucketKey('source', 'message_rate', 'internet', source), limit: 120, window: HOUR, cost: 1 },
      { key: bucketKey('source', 'byte_rate', 'internet', source), limit: 2 ** 30, window: HOUR, cost: 0 },
      { key: bucketKey('source', 'rejected_recipient_rate', 'internet', source), limit: 60, window: HOUR, cost: 0 },
      {
        key: bucketKey('sender', 'message_rate', 'internet', `user${n}@sender.example`),
        limit: 60,
        window: HOUR,
        cost: 1,
      },
    ],
    strike: null,
  };
}

function mebibytes(): string[] {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return [heapUsed, rss].map((octets) => (octets / 2 ** 20).toFixed(0));
}

const store = new MemoryStore();
const flooder = question(0xffffffff);
for (let i = 0; i < 120; i++) store.take(flooder, 0);
let leaked = 0;
const rows: string[][] = [];
for (let from = 0; from < SOURCES; from += STEP) {
  const began = process.cpuUsage();
  for (let n = from; n < from + STEP; n++) store.take(question(n), 0);
  const { user, system } = process.cpuUsage(began);
  const ns = ((user + system) * 1e3) / STEP;
  if (store.take(flooder, 0).refused === -1) leaked++;
  rows.push([`${((from + STEP) / 1e6).toFixed(1)} million`, ns.toFixed(0), `${store.size}`, ...mebibytes()]);
}
printMachine();
printTable(['sources so far', 'CPU ns a question', 'buckets kept', 'heap MiB', 'resident MiB'], rows);
console.log(`\nA flooder that asked once in every ${STEP} questions was let pass ${leaked} times.`);
