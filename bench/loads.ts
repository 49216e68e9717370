// What do four kinds of mail cost, against proxies that parse nothing, and against others that do? Loads A to D.
//
//   node bench/loads.ts [--rounds 3] [--load A,B] [--proxy haproxy,postern,…] [--messages none] [--quick]
//
// The proxies take turns in every round, after a warm-up that does not count (V8 compiles in it). A cost is the slope between N
// and 5 N units; CPU is that of the proxy alone, user + system from /proc, the steadiest figure here: source and sink
// share the machine, so the wall says little. nginx (40 ms of Nagle a message), Postfix and Haraka carry fewer units. `--quick` is a tenth,
// for a look. Not here: throughput (smtp-source and smtp-sink are the limit long before a proxy is).

import { output } from './harness/processes.ts';
import { ALL, chosenProxies, type ProxyName, type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, figure, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { type Cost, slope } from './harness/slope.ts';
import { findTool, MissingTool } from './harness/tools.ts';

interface Load {
  readonly name: string;
  readonly about: string;
  readonly unit: string;
  /** N: what is sent is this and five times this. */
  readonly messages: number;
  readonly args: readonly string[];
}

const LOADS: readonly Load[] = [
  {
    name: 'A',
    about: 'sessions of one 4 kB message',
    unit: 'session',
    messages: 1000,
    args: ['-s', '20', '-l', '4000'],
  },
  {
    name: 'B',
    about: '4 kB messages, kept sessions',
    unit: 'message',
    messages: 4000,
    args: ['-d', '-s', '20', '-l', '4000'],
  },
  {
    name: 'C',
    about: 'messages of 20 recipients',
    unit: 'message',
    messages: 800,
    args: ['-d', '-s', '20', '-r', '20', '-l', '4000'],
  },
  { name: 'D', about: 'messages of 10 MB', unit: 'message', messages: 10, args: ['-s', '4', '-l', '10000000'] },
];
const FEWER: Partial<Record<ProxyName, number>> = { nginx: 0.1, postfix: 0.2, haraka: 0.1 };

async function send(load: Load, messages: number, to: Running): Promise<void> {
  const source = findTool('smtp-source');
  const envelope = ['-f', 'a@sender.example', '-t', 'b@local.example', `127.0.0.1:${to.port}`];
  await output(source.path, [...load.args, '-m', String(messages), ...envelope], source.env);
}

async function measure(load: Load, names: readonly ProxyName[], flags: Flags): Promise<Map<string, Cost[]>> {
  const sink = await startSink();
  const costs = new Map<string, Cost[]>();
  const proxies: Running[] = [];
  const units = ({ name }: Running): number =>
    Math.max(2, Math.ceil(load.messages * (FEWER[name as ProxyName] ?? 1) * (flags.quick ? 0.1 : 1)));
  try {
    for (const name of names) {
      proxies.push(await startProxy(name, sink.port, flags));
      costs.set(name, []);
    }
    for (const proxy of proxies) await send(load, units(proxy), proxy);
    for (let round = 0; round < flags.rounds; round++) {
      for (const proxy of inTurn(proxies, round)) {
        costs.get(proxy.name)?.push(await slope(proxy, units(proxy), (messages) => send(load, messages, proxy)));
      }
    }
  } finally {
    for (const proxy of [...proxies, sink]) await proxy.stop();
  }
  return costs;
}

function rowsOf({ name: load, about, unit }: Load, costs: Map<string, Cost[]>): string[][] {
  const cpuOf = (name: string) => median((costs.get(name) ?? []).map(({ cpu }) => cpu));
  return [...costs].map(([proxy, of]) => {
    const cpu =
      proxy === 'direct' ? 0 : figure({ load, proxy, unit: `CPU µs/${unit}`, rounds: of.map((cost) => cost.cpu) });
    const wall = figure({ load, proxy, unit: `wall µs/${unit}`, rounds: of.map((cost) => cost.wall) });
    const beside = (name: string) => (proxy === 'direct' || !costs.has(name) ? '–' : (cpu / cpuOf(name)).toFixed(2));
    const rounds = of.map((cost) => cost.cpu.toFixed(0)).join(' ');
    const user = median(of.map((cost) => cost.user)).toFixed(0);
    const costly = proxy === 'direct' ? ['–', '–', '–'] : [rounds, cpu.toFixed(0), user];
    return [`${load}: ${about}`, proxy, ...costly, beside('haproxy'), beside('pipe'), beside('other'), wall.toFixed(0)];
  });
}

try {
  const flags = readFlags();
  const loads = LOADS.filter((load) => flags.load.length === 0 || flags.load.includes(load.name));
  const names = chosenProxies(flags, ALL);
  const rows: string[][] = [];
  for (const load of loads) rows.push(...rowsOf(load, await measure(load, names, flags)));
  printMachine();
  printTable(
    [
      'load',
      'proxy',
      'CPU µs each, every round',
      'median',
      'of it user',
      '÷ HAProxy',
      '÷ pipe',
      '÷ other',
      'wall µs each',
    ],
    rows,
  );
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
