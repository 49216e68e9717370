// What do four kinds of mail cost, against a proxy that parses nothing? Loads A to D; CPU is that of the proxy alone.
//
//   node bench/loads.ts [--rounds 3] [--load A,B] [--proxy haproxy,pipe,postern] [--messages none] [--quick]
//
// The proxies take turns in every round, after a warm-up round that does not count (V8 compiles in it). CPU is user + system from /proc, the steadiest figure;
// source and sink share the machine, so the wall says little. `--quick` is a tenth of the load, for a look.
// Not here: throughput (smtp-source and smtp-sink are the limit long before a proxy is).

import { cpuMs, output } from './harness/processes.ts';
import { chosenProxies, type ProxyName, type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { findTool, MissingTool } from './harness/tools.ts';

interface Load {
  readonly name: string;
  readonly about: string;
  readonly messages: number;
  readonly args: readonly string[];
}

const LOADS: readonly Load[] = [
  { name: 'A', about: '5 000 sessions of one 4 kB message', messages: 5000, args: ['-s', '20', '-l', '4000'] },
  { name: 'B', about: '20 000 messages, kept sessions', messages: 20_000, args: ['-d', '-s', '20', '-l', '4000'] },
  {
    name: 'C',
    about: '4 000 messages of 20 recipients',
    messages: 4000,
    args: ['-d', '-s', '20', '-r', '20', '-l', '4000'],
  },
  { name: 'D', about: '50 messages of 10 MB', messages: 50, args: ['-s', '4', '-l', '10000000'] },
];

interface Cost {
  readonly cpu: number[];
  readonly wall: number[];
}

async function send(load: Load, messages: number, to: Running): Promise<{ cpu: number; wall: number }> {
  const source = findTool('smtp-source');
  const cpuBefore = cpuMs(to.pid);
  const begin = performance.now();
  await output(
    source.path,
    [...load.args, '-m', String(messages), '-f', 'a@sender.example', '-t', 'b@local.example', `127.0.0.1:${to.port}`],
    source.env,
  );
  return { cpu: cpuMs(to.pid) - cpuBefore, wall: (performance.now() - begin) / 1000 };
}

async function measure(load: Load, names: readonly ProxyName[], flags: Flags) {
  const messages = flags.quick ? Math.ceil(load.messages / 10) : load.messages;
  const sink = await startSink();
  const costs = new Map<string, Cost>();
  const proxies: Running[] = [];
  try {
    for (const name of names) {
      proxies.push(await startProxy(name, sink.port, flags));
      costs.set(name, { cpu: [], wall: [] });
    }
    for (const proxy of proxies) await send(load, messages, proxy);
    for (let round = 0; round < flags.rounds; round++) {
      for (const proxy of inTurn(proxies, round)) {
        const { cpu, wall } = await send(load, messages, proxy);
        costs.get(proxy.name)?.cpu.push(cpu);
        costs.get(proxy.name)?.wall.push(wall);
      }
    }
  } finally {
    for (const proxy of [...proxies, sink]) await proxy.stop();
  }
  return costs;
}

function rowsOf(load: Load, costs: Map<string, Cost>): string[][] {
  const floor = costs.get('haproxy');
  return [...costs].map(([name, cost]) => [
    `${load.name}: ${load.about}`,
    name,
    cost.cpu.map((ms) => ms.toFixed(0)).join(' '),
    median(cost.cpu).toFixed(0),
    floor === undefined ? '–' : (median(cost.cpu) / median(floor.cpu)).toFixed(2),
    median(cost.wall).toFixed(1),
  ]);
}

try {
  const flags = readFlags();
  const loads = LOADS.filter((load) => flags.load.length === 0 || flags.load.includes(load.name));
  const names = chosenProxies(flags);
  const rows: string[][] = [];
  for (const load of loads) rows.push(...rowsOf(load, await measure(load, names, flags)));
  printMachine();
  printTable(['load', 'proxy', 'CPU ms, each round', 'median', '÷ HAProxy', 'wall s'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
