// What does TLS towards clients cost, beside HAProxy's, in front of the same sink?
//
//   node bench/tls.ts [--rounds 3] [--load new,resumed,mail] [--proxy haproxy,postern] [--quick]
//
// Both listen for TLS at once (implicit), with one P-256 certificate, one thread, their own default ciphers: that is TLS 1.3
// with AES-256-GCM for both. A session is handshake, greeting, QUIT; mail is 10 MB a message. HAProxy parses nothing of it.
// CPU is that of the whole load by the slope between a fifth of it and all. The client verifies and costs as much as the proxy, so on two processors the rate says less than the CPU of the proxy.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuMs, output, userMs } from './harness/processes.ts';
import { chosenProxies, type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, figure, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { TIMES } from './harness/slope.ts';
import { MissingTool } from './harness/tools.ts';

interface Load {
  readonly count: number;
  readonly sessions: number;
}

const LOADS: Readonly<Record<string, Load>> = {
  new: { count: 2000, sessions: 10 },
  resumed: { count: 2000, sessions: 10 },
  mail: { count: 50, sessions: 4 },
};
const MESSAGE_OCTETS = 10_000_000;
const CLIENT = `${import.meta.dirname}/harness/tls-client.ts`;

interface Sample {
  readonly cpu: number;
  readonly user: number;
  readonly seconds: number;
  readonly sessions: number;
  readonly octets: number;
}

/** A certificate that signs itself, for local.example; `both` is what HAProxy reads. */
function makeCertificate(folder: string): { cert: string; key: string; both: string } {
  const [cert, key, both] = ['cert.pem', 'key.pem', 'both.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=local.example', '-addext', 'subjectAltName=DNS:local.example'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, '-days', '2', '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  writeFileSync(both, readFileSync(cert, 'latin1') + readFileSync(key, 'latin1'));
  return { cert, key, both };
}

async function send(kind: string, { count, sessions }: Load, cert: string, to: Running): Promise<Sample> {
  const [before, userBefore] = [cpuMs(to.pid), userMs(to.pid)];
  const args = [CLIENT, String(to.port), cert, kind, String(count), String(sessions)];
  const sample = JSON.parse(await output(process.execPath, args, process.env));
  return { ...sample, cpu: cpuMs(to.pid) - before, user: userMs(to.pid) - userBefore };
}

async function measure(kind: string, load: Load, flags: Flags): Promise<string[][]> {
  const names = chosenProxies(flags).filter((name) => name !== 'pipe');
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  const tls = makeCertificate(folder);
  const sink = await startSink();
  const proxies: Running[] = [];
  const samples = new Map<string, Sample[]>(names.map((name) => [name, []]));
  try {
    for (const name of names) proxies.push(await startProxy(name, sink.port, flags, { tls }));
    for (const proxy of proxies) await send(kind, load, tls.cert, proxy);
    for (let round = 0; round < flags.rounds; round++) {
      for (const proxy of inTurn(proxies, round)) {
        const count = Math.ceil(load.count / TIMES);
        const few = await send(kind, { ...load, count }, tls.cert, proxy);
        const many = await send(kind, load, tls.cert, proxy);
        const ofAll = (few: number, many: number): number => ((many - few) * load.count) / (load.count - count); // by the slope
        samples.get(proxy.name)?.push({ ...many, cpu: ofAll(few.cpu, many.cpu), user: ofAll(few.user, many.user) });
      }
    }
  } finally {
    for (const proxy of [...proxies, sink]) await proxy.stop();
    rmSync(folder, { recursive: true });
  }
  const cost = (of: readonly Sample[]) => median(of.map(({ cpu }) => cpu));
  const floor = samples.get('haproxy');
  for (const [proxy, of] of samples) {
    const [unit, each] = kind === 'mail' ? ['MB', (load.count * MESSAGE_OCTETS) / 1e6] : ['session', load.count];
    figure({ load: kind, proxy, unit: `CPU µs/${unit}`, rounds: of.map(({ cpu }) => (cpu * 1000) / each) });
  }
  return [...samples].map(([name, of]) => [
    kind,
    name,
    of.map(({ cpu }) => cpu.toFixed(0)).join(' '),
    median(of.map(({ user }) => user)).toFixed(0),
    floor === undefined ? '–' : (cost(of) / cost(floor)).toFixed(2),
    ...(kind === 'mail'
      ? [
          `${((cost(of) * 1000) / median(of.map(({ octets }) => octets / 1e6))).toFixed(0)} µs/MB`,
          `${median(of.map(({ octets, seconds }) => octets / 1e6 / seconds)).toFixed(0)} MB/s`,
        ]
      : [
          `${((cost(of) * 1000) / load.count).toFixed(0)} µs/session`,
          `${median(of.map(({ sessions, seconds }) => sessions / seconds)).toFixed(0)} sessions/s`,
        ]),
  ]);
}

try {
  const flags = readFlags();
  const rows: string[][] = [];
  for (const [kind, load] of Object.entries(LOADS)) {
    if (flags.load.length > 0 && !flags.load.includes(kind)) continue;
    const count = flags.quick ? Math.ceil(load.count / 10) : load.count;
    rows.push(...(await measure(kind, { ...load, count }, flags)));
  }
  printMachine();
  printTable(['load', 'proxy', 'CPU ms, each round', 'of it user', '÷ HAProxy', 'CPU', 'rate'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
