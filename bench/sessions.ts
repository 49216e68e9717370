// What does it cost the sessions that somebody asks for all of them?
//
//   node bench/sessions.ts [--rounds 9] [--proxy postern,other] [--main FILE] [--quick]
//
// As many idle sessions as half the file descriptors allow, 10 000 at most, and one client that says MAIL, RCPTs and RSET, one at a
// time. In turns of two seconds it is measured while nobody asks, and while somebody does: GET /sessions four times a second, with the
// most rows that it gives, as fast as it answers, and GET /status. The goals: an answer within 200 ms, and p99 of the client later by
// 1 ms at most: the median over all rounds of what it is more than in the quiet turn of the same round. Who asks is a process of its own.

import type { Socket } from 'node:net';
import { openUpTo, sessionsPossible } from './harness/idle-sessions.ts';
import { Probe, script } from './harness/probe.ts';
import { output } from './harness/processes.ts';
import { chosenProxies, type ProxyName, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, inTurn, median, percentile, printMachine, printTable, readFlags } from './harness/report.ts';
import { MissingTool } from './harness/tools.ts';

const SECONDS = 2;
const SPARE_CONNECTIONS = 100;
const ASKER = `${import.meta.dirname}/harness/asker.ts`;
const QUIET = 'nobody asks';
const WAYS: Readonly<Record<string, readonly [path: string, every: number] | null>> = {
  [QUIET]: null,
  '/healthz, four a second': ['/healthz', 250],
  '/sessions, four a second': ['/sessions', 250],
  '/sessions, 1 000 rows, four a second': ['/sessions?limit=1000', 250],
  '/sessions, 1 000 rows, without a pause': ['/sessions?limit=1000', 0],
  '/status, four a second': ['/status', 250],
};

interface Found {
  readonly delays: Float64Array;
  readonly answers: readonly number[];
  readonly octets: number;
}

async function measure(probe: Probe, way: (typeof WAYS)[string], admin: number, seconds: number): Promise<Found> {
  const asked =
    way === null || way === undefined
      ? null
      : output(process.execPath, [ASKER, `http://127.0.0.1:${admin}${way[0]}`, String(seconds + 1), String(way[1])], {
          ...process.env,
        });
  await new Promise((resolve) => setTimeout(resolve, 500)); // it has begun
  const until = performance.now() + seconds * 1000;
  const delays: number[] = [];
  while (performance.now() < until) for (const command of script) delays.push(await probe.ask(command));
  const { times = [], octets = 0 } = asked === null ? {} : JSON.parse(await asked);
  return { delays: Float64Array.from(delays).sort(), answers: times, octets };
}

async function measureAll(name: ProxyName, flags: Flags): Promise<string[][]> {
  const count = flags.quick ? 1_000 : sessionsPossible();
  const connections = count + SPARE_CONNECTIONS;
  const sink = await startSink(connections);
  const postern = await startProxy(name, sink.port, flags, { connections, patient: true });
  const sockets: Socket[] = [];
  const rounds: Record<string, Found>[] = [];
  try {
    await openUpTo(sockets, count, postern.port);
    const probe = new Probe(postern);
    await probe.greeted;
    await probe.ask(Buffer.from('EHLO client.example\r\n'));
    await measure(probe, null, 0, 1); // warm
    for (let round = 0; round < flags.rounds; round++) {
      const found: Record<string, Found> = {};
      for (const [way, asked] of inTurn(Object.entries(WAYS), round))
        found[way] = await measure(probe, asked, postern.admin ?? 0, flags.quick ? 0.5 : SECONDS);
      rounds.push(found);
    }
    const answer = await fetch(`http://127.0.0.1:${postern.admin}/sessions?limit=1`);
    const { open } = (await answer.json()) as { open: number };
    if (open !== count + 1) throw new Error(`${open} sessions are left of ${count + 1}`);
    probe.end();
  } finally {
    for (const socket of sockets) socket.removeAllListeners('close').destroy();
    await postern.stop();
    await sink.stop();
  }
  const p99 = (found: Record<string, Found>, way: string) => percentile(found[way]?.delays ?? [], 0.99);
  return Object.keys(WAYS).map((way) => {
    const later = rounds.map((found) => p99(found, way) - p99(found, QUIET));
    const answers = Float64Array.from(rounds.flatMap((found) => found[way]?.answers ?? [])).sort();
    const octets = rounds[0]?.[way]?.octets ?? 0;
    return [
      ...[name, String(count), way],
      median(rounds.map((found) => percentile(found[way]?.delays ?? [], 0.5))).toFixed(2),
      median(rounds.map((found) => p99(found, way))).toFixed(2),
      way === QUIET ? '–' : median(later).toFixed(2),
      ...(answers.length === 0
        ? ['–', '–', '–', '–']
        : [
            answers.length,
            percentile(answers, 0.5).toFixed(1),
            percentile(answers, 1).toFixed(1),
            (octets / 1e3).toFixed(0),
          ]),
    ].map(String);
  });
}

try {
  const flags = readFlags();
  const names = chosenProxies(flags).filter((name) => name === 'postern' || name === 'other');
  const rows: string[][] = [];
  for (const name of names) rows.push(...(await measureAll(name, flags)));
  printMachine();
  const heads = [
    'proxy',
    'sessions',
    'while',
    'p50 ms',
    'p99 ms',
    'p99 later by',
    'answers',
    'p50 ms',
    'worst ms',
    'KB',
  ];
  printTable(heads, rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
