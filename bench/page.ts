// Does a page that is left open grow, in the browser or in Postern?
//
//   node bench/page.ts [--minutes 35]
//
// A real Chromium has the status page open, and is not touched. Beside it two sessions a second, each with a message and a refused
// recipient, from a thousand sources in turn, so that every section changes with every event. Every fifth minute: the page's heap
// behind three collections, its nodes and listeners, and what Postern holds: resident memory and file descriptors.

import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type CDPSession, chromium } from 'playwright-core';
import { unpacked } from '../test/real/tools.ts';
import { residentBytes } from './harness/processes.ts';
import { type Running, startFairSink, startProxy } from './harness/proxies.ts';
import { printMachine, printTable, readFlags } from './harness/report.ts';

const EVERY_MINUTES = 5;
const BETWEEN_SESSIONS_MS = 500;
const SOURCES = 1_000;
const DIALOGUE = [
  ...[
    'EHLO client.example',
    'MAIL FROM:<a@sender.example>',
    'RCPT TO:<x@foreign.example>',
    'RCPT TO:<b@local.example>',
  ],
  ...['DATA', 'Subject: hello\r\n\r\nhello\r\n.', 'QUIT'],
];

function session(port: number, number: number): Promise<void> {
  const source = number % SOURCES;
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.2.${source >> 8}.${source & 255}` });
    const lines = [...DIALOGUE];
    socket.on('data', (data) => {
      if (/^\d{3} .*\r\n$/m.test(data.toString('latin1'))) socket.write(`${lines.shift() ?? 'QUIT'}\r\n`);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

async function look(minute: number, devtools: CDPSession, postern: Running): Promise<string[]> {
  for (let i = 0; i < 3; i++) await devtools.send('HeapProfiler.collectGarbage');
  const { nodes, jsEventListeners } = await devtools.send('Memory.getDOMCounters');
  const { usedSize } = await devtools.send('Runtime.getHeapUsage');
  const descriptors = readdirSync(`/proc/${postern.pid}/fd`).length;
  const figures = [(usedSize / 1e6).toFixed(2), nodes, jsEventListeners, (residentBytes(postern.pid) / 1e6).toFixed(0)];
  return [minute, ...figures, descriptors].map(String);
}

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '35' } } });
const executablePath = unpacked('chromium-headless-shell', 'usr/lib/chromium/chromium-headless-shell');
if (executablePath === null) throw new Error('Chromium is missing: test/real/setup.sh unpacks it');
const sink = await startFairSink();
const postern = await startProxy('postern', sink.port, readFlags([]));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${postern.admin}/`);
  const devtools = await page.context().newCDPSession(page);
  const rows: string[][] = [];
  const begun = performance.now();
  const minutes = Number(values.minutes);
  for (let sessions = 0, next = 0; next <= minutes; sessions++) {
    if (performance.now() - begun >= next * 60_000) {
      rows.push(await look(next, devtools, postern));
      console.error(rows.at(-1)?.join(' '));
      next += EVERY_MINUTES;
    }
    await session(postern.port, sessions);
    await pause(BETWEEN_SESSIONS_MS);
  }
  printMachine();
  printTable(['minute', 'page: heap MB', 'nodes', 'listeners', 'Postern: resident MB', 'descriptors'], rows);
} finally {
  await browser.close();
  await postern.stop();
  await sink.stop();
}
