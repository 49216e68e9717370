// What do several workers carry beside one, and what does it cost that they share their counts?
//
//   node bench/workers.ts [--rounds 3] [--load A,B,refused] [--quick]
//
// Each load against 1, 2 and 4 workers in turn, without rates and (`+ rates`) with a message and a recipient rate that are
// never reached, so that every MAIL and RCPT asks the counts. A and B as in loads.ts, by two smtp-sources at once; refused:
// 100 RCPTs in one write, as in pipelined.ts, by two clients. CPU by thread says more than the wall where the clients share
// the processors: what the main thread takes is what cannot be divided.

import { cpuMs, output, threadCpuMs } from './harness/processes.ts';
import { type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { findTool, MissingTool } from './harness/tools.ts';

const SOURCES = 2;
const WORKERS = [1, 2, 4];

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

async function sample(load: Load, count: number, to: Running): Promise<Sample> {
  const read = () => [cpuMs(to.pid), threadCpuMs(to.pid, /^MainThread$/), threadCpuMs(to.pid, /^worker /)] as const;
  const before = read();
  const begin = performance.now();
  await Promise.all(Array.from({ length: SOURCES }, () => load.send(count, to.port)));
  const seconds = (performance.now() - begin) / 1000;
  const [cpu, main, workers] = read().map((ms, i) => ms - (before[i] as number)) as [number, number, number];
  return { seconds, cpu, main, workers };
}

async function measure(load: Load, flags: Flags): Promise<string[][]> {
  const count = load.count / (flags.quick ? 10 : 1);
  const sink = await startSink();
  const proxies: (Running & { readonly rates: boolean; readonly workers: number })[] = [];
  const samples = new Map<Running, Sample[]>();
  try {
    for (const rates of [false, true]) {
      for (const workers of WORKERS) {
        const proxy = await startProxy('postern', sink.port, flags, { workers, rates });
        proxies.push({ ...proxy, rates, workers });
      }
    }
    for (const proxy of proxies) await sample(load, count, proxy);
    for (let round = 0; round < flags.rounds; round++) {
      for (const proxy of inTurn(proxies, round))
        samples.set(proxy, [...(samples.get(proxy) ?? []), await sample(load, count, proxy)]);
    }
  } finally {
    for (const proxy of [...proxies, sink]) await proxy.stop();
  }
  return proxies.map((proxy) => {
    const of = samples.get(proxy) ?? [];
    const each = (pick: (one: Sample) => number) => ((median(of.map(pick)) * 1000) / (count * SOURCES)).toFixed(1);
    return [
      `${load.name}: ${load.about}${proxy.rates ? ' + rates' : ''}`,
      String(proxy.workers),
      median(of.map(({ seconds }) => (count * SOURCES) / seconds)).toFixed(0),
      each(({ cpu }) => cpu),
      each(({ main }) => main),
      proxy.workers === 1 ? '–' : each(({ workers }) => workers),
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
  printTable(['load', 'workers', 'a second', 'CPU µs each', 'main thread', 'workers together'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
