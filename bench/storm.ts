// What does a storm of connections cost, and how long does the last one wait for its greeting?
//
//   node bench/storm.ts [--rounds 3] [--load steady,burst] [--proxy haproxy,rawpipe,pipe,postern] [--quick]
//
// A session is connect, greeting, QUIT. steady: 50 at a time, again and again; its cost is the slope between N and 5 N. burst: so
// many connect at one moment, and the table says when the greetings came. Each session has a connection of its own to
// the server behind, through every proxy. Not here: connections that are reset or say nothing (fairness.ts).

import { output } from './harness/processes.ts';
import { chosenProxies, type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, figure, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { slope } from './harness/slope.ts';
import { MissingTool } from './harness/tools.ts';

const STEADY = { sessions: 1_000, atOnce: 50 };
const BURST = 1_500;
const CONNECTIONS = 4_000;
const CLIENT = `${import.meta.dirname}/harness/stormer.ts`;

interface Storm {
  readonly refused: number;
  readonly p50: number;
  readonly p99: number;
  readonly last: number;
}

async function storm(to: Running, count: number, atOnce: number): Promise<Storm> {
  return JSON.parse(await output(process.execPath, [CLIENT, `${to.port}`, `${count}`, `${atOnce}`], process.env));
}

async function measure(load: string, proxies: readonly Running[], flags: Flags): Promise<string[][]> {
  const steps = new Map<string, { cpu: number; storm: Storm }[]>(proxies.map(({ name }) => [name, []]));
  const count = load === 'burst' ? BURST : STEADY.sessions / (flags.quick ? 5 : 1);
  const run = (to: Running, sessions: number) => storm(to, sessions, load === 'burst' ? sessions : STEADY.atOnce);
  for (const proxy of proxies) await run(proxy, count);
  for (let round = 0; round < flags.rounds; round++) {
    for (const proxy of inTurn(proxies, round)) {
      let last: Storm = { refused: 0, p50: 0, p99: 0, last: 0 };
      const send = async (sessions: number): Promise<void> => {
        last = await run(proxy, sessions);
      };
      if (load === 'burst') await send(count);
      const cpu = load === 'burst' ? 0 : (await slope(proxy, count, send)).cpu;
      steps.get(proxy.name)?.push({ cpu, storm: last });
    }
  }
  const floor = median((steps.get('haproxy') ?? []).map((step) => step.cpu));
  return [...steps].map(([proxy, of]) => {
    const keep = (unit: string, rounds: number[]) => figure({ load, proxy, unit, rounds });
    const cpu =
      load === 'burst'
        ? null
        : keep(
            'CPU µs/session',
            of.map((step) => step.cpu),
          );
    const times = (['p50', 'p99', 'last'] as const).map((when) =>
      keep(
        `ms ${when}`,
        of.map((step) => step.storm[when]),
      ),
    );
    const refused = keep(
      'refused',
      of.map((step) => step.storm.refused),
    );
    const costs = cpu === null ? ['–', '–'] : [cpu.toFixed(0), (cpu / floor).toFixed(2)];
    return [load, proxy, ...costs, ...times.map((ms) => ms.toFixed(1)), `${refused}`];
  });
}

try {
  const flags = readFlags();
  const sink = await startSink(CONNECTIONS);
  const proxies: Running[] = [];
  for (const name of chosenProxies(flags, ['haproxy', 'rawpipe', 'pipe', 'postern'])) {
    proxies.push(await startProxy(name, sink.port, flags, { connections: CONNECTIONS }));
  }
  const rows: string[][] = [];
  for (const load of ['steady', 'burst']) {
    if (flags.load.length === 0 || flags.load.includes(load)) rows.push(...(await measure(load, proxies, flags)));
  }
  for (const proxy of [...proxies, sink]) await proxy.stop();
  printMachine();
  printTable(
    ['load', 'proxy', 'CPU µs a session', '÷ HAProxy', 'greeting p50 ms', 'p99 ms', 'last ms', 'not greeted'],
    rows,
  );
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
