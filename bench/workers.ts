// What do two workers carry beside one, and what does it cost that they share their counts?
//
//   node bench/workers.ts [--rounds 3] [--load A,B,refused] [--quick]
//
// Each load against one worker, two processes of one worker each, and two workers, in turn; without rates and (`+ rates`) with
// a message and a recipient rate that are never reached, so that every MAIL and RCPT asks the counts. Two processes share
// nothing, so they are the yardstick: what two workers cost more is the price of sharing, and what both cost more than one is
// this machine's, where proxies, sources and sink fight for the processors. A and B as in loads.ts, by two smtp-sources at
// once; refused: 100 RCPTs in one write, as in pipelined.ts, by two clients.
// Carried: how many times what one process carries, where every thread has a processor of its own: two, by the CPU of a
// process over that of a worker, as long as the main thread's is less.

import { cpuMs, mainThreadCpuMs, output, threadCpuMs } from './harness/processes.ts';
import { type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { findTool, MissingTool } from './harness/tools.ts';

const SOURCES = 2;

interface Load {
  readonly name: string;
  readonly about: string;
  /** Of each source. */
  readonly count: number;
  send(count: number, port: number): Promise<unknown>;
}

function bySmtpSource(...args: string[]): Load['send'] {
  const { path, env } = findTool('smtp-source');
  const envelope = ['-f', 'a@sender.example', '-t', 'b@local.example'];
  return (count, port) => output(path, [...args, '-m', String(count), ...envelope, `127.0.0.1:${port}`], env);
}

const PIPELINER = `${import.meta.dirname}/harness/pipeliner.ts`;
const BATCH = 100;

function loads(): Load[] {
  return [
    { name: 'A', about: 'sessions of one message', count: 4000, send: bySmtpSource('-s', '10', '-l', '4000') },
    { name: 'B', about: 'messages, kept sessions', count: 10_000, send: bySmtpSource('-d', '-s', '10', '-l', '4000') },
    {
      name: 'refused',
      about: 'RCPTs refused',
      count: 200_000,
      send: (count, port) =>
        output(process.execPath, [PIPELINER, String(port), 'refused', '10', String(count / BATCH / 10)], process.env),
    },
  ];
}

interface Sample {
  readonly seconds: number;
  readonly cpu: number;
  readonly main: number;
  readonly workers: number;
}

/** What takes a load: each source has a proxy, or both have the same. */
interface Way {
  readonly name: string;
  readonly rates: boolean;
  readonly proxies: readonly Running[];
}

async function open(upstream: number, flags: Flags): Promise<Way[]> {
  const ways: Way[] = [];
  for (const rates of [false, true]) {
    const start = (workers: number) => startProxy('postern', upstream, flags, { workers, rates });
    ways.push({ name: 'one worker', rates, proxies: [await start(1)] });
    ways.push({ name: 'two processes', rates, proxies: [await start(1), await start(1)] });
    ways.push({ name: 'two workers', rates, proxies: [await start(2)] });
  }
  return ways;
}

async function sample(load: Load, count: number, { proxies }: Way): Promise<Sample> {
  const sum = (read: (pid: number) => number) => proxies.reduce((all, { pid }) => all + read(pid), 0);
  const read = () => [sum(cpuMs), sum(mainThreadCpuMs), sum((pid) => threadCpuMs(pid, /^worker /))];
  const before = read();
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: SOURCES }, (_, i) => load.send(count, (proxies[i % proxies.length] as Running).port)),
  );
  const seconds = (performance.now() - begin) / 1000;
  const [cpu, main, workers] = read().map((ms, i) => ms - (before[i] as number)) as [number, number, number];
  return { seconds, cpu, main, workers };
}

async function measure(load: Load, flags: Flags): Promise<string[][]> {
  const count = load.count / (flags.quick ? 10 : 1);
  const sink = await startSink();
  let ways: Way[] = [];
  const samples = new Map<Way, Sample[]>();
  try {
    ways = await open(sink.port, flags);
    for (const way of ways) await sample(load, count, way);
    for (let round = 0; round < flags.rounds; round++) {
      for (const way of inTurn(ways, round))
        samples.set(way, [...(samples.get(way) ?? []), await sample(load, count, way)]);
    }
  } finally {
    for (const { proxies } of ways) for (const proxy of proxies) await proxy.stop();
    await sink.stop();
  }
  let process = Number.NaN; // µs of the main thread for one, of two processes
  return ways.map((way) => {
    const of = samples.get(way) ?? [];
    const each = (pick: (one: Sample) => number) => (median(of.map(pick)) * 1000) / (count * SOURCES);
    const [main, workers] = [each((one) => one.main), each((one) => one.workers)];
    if (way.proxies.length === 2) process = main;
    return [
      `${load.name}: ${load.about}${way.rates ? ' + rates' : ''}`,
      way.name,
      median(of.map(({ seconds }) => (count * SOURCES) / seconds)).toFixed(0),
      each(({ cpu }) => cpu).toFixed(1),
      main.toFixed(1),
      workers === 0 ? '–' : workers.toFixed(1),
      workers === 0 ? '–' : (2 * Math.min(1, process / workers)).toFixed(2),
    ];
  });
}

try {
  const flags = readFlags();
  const rows: string[][] = [];
  for (const load of loads()) {
    if (flags.load.length === 0 || flags.load.includes(load.name)) rows.push(...(await measure(load, flags)));
  }
  printMachine();
  printTable(['load', 'by', 'a second', 'CPU µs each', 'main thread', 'workers', 'carried'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
