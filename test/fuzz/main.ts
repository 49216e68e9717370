// npm run fuzz -- [--minutes N] [--seed S] [--lanes L] [--alone] [--out FOLDER] [--coverage]
// npm run fuzz -- --real [--server NAME]… [--minutes N] [--seed S] [--out FOLDER]
// npm run fuzz -- --replay FILE
//
// Plays random sessions through the real firewall over loopback sockets, several settings at a time, until the time is over or a
// fault was found often enough. A fault is shrunk and written to FOLDER (default .cache/fuzz) as a file that --replay plays again.
// Exit code: 0 nothing found, 1 something was, 64 wrong usage.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import '../helpers/poison.ts';
import { ALL_SERVERS } from '../real/beds/all.ts';
import type { Case } from './case.ts';
import { Coverage } from './coverage.ts';
import { Fuzzer } from './fuzzer.ts';
import { fuzzReal } from './real.ts';
import { playOnce, shrink } from './shrink.ts';

const SHRINK_MS = 120_000;
const MOST_FINDINGS = 20;
const REPORT_MS = 60_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    lanes: { type: 'string', default: '12' },
    alone: { type: 'boolean', default: false },
    out: { type: 'string', default: join(import.meta.dirname, '../../.cache/fuzz') },
    coverage: { type: 'boolean', default: false },
    real: { type: 'boolean', default: false },
    server: { type: 'string', multiple: true },
    replay: { type: 'string' },
  },
});

/** Told to end: what is being played comes to its end, and its summary is printed. */
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopped = true;
  });
}

async function replay(file: string): Promise<number> {
  const faults = await playOnce(JSON.parse(readFileSync(file, 'utf8')) as Case);
  console.log(faults.length === 0 ? 'nothing is wrong with it now' : faults.join('\n'));
  return faults.length === 0 ? 0 : 1;
}

async function fuzz(minutes: number, seed: number, lanes: number): Promise<number> {
  console.log(`seed ${seed}, ${minutes} minutes, ${lanes} lanes${values.alone ? ', each a process of its own' : ''}`);
  const coverage = values.coverage ? await Coverage.start() : null;
  const fuzzer = new Fuzzer({ seed, lanes, alone: values.alone });
  const until = performance.now() + minutes * 60_000;
  const report = setInterval(() => console.log(fuzzer.summary()), REPORT_MS);
  let found = 0;
  await fuzzer.run(
    () => !stopped && performance.now() < until && found < MOST_FINDINGS,
    (one, faults) => {
      const file = join(values.out, `${seed}-${++found}.json`);
      mkdirSync(values.out, { recursive: true });
      writeFileSync(file, JSON.stringify({ faults, ...one }, null, 1));
      console.log(`${faults.join('\n')}\n  → ${file}`);
    },
  );
  clearInterval(report);
  console.log(fuzzer.summary());
  if (coverage !== null) console.log(await coverage.stop());
  for (let at = 1; at <= found; at++) await shrinkFile(join(values.out, `${seed}-${at}.json`));
  return found === 0 ? 0 : 1;
}

/** The minutes are shared out among the servers that are at hand, or those that are named. */
async function fuzzAllReal(minutes: number, seed: number, names: readonly string[]): Promise<number> {
  const servers = ALL_SERVERS.filter(({ name }) => names.length === 0 || names.includes(name)).filter(
    ({ name, missing }) => {
      if (missing !== false) console.log(`${name}: ${missing}`);
      return missing === false;
    },
  );
  let found = 0;
  let absent = 0;
  for (const server of servers) {
    if (stopped) break;
    const began = performance.now();
    const until = began + (minutes * 60_000) / servers.length;
    const run = await fuzzReal(
      server,
      seed,
      () => !stopped && performance.now() < until,
      (sessions, faults) => {
        const file = join(values.out, `${seed}-${server.name}-${++found}.json`);
        mkdirSync(values.out, { recursive: true });
        writeFileSync(file, JSON.stringify({ faults, server: server.name, sessions }, null, 1));
        console.log(`${faults.join('\n')}\n  → ${file}`);
      },
    ).catch((error: Error) => error);
    if (run instanceof Error) {
      absent++;
      console.log(`${server.name}: ${run.message}`); // on a machine with much to do it may not be up in time
      continue;
    }
    const took = ((performance.now() - began) / 60_000).toFixed(1);
    console.log(`${server.name}: ${took} min, ${run.sessions} sessions, ${run.out} recipients came out`);
  }
  return found + absent === 0 ? 0 : 1;
}

async function shrinkFile(file: string): Promise<void> {
  const { faults, ...found } = JSON.parse(readFileSync(file, 'utf8')) as Case & { faults: string[] };
  const small = await shrink(found, faults[0] as string, SHRINK_MS);
  writeFileSync(file, JSON.stringify({ faults: await playOnce(small), first: faults, ...small }, null, 1));
  console.log(`shrunk: npm run fuzz -- --replay ${file}`);
}

const unknown = (values.server ?? []).filter((name) => ALL_SERVERS.every((server) => server.name !== name));
const [minutes, seed, lanes] = [values.minutes, values.seed, values.lanes].map(Number) as [number, number, number];
if (unknown.length > 0) {
  console.error(`no server ${unknown.join()}; there are: ${ALL_SERVERS.map(({ name }) => name).join(', ')}`);
  process.exitCode = 64;
} else if (!(minutes > 0) || !Number.isInteger(seed) || !(lanes >= 1)) {
  console.error(
    'usage: npm run fuzz -- [--minutes N] [--seed S] [--lanes L] [--alone] [--out FOLDER] [--coverage] | --real … | --replay FILE',
  );
  process.exitCode = 64;
} else {
  if (values.replay !== undefined) process.exitCode = await replay(values.replay);
  else
    process.exitCode = values.real
      ? await fuzzAllReal(minutes, seed, values.server ?? [])
      : await fuzz(minutes, seed, lanes);
}
