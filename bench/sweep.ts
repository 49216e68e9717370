// Does a unit cost more when there is more of one thing? Message size, sessions at a time, entries of the policy, recipients.
//
//   node bench/sweep.ts [--rounds 3] [--load size,sessions,policy,recipients] [--proxy haproxy,pipe,postern] [--quick]
//
// One thing grows, all else stays: size 1 kB to 100 MB of one message a session; sessions 1 to 5 000 that are kept at a time, 4 kB messages;
// policy 10 to 100 000 accepted domains, ranges and domains of a rule each (Postern alone: the others know none);
// recipients 1 to 1 000 of a message. CPU of the proxy, the slope between N and 5 N messages. `--quick` leaves the largest out
// and sends a quarter.
// Not here: what the sessions hold in memory (idle.ts), and decisions by themselves (decision.ts).

import { output } from './harness/processes.ts';
import {
  chosenProxies,
  type ProxyName,
  type ProxyOptions,
  type Running,
  startProxy,
  startSink,
} from './harness/proxies.ts';
import { type Flags, figure, inTurn, printMachine, printTable, readFlags } from './harness/report.ts';
import { slope } from './harness/slope.ts';
import { findTool, MissingTool } from './harness/tools.ts';

interface Step {
  readonly at: number;
  /** N. */
  readonly messages: number;
  readonly args: readonly string[];
  readonly options?: ProxyOptions;
}

const DOMAIN = 'd7.local.example'; // of the policy's list, as is any other
const SPARE = 100;
const kept = (at: number, messages: number, ...args: string[]): Step => ({ at, messages, args: ['-d', ...args] });

const SWEEPS: Readonly<Record<string, readonly Step[]>> = {
  size: [1e3, 1e4, 1e5, 1e6, 1e7, 1e8].map((at) => ({
    at,
    messages: Math.max(1, Math.min(400, 3e7 / at)),
    args: ['-s', '4', '-l', `${at}`],
  })),
  sessions: [1, 10, 100, 1_000, 5_000].map((at) => ({
    ...kept(at, Math.max(400, at), '-s', `${at}`, '-l', '4000'),
    options: { connections: at + SPARE },
  })),
  policy: [10, 100, 1_000, 10_000, 100_000].map((at) => ({
    ...kept(at, 500, '-s', '10', '-l', '4000'),
    options: { entries: at },
  })),
  recipients: [1, 10, 100, 1_000].map((at) => kept(at, Math.ceil(500 / at), '-s', '2', '-l', '4000', '-r', `${at}`)),
};

function proxiesFor(load: string, flags: Flags): ProxyName[] {
  return chosenProxies(flags).filter((name) => load !== 'policy' || name === 'postern' || name === 'other');
}

async function send(step: Step, messages: number, to: Running): Promise<void> {
  const source = findTool('smtp-source');
  const envelope = ['-f', 'a@sender.example', '-t', `b@${step.options?.entries ? DOMAIN : 'local.example'}`];
  const args = [...step.args, '-m', `${messages}`, ...envelope, `127.0.0.1:${to.port}`];
  await output(source.path, args, source.env);
}

async function measure(load: string, whole: Step, flags: Flags): Promise<string[]> {
  const step = flags.quick ? { ...whole, messages: Math.ceil(whole.messages / 4) } : whole;
  const sink = await startSink((step.options?.connections ?? 0) + SPARE);
  const names = proxiesFor(load, flags);
  const proxies: Running[] = [];
  const costs = new Map<string, number[]>();
  try {
    for (const name of names) proxies.push(await startProxy(name, sink.port, flags, step.options));
    for (const proxy of proxies) await send(step, step.messages, proxy);
    for (let round = 0; round < flags.rounds; round++) {
      for (const proxy of inTurn(proxies, round)) {
        const { cpu } = await slope(proxy, step.messages, (messages) => send(step, messages, proxy));
        costs.set(proxy.name, [...(costs.get(proxy.name) ?? []), cpu]);
      }
    }
  } finally {
    for (const proxy of [...proxies, sink]) await proxy.stop();
  }
  return names.map((proxy) => {
    const value = figure({ load, proxy, at: step.at, unit: 'CPU µs/message', rounds: costs.get(proxy) ?? [] });
    return value.toFixed(0);
  });
}

try {
  const flags = readFlags();
  printMachine();
  for (const [load, steps] of Object.entries(SWEEPS)) {
    if (flags.load.length > 0 && !flags.load.includes(load)) continue;
    const names = proxiesFor(load, flags);
    const rows: string[][] = [];
    for (const step of flags.quick ? steps.slice(0, -1) : steps) {
      rows.push([step.at.toLocaleString('en').replaceAll(',', ' '), ...(await measure(load, step, flags))]);
    }
    printTable([`${load}: CPU µs a message at`, ...names], rows);
    console.log();
  }
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
