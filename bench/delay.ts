// How much later does a command's reply come than without a proxy? Half and 99 % of them, against HAProxy.
//
//   node bench/delay.ts [--rounds 3] [--proxy haproxy,pipe,postern] [--quick]
//
// One connection through each proxy and one straight to the sink; MAIL, RCPTs and RSET go to each in turn, one command
// at a time, so that a busy moment of the machine hits all alike. The goal: p99 at most HAProxy's + 100 µs.
// Not here: queueing under load, which is the event-loop delay that /metrics shows.

import { Probe, script } from './harness/probe.ts';
import { chosenProxies, type Running, startProxy, startSink } from './harness/proxies.ts';
import { figure, median, percentile, printMachine, printTable, readFlags } from './harness/report.ts';
import { MissingTool } from './harness/tools.ts';

const COMMANDS = 20_000;
const WARM_UP = 2_000;
async function measure(probes: readonly Probe[], commands: number): Promise<Map<string, Float64Array>> {
  const times = new Map(probes.map((probe) => [probe.name, new Float64Array(commands)]));
  for (let number = 0; number < commands; number++) {
    const command = script[number % script.length] as Buffer;
    for (let turn = 0; turn < probes.length; turn++) {
      const probe = probes[(number + turn) % probes.length];
      const into = probe && times.get(probe.name);
      if (into) into[number] = (await probe.ask(command)) * 1000;
    }
  }
  for (const of of times.values()) of.sort();
  return times;
}

try {
  const flags = readFlags();
  const names = chosenProxies(flags);
  const sink = await startSink();
  const running: Running[] = [{ ...sink, name: 'no proxy' }];
  for (const name of names) running.push(await startProxy(name, sink.port, flags));
  const probes = running.map((proxy) => new Probe(proxy));
  const halves = new Map<string, number[]>();
  const tails = new Map<string, number[]>();
  for (const probe of probes) {
    await probe.greeted;
    await probe.ask(Buffer.from('EHLO client.example\r\n'));
    halves.set(probe.name, []);
    tails.set(probe.name, []);
  }
  await measure(probes, WARM_UP);
  for (let round = 0; round < flags.rounds; round++) {
    for (const [name, sorted] of await measure(probes, flags.quick ? COMMANDS / 10 : COMMANDS)) {
      halves.get(name)?.push(percentile(sorted, 0.5));
      tails.get(name)?.push(percentile(sorted, 0.99));
    }
  }
  for (const probe of probes) probe.end();
  for (const proxy of running) await proxy.stop();
  const half = (name: string) => median(halves.get(name) ?? []);
  const tail = (name: string) => median(tails.get(name) ?? []);
  for (const { name: proxy } of running) {
    figure({ load: 'command', proxy, unit: 'µs p50', rounds: halves.get(proxy) ?? [] });
    figure({ load: 'command', proxy, unit: 'µs p99', rounds: tails.get(proxy) ?? [] });
  }
  printMachine();
  printTable(
    ['proxy', 'p50 µs', 'p99 µs', 'added p50', 'added p99', 'p99 − HAProxy’s'],
    running.map(({ name }) => [
      name,
      half(name).toFixed(0),
      tail(name).toFixed(0),
      (half(name) - half('no proxy')).toFixed(0),
      (tail(name) - tail('no proxy')).toFixed(0),
      (tail(name) - tail('haproxy')).toFixed(0),
    ]),
  );
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
