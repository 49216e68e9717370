// What does a client that pipelines cost, and how many refused recipients a second can a flood make us say?
//
//   node bench/pipelined.ts [--rounds 3] [--load mail,accepted,refused,…-slowly] [--proxy haproxy,pipe,postern] [--quick]
//
// mail: 20 sessions of messages with ten recipients, terminator and next envelope in one write. accepted and refused:
// batches of MAIL, 100 RCPTs and RSET in one write; `-slowly`: one command, one write, one reply. HAProxy and the pipe pass the refused ones on; Postern answers 554,
// and writes a log line for each. CPU is that of the whole load by the slope between a fifth of it and all. The goal: our refusals a second above HAProxy's RCPTs a second.

import { cpuMs, output } from './harness/processes.ts';
import { chosenProxies, type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, figure, inTurn, median, printMachine, printTable, readFlags } from './harness/report.ts';
import { TIMES } from './harness/slope.ts';
import { MissingTool } from './harness/tools.ts';

const BATCHES: Readonly<Record<string, number>> = {
  mail: 400,
  accepted: 200,
  refused: 200,
  'accepted-slowly': 40,
  'refused-slowly': 40,
};
const SESSIONS = 20;
const CLIENT = `${import.meta.dirname}/harness/pipeliner.ts`;

interface Sample {
  readonly cpu: number;
  readonly seconds: number;
  readonly recipients: number;
}

async function send(kind: string, batches: number, to: Running): Promise<Sample> {
  const before = cpuMs(to.pid);
  const args = [CLIENT, String(to.port), kind, String(SESSIONS), String(batches)];
  const { recipients, refused, seconds } = JSON.parse(await output(process.execPath, args, process.env));
  const expected = kind.startsWith('refused') && (to.name === 'postern' || to.name === 'other') ? recipients : 0;
  if (refused !== expected) throw new Error(`${to.name}: ${refused} refused of ${recipients}, not ${expected}`);
  return { cpu: cpuMs(to.pid) - before, seconds, recipients };
}

async function measure(kind: string, flags: Flags): Promise<string[][]> {
  const batches = Math.ceil((BATCHES[kind] ?? 0) / (flags.quick ? 10 : 1));
  const names = chosenProxies(flags);
  const sink = await startSink();
  const proxies: Running[] = [];
  const samples = new Map<string, Sample[]>(names.map((name) => [name, []]));
  try {
    for (const name of names) proxies.push(await startProxy(name, sink.port, flags));
    for (const proxy of proxies) await send(kind, batches, proxy);
    for (let round = 0; round < flags.rounds; round++) {
      for (const proxy of inTurn(proxies, round)) {
        const few = await send(kind, Math.ceil(batches / TIMES), proxy);
        const many = await send(kind, batches, proxy);
        const share = many.recipients / (many.recipients - few.recipients);
        samples.get(proxy.name)?.push({ ...many, cpu: (many.cpu - few.cpu) * share }); // of the load, by the slope
      }
    }
  } finally {
    for (const proxy of [...proxies, sink]) await proxy.stop();
  }
  const rate = (of: Sample[]) => median(of.map(({ recipients, seconds }) => recipients / seconds));
  const cpu = (of: Sample[]) => median(of.map((sample) => sample.cpu));
  const floor = samples.get('haproxy');
  for (const [proxy, of] of samples) {
    const rounds = of.map((sample) => (sample.cpu * 1000) / sample.recipients);
    figure({ load: kind, proxy, unit: 'CPU µs/recipient', rounds });
  }
  return [...samples].map(([name, of]) => [
    kind,
    name,
    cpu(of).toFixed(0),
    floor === undefined ? '–' : (cpu(of) / cpu(floor)).toFixed(2),
    rate(of).toFixed(0),
    floor === undefined ? '–' : (rate(of) / rate(floor)).toFixed(2),
    ((cpu(of) * 1000) / median(of.map(({ recipients }) => recipients))).toFixed(1),
  ]);
}

try {
  const flags = readFlags();
  const rows: string[][] = [];
  for (const kind of Object.keys(BATCHES)) {
    if (flags.load.length === 0 || flags.load.includes(kind)) rows.push(...(await measure(kind, flags)));
  }
  printMachine();
  printTable(['load', 'proxy', 'CPU ms', '÷ HAProxy', 'RCPT/s', '÷ HAProxy', 'CPU µs per RCPT'], rows);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
