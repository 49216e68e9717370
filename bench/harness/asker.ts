// Asks an admin port the same question again and again, in a process of its own, and prints how many milliseconds each answer took.
//
//   node bench/harness/asker.ts URL SECONDS EVERY_MS      prints {"times": [...], "octets": of the last answer}
//
// What it is told it counts and does not read, so that its work is not the firewall's.

import { Agent, get } from 'node:http';
import { setPriority } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

// It would be on another machine: here it has what processor is left over.
setPriority(19);
const [url = '', seconds = '', every = ''] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const times: number[] = [];
let octets = 0;

function ask(): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      octets = 0;
      response.on('data', (chunk: Buffer) => {
        octets += chunk.length;
      });
      response.on('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${url}: ${response.statusCode}`)),
      );
    }).on('error', reject);
  });
}

const until = performance.now() + Number(seconds) * 1000;
while (performance.now() < until) {
  const begin = performance.now();
  await ask();
  times.push(performance.now() - begin);
  await pause(Math.max(0, Number(every) - (performance.now() - begin)));
}
agent.destroy();
console.log(JSON.stringify({ times, octets }));
