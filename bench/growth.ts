// How much memory does Postern take while sessions come and go, and does it grow?
//
//   node bench/growth.ts [--rounds 12] [--proxy haproxy,postern] [--quick]
//
// Load A of loads.ts, fifteen connections at a time; a round is 20 000 sessions of one message. What is resident is read five times a
// second; a row for each round has the most of it, which is what a container's limit must leave room for.

import { output, residentBytes } from './harness/processes.ts';
import { chosenProxies, type Running, startProxy, startSink } from './harness/proxies.ts';
import { figure, inTurn, printMachine, printTable, readFlags } from './harness/report.ts';
import { findTool } from './harness/tools.ts';

const SESSIONS = 20_000;
const OFTEN_MS = 200;

/** Sends so many, and tells the most that was resident meanwhile, in MB. */
async function mostBeside(sessions: number, to: Running): Promise<number> {
  const { path, env } = findTool('smtp-source');
  const args = ['-s', '15', '-l', '4000', '-m', `${sessions}`, '-f', 'a@sender.example', '-t', 'b@local.example'];
  let most = 0;
  const look = setInterval(() => {
    most = Math.max(most, residentBytes(to.pid));
  }, OFTEN_MS);
  try {
    await output(path, [...args, `127.0.0.1:${to.port}`], env);
  } finally {
    clearInterval(look);
  }
  return most / 1e6;
}

const flags = readFlags(['--rounds', '12', ...process.argv.slice(2)]);
const sessions = flags.quick ? SESSIONS / 10 : SESSIONS;
const sink = await startSink();
const proxies: Running[] = [];
const most = new Map<string, number[]>();
try {
  for (const name of chosenProxies(flags, ['postern'])) {
    const proxy = await startProxy(name, sink.port, flags);
    proxies.push(proxy);
    most.set(name, [residentBytes(proxy.pid) / 1e6]);
  }
  for (let round = 0; round < flags.rounds; round++)
    for (const proxy of inTurn(proxies, round)) most.get(proxy.name)?.push(await mostBeside(sessions, proxy));
} finally {
  for (const proxy of [...proxies, sink]) await proxy.stop();
}
for (const [proxy, rounds] of most) figure({ load: 'A', proxy, unit: 'MB resident', rounds });
printMachine();
const row = (round: number): string[] => [...most.values()].map((of) => `${Math.round(of[round] as number)}`);
printTable(
  ['sessions', ...[...most.keys()].map((name) => `${name}: MB`)],
  Array.from({ length: flags.rounds + 1 }, (_, round) => [`${round * sessions}`, ...row(round)]),
);
