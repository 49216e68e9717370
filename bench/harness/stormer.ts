// Clients that connect as quickly as they can, in a process of their own.
//
//   node bench/harness/stormer.ts PORT COUNT AT_ONCE      prints {"greeted", "refused", "seconds", "p50", "p99", "last"}
//
// Each connects, waits for the greeting, says QUIT and waits for the end. COUNT of them, AT_ONCE at a time; times are
// milliseconds from connect to greeting. Refused: no 220 came.

import { connect } from 'node:net';
import { percentile } from './report.ts';

const [port = 0, count = 0, atOnce = 0] = process.argv.slice(2).map(Number);
const times: number[] = [];
let refused = 0;
let left = count;

function session(): Promise<void> {
  const begin = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let greeted = false;
    socket.on('data', (chunk: Buffer) => {
      if (greeted || !chunk.toString('latin1').startsWith('220')) return;
      greeted = true;
      times.push(performance.now() - begin);
      socket.end('QUIT\r\n');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (!greeted) refused++;
      resolve();
    });
  });
}

async function work(): Promise<void> {
  while (left-- > 0) await session();
}

const begin = performance.now();
await Promise.all(Array.from({ length: atOnce }, work));
const seconds = (performance.now() - begin) / 1000;
times.sort((a, b) => a - b);
const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
console.log(JSON.stringify({ greeted: times.length, refused, seconds, p50, p99, last: times.at(-1) ?? 0 }));
