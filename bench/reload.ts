// How long does a reload hold up the sessions beside it?
//
//   node bench/reload.ts [--entries 1000000] [--list valid_recipients,users,domains,addresses,ranges] [--inline] [--workers 1,2]
//
// Postern with a list file of so many entries (`--inline`: they stand in the YAML), and four clients that have one session after
// the other, each of one refused recipient. When it has been quiet for two seconds the file is written anew and SIGHUP sent ten
// times in a second. Told: the longest delay of the event loop of any thread, by perf_hooks.monitorEventLoopDelay, and the
// longest session, in quiet and up to the last `reloaded`; how many reloads it were and how long they took; memory.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { UpstreamStandIn } from '../test/helpers/upstream-stand-in.ts';
import { freePort, listening, residentBytes, start, stop } from './harness/processes.ts';
import { builtMain } from './harness/program.ts';
import { printMachine, printTable } from './harness/report.ts';

const MAIN = builtMain();
const PRELOAD = join(import.meta.dirname, 'harness/loop-delay.ts');
const CLIENTS = 4;
const QUIET_MS = 2_000;
const SIGNALS = 10;
const SIGNAL_EVERY_MS = 100;

type Row = { readonly entry: (i: number) => string; readonly policy: (list: string[]) => object };

const rule = (conditions: object): object => ({ rules: [{ allow: conditions }] });

const LISTS: Readonly<Record<string, Row>> = {
  valid_recipients: { entry: address, policy: () => ({ valid_recipients: { file: 'list.txt' } }) },
  users: { entry: (i) => `CORP\\user${i}`, policy: (users) => rule({ users }) },
  domains: { entry: (i) => `d${i}.example`, policy: (recipient_domains) => rule({ recipient_domains }) },
  addresses: { entry: address, policy: (recipients) => rule({ recipients, authenticated: true }) },
  ranges: {
    entry: (i) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
    policy: (sources) => rule({ sources }),
  },
};

function address(i: number): string {
  return `user${i}.name@mail${i % 1000}.example.com`;
}

/** One session after the other until `isOver`; tells how long each took. */
async function visit(port: number, isOver: () => boolean, took: (ms: number) => void): Promise<void> {
  while (!isOver()) {
    const begin = performance.now();
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      const lines = ['EHLO c', 'MAIL FROM:<a@sender.example>', 'RCPT TO:<x@foreign.example>', 'QUIT'];
      socket.on('data', (data) => {
        if (/^\d{3} .*\r\n$/m.test(data.toString())) socket.write(`${lines.shift() ?? 'NOOP'}\r\n`);
      });
      socket.on('error', reject);
      socket.on('close', () => resolve());
    });
    took(performance.now() - begin);
  }
}

async function measure(list: string, entries: number, workers: number, inline: boolean): Promise<string[]> {
  const { entry, policy } = LISTS[list] as Row;
  const folder = mkdtempSync(join(tmpdir(), 'postern-reload-'));
  const upstream = await UpstreamStandIn.listen({ dialect: 'strict' });
  const port = await freePort();
  const all = Array.from({ length: entries }, (_, i) => entry(i));
  const { rules = [], ...more } = policy(inline ? all : ['file:list.txt']) as { rules?: object[] };
  const connectors = [{ name: 'internet', remote_ip_ranges: ['any'], rules }];
  const config = {
    listeners: [{ bind: [`127.0.0.1:${port}`] }],
    upstream: { servers: [`127.0.0.1:${upstream.port}`] },
    policy: { version: 1, accepted_domains: ['example.com'], user_domains: {}, connectors, ...more },
    admin: null,
    workers,
    lost_address_guard: 'warn',
  };
  const write = (): void => {
    writeFileSync(join(folder, 'list.txt'), `${all.join('\n')}\n`);
    writeFileSync(join(folder, 'postern.yaml'), JSON.stringify(config));
  };
  write();
  const delays = join(folder, 'delays');
  writeFileSync(delays, '');
  const child = start(process.execPath, ['--import', PRELOAD, MAIN, 'run', '--config', join(folder, 'postern.yaml')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LOOP_DELAY: delays },
  });
  let log = '';
  child.stdout?.on('data', (text) => {
    log += text;
  });
  const reloads = (): number => log.split('"msg":"reloaded"').length - 1;
  try {
    while (!log.includes('"msg":"listening"')) {
      if (child.exitCode !== null) throw new Error('it did not start');
      await pause(20);
    }
    await listening(port, child);
    await pause(500);
    const worst = { quiet: 0, reload: 0 };
    let phase: keyof typeof worst = 'quiet';
    let over = false;
    const visits = Array.from({ length: CLIENTS }, () =>
      visit(
        port,
        () => over,
        (ms) => {
          worst[phase] = Math.max(worst[phase], ms);
        },
      ),
    );
    const from = Date.now();
    await pause(QUIET_MS);
    const signalled = Date.now();
    phase = 'reload';
    for (let i = 0; i < SIGNALS; i++) {
      child.kill('SIGHUP');
      await pause(SIGNAL_EVERY_MS);
    }
    let last = 0;
    while (last !== reloads() || last < 1) {
      last = reloads();
      await pause(Math.max(1000, Date.now() - signalled)); // as long again as it took so far, in which another would end
    }
    const [{ time = '' } = {}] = log
      .split('\n')
      .filter((line) => line.includes('"msg":"reloaded"'))
      .slice(-1)
      .map((line) => JSON.parse(line) as { time: string });
    const done = Date.parse(time);
    over = true;
    await Promise.all(visits);
    const between = (a: number, b: number): string => {
      const rows = readFileSync(delays, 'utf8')
        .split('\n')
        .map((row) => row.split(' ').map(Number) as [number, number, number]);
      return Math.max(0, ...rows.filter(([at]) => at > a && at <= b).map(([, , ms]) => ms)).toFixed(1);
    };
    const count = reloads();
    const seconds = ((done - signalled) / 1000).toFixed(1);
    const memory = (residentBytes(child.pid as number) / 2 ** 20).toFixed(0);
    return [
      `${entries} ${list}${inline ? ' in the YAML' : ''}`,
      String(workers),
      between(from + 500, signalled),
      between(signalled, done + 500),
      worst.quiet.toFixed(1),
      worst.reload.toFixed(1),
      `${count} in ${seconds} s`,
      memory,
    ];
  } finally {
    await stop(child);
    await upstream.close();
    rmSync(folder, { recursive: true });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '1000000' },
    list: { type: 'string', default: 'valid_recipients' },
    workers: { type: 'string', default: '1,2' },
    inline: { type: 'boolean', default: false },
  },
});
printMachine();
const rows: string[][] = [];
for (const list of values.list.split(','))
  for (const workers of values.workers.split(','))
    rows.push(await measure(list, Number(values.entries), Number(workers), values.inline));
printTable(['list', 'workers', 'delay quiet ms', 'at reload', 'session quiet ms', 'at reload', 'reloads', 'MiB'], rows);
