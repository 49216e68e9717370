// What does an honest client wait for beside a hundred that mean harm, and how much memory do they take?
//
//   node bench/fairness.ts [--load refused,hang-up,…] [--proxy haproxy,postern] [--quick]
//
// One honest client says RCPT and RSET, one at a time, to a server behind the proxy; beside it a hundred connections from one
// address flood in one way each (harness/flooder.ts). The goal: p99 ≤ 5 ms on two cores, resident memory ≤ 250 MB. Floods that
// the proxy ends are begun again at once. They would come from other machines, so here they have what processor is left over.
// HAProxy hands everything on, so that there the server behind is flooded as well.

import { connect } from 'node:net';
import { setPriority } from 'node:os';
import { residentBytes, start, stop } from './harness/processes.ts';
import { chosenProxies, type ProxyName, startFairSink, startProxy } from './harness/proxies.ts';
import { type Flags, percentile, printMachine, printTable, readFlags } from './harness/report.ts';
import { MissingTool } from './harness/tools.ts';

const FLOODS = [
  ...['none', 'refused', 'accepted', 'data-in-vain', 'bdat-in-vain', 'unknown', 'noop', 'one-by-one', 'octets'],
  ...['deaf', 'deaf-mail-data', 'mail-data', 'dots', 'long-line', 'silent', 'hang-up', 'helo-hang-up'],
] as const;
const CONNECTIONS = 100;
const SECONDS = 4;
const FLOODER = `${import.meta.dirname}/harness/flooder.ts`;

/** Milliseconds of each command of one honest client, sorted; one that is never answered counts for what it waited. */
function honest(port: number, seconds: number): Promise<Float64Array> {
  const times: number[] = [];
  const until = performance.now() + seconds * 1000;
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.3.0.1', noDelay: true });
    const end = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Float64Array.from(times).sort());
    };
    const timer = setTimeout(
      () => {
        times.push(performance.now() - (said === 0 ? begun : said));
        end();
      },
      (seconds + 2) * 1000,
    );
    const script = ['EHLO honest.example', 'MAIL FROM:<a@sender.example>'];
    let said = 0;
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!/^\d\d\d [^\n]*\n$/m.test(text)) return;
      text = '';
      const now = performance.now();
      times.push(now - (said === 0 ? begun : said)); // the first: its greeting
      if (now > until) {
        end();
        return;
      }
      said = performance.now();
      if (script.length === 0) script.push('RCPT TO:<b@local.example>', 'RSET', 'MAIL FROM:<a@sender.example>');
      socket.write(`${script.shift()}\r\n`);
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the honest client was closed')));
  });
}

async function measure(flood: string, name: ProxyName, flags: Flags): Promise<string[]> {
  const sink = await startFairSink();
  const proxy = await startProxy(name, sink.port, flags, { connections: 4 * CONNECTIONS });
  const seconds = flags.quick ? 1 : SECONDS;
  const args = [FLOODER, String(proxy.port), flood, String(CONNECTIONS), String(seconds + 3)];
  const flooder = flood === 'none' ? null : start(process.execPath, args);
  if (flooder?.pid !== undefined) setPriority(flooder.pid, 19);
  try {
    await new Promise((resolve) => setTimeout(resolve, 1000)); // they are all there
    const times = await honest(proxy.port, seconds);
    const memory = residentBytes(proxy.pid) / 1e6;
    const wait = (share: number) => percentile(times, share).toFixed(2);
    return [flood, name, wait(0.5), wait(0.99), wait(1), memory.toFixed(0)];
  } catch (error) {
    return [flood, name, '–', error instanceof Error ? error.message : String(error), '–', '–'];
  } finally {
    if (flooder !== null) await stop(flooder);
    await proxy.stop();
    await sink.stop();
  }
}

try {
  const flags = readFlags();
  const rows: string[][] = [];
  for (const flood of FLOODS) {
    if (flags.load.length > 0 && !flags.load.includes(flood)) continue;
    for (const name of chosenProxies(flags))
      if (name !== 'pipe') {
        const row = await measure(flood, name, flags);
        console.error(row.join(' '));
        rows.push(row);
      }
  }
  printMachine();
  printTable(['flood', 'proxy', 'p50 ms', 'p99 ms', 'worst ms', 'resident MB'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
