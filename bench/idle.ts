// How much memory does a session hold that says nothing?
//
//   node bench/idle.ts [--proxy haproxy,pipe,postern] [--quick]
//
// Sessions are opened until there are 1 000, then 10 000 (or as many as half the file descriptors allow), each past its
// EHLO; then nothing, and the resident memory of the proxy is read. Per session = growth from the first mark to the
// second, so that what a first thousand warms up does not count. The goals: 10 KB each, 200 MB for 10 000.
// The kernel's socket buffers are not in these figures, of no proxy.

import type { Socket } from 'node:net';
import { openUpTo, sessionsPossible } from './harness/idle-sessions.ts';
import { residentBytes } from './harness/processes.ts';
import { chosenProxies, type ProxyName, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, figure, printMachine, printTable, readFlags } from './harness/report.ts';
import { MissingTool } from './harness/tools.ts';

const MARK = 1_000;
const SPARE_CONNECTIONS = 100;
const SETTLE_MS = 4_000;

async function settledBytes(pid: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return residentBytes(pid);
}

async function measure(name: ProxyName, count: number, flags: Flags): Promise<string[]> {
  const connections = count + SPARE_CONNECTIONS;
  const sink = await startSink(connections);
  const proxy = await startProxy(name, sink.port, flags, { connections });
  const sockets: Socket[] = [];
  try {
    const none = await settledBytes(proxy.pid);
    await openUpTo(sockets, MARK, proxy.port);
    const mark = await settledBytes(proxy.pid);
    await openUpTo(sockets, count, proxy.port);
    const all = await settledBytes(proxy.pid);
    const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
    const each = (all - mark) / (count - MARK) / 1000;
    for (const [unit, value] of [
      ['MB at 0', none / 1e6],
      ['MB at all', all / 1e6],
      ['KB/session', each],
    ] as const) {
      figure({ load: 'idle', proxy: name, unit, rounds: [value] });
    }
    return [name, String(count), megabytes(none), megabytes(mark), megabytes(all), each.toFixed(1)];
  } finally {
    for (const socket of sockets) socket.removeAllListeners('close').destroy();
    await proxy.stop();
    await sink.stop();
  }
}

try {
  const flags = readFlags();
  const count = flags.quick ? 2 * MARK : sessionsPossible();
  const names = chosenProxies(flags);
  const rows: string[][] = [];
  for (const name of names) rows.push(await measure(name, count, flags));
  printMachine();
  printTable(['proxy', 'sessions', 'MB at 0', `MB at ${MARK}`, 'MB at all', 'KB per session'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
