// What does a message sent by BDAT cost?
//
//   node bench/bdat.ts [--rounds 3] [--load whole,chunks,small] [--proxy haproxy,pipe,postern] [--quick]
//
// whole: 1 MB in one chunk; chunks: 1 MB in 64 chunks of 16 KiB; small: 4 kB in one chunk. Pipelined behind MAIL and RCPT, over ten
// kept sessions, to a sink of our own that takes BDAT. The slope between N and 5 N messages. Not here: DATA (loads.ts).

import { freePort, listening, output, start, stop } from './harness/processes.ts';
import { chosenProxies, type Running, startProxy } from './harness/proxies.ts';
import { type Flags, figure, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { slope } from './harness/slope.ts';
import { MissingTool } from './harness/tools.ts';

const KIB = 1_024;
const LOADS = {
  whole: { messages: 40, chunks: 1, octets: 1_000 * KIB },
  chunks: { messages: 40, chunks: 64, octets: 16 * KIB },
  small: { messages: 1_000, chunks: 1, octets: 4 * KIB },
} as const;
const SESSIONS = 10;
const HARNESS = `${import.meta.dirname}/harness`;

async function measure(name: keyof typeof LOADS, proxies: readonly Running[], flags: Flags): Promise<string[][]> {
  const { messages, chunks, octets } = LOADS[name];
  const costs = new Map<string, number[]>(proxies.map((proxy) => [proxy.name, []]));
  const send = (to: Running) => async (count: number) => {
    const args = [to.port, SESSIONS, count, chunks, octets].map(String);
    await output(process.execPath, [`${HARNESS}/chunker.ts`, ...args], process.env);
  };
  const few = Math.ceil(messages / (flags.quick ? 5 : 1));
  for (const proxy of proxies) await send(proxy)(few);
  for (let round = 0; round < flags.rounds; round++) {
    for (const proxy of inTurn(proxies, round)) {
      costs.get(proxy.name)?.push((await slope(proxy, few, send(proxy))).cpu);
    }
  }
  const floor = costs.get('haproxy');
  return [...costs].map(([proxy, rounds]) => {
    const cpu = figure({ load: name, proxy, unit: 'CPU µs/message', rounds });
    return [name, proxy, cpu.toFixed(0), floor === undefined ? '–' : (cpu / median(floor)).toFixed(2)];
  });
}

try {
  const flags = readFlags();
  const port = await freePort();
  const sink = start(process.execPath, [`${HARNESS}/chunk-sink.ts`, `${port}`]);
  await listening(port, sink);
  const proxies: Running[] = [];
  for (const name of chosenProxies(flags)) proxies.push(await startProxy(name, port, flags));
  const rows: string[][] = [];
  for (const name of Object.keys(LOADS) as (keyof typeof LOADS)[]) {
    if (flags.load.length === 0 || flags.load.includes(name)) rows.push(...(await measure(name, proxies, flags)));
  }
  for (const proxy of proxies) await proxy.stop();
  await stop(sink);
  printMachine();
  printTable(['load', 'proxy', 'CPU µs a message', '÷ HAProxy'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
