// What does one Redis answer, how much of that does a message ask, and does a cluster answer more?
//
//   node bench/redis-rate.ts [--rounds 3] [--load answers,message] [--quick]
//
// answers: the scripts of src/limits, asked by 1, 4 and 16 Posterns' stores, of one redis-server and of a cluster of three masters (and
// a replica). What an answer costs is the slope of Redis' own CPU between N and 5 N; one Redis has one thread, so that a second
// holds 1 s ÷ that many. What was reached here shares two processors with who asks. message: how many questions a real Postern
// asks, by Redis' own count, for a session of one message and for one more message of a kept session, without rates and with three.
// Redis writes nothing to disk here, as counters need not.

import { startCluster } from '../test/real/redis-many.ts';
import { noRedis, type RedisServer, startRedis } from '../test/real/redis-server.ts';
import { output } from './harness/processes.ts';
import { type Running, startProxy, startSink } from './harness/proxies.ts';
import { type Flags, figure, printMachine, printTable, readFlags } from './harness/report.ts';
import { TIMES } from './harness/slope.ts';
import { findTool, MissingTool } from './harness/tools.ts';

const POSTERNS = [1, 4, 16];
const MESSAGES = 1_500; // N
const ASKER = `${import.meta.dirname}/harness/redis-asker.ts`;

interface Answers {
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly away: number;
}

interface Rounds extends Answers {
  readonly each: number;
  readonly rate: number;
}

/** What Redis says that it used so far, in µs, and how many scripts it ran. */
async function spent(redis: RedisServer): Promise<{ cpu: number; calls: number }> {
  const text = await redis.ask('INFO', 'everything');
  const seconds = (name: string) => Number(new RegExp(`^used_cpu_${name}:([\\d.]+)`, 'm').exec(text)?.[1]);
  return { cpu: (seconds('user') + seconds('sys')) * 1e6, calls: callsIn(text) };
}

function callsIn(text: string): number {
  return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(text)?.[1] ?? 0);
}

async function ask(state: string, redis: RedisServer, posterns: number, flags: Flags, load: string): Promise<string[]> {
  const messages = flags.quick ? MESSAGES / 5 : MESSAGES;
  const run = async (count: number): Promise<Answers & { cpu: number; calls: number }> => {
    const before = await spent(redis);
    const said = JSON.parse(await output(process.execPath, [ASKER, state, `${posterns}`, `${count}`], process.env));
    const after = await spent(redis);
    return { ...said, cpu: after.cpu - before.cpu, calls: after.calls - before.calls };
  };
  const rounds: Rounds[] = [];
  for (let round = 0; round < flags.rounds; round++) {
    const [few, many] = [await run(messages), await run(TIMES * messages)];
    rounds.push({ ...many, each: (many.cpu - few.cpu) / (many.calls - few.calls), rate: many.calls / many.seconds });
  }
  const keep = (unit: string, value: (of: Rounds) => number): number =>
    figure({ load, proxy: 'redis', at: posterns, unit, rounds: rounds.map(value) });
  const each = keep('CPU µs/question', (of) => of.each);
  const rate = keep('questions/s reached', (of) => of.rate);
  const [p50, p99] = [keep('ms p50', (of) => of.p50), keep('ms p99', (of) => of.p99)];
  const late = keep('late', (of) => of.away);
  const numbers = [each.toFixed(1), (1e6 / each).toFixed(0), rate.toFixed(0), p50.toFixed(2), p99.toFixed(2)];
  return [load, `${posterns}`, ...numbers, late.toFixed(0)];
}

/** Calls of scripts so far, of each server. */
async function calls(servers: readonly RedisServer[]): Promise<number[]> {
  return (await Promise.all(servers.map((server) => server.ask('INFO', 'commandstats')))).map(callsIn);
}

async function answers(flags: Flags): Promise<void> {
  const rows: string[][] = [];
  const one = await startRedis();
  for (const posterns of POSTERNS) {
    rows.push(await ask(`redis://127.0.0.1:${one.port}/0`, one, posterns, flags, 'one Redis'));
  }
  await one.stop();
  const cluster = await startCluster();
  for (const posterns of POSTERNS) {
    rows.push(await ask(cluster.state, cluster.master, posterns, flags, 'cluster of three'));
  }
  const shares = await calls(cluster.servers);
  await cluster.stop();
  const head = ['asked', 'Posterns', 'Redis CPU µs each', 'so a second at most', 'reached', 'p50 ms', 'p99 ms', 'late'];
  printTable(head, rows);
  console.log(`\nquestions by node of the cluster (our master, its replica, the two others): ${shares.join(', ')}\n`);
  for (const [i, share] of shares.entries()) {
    figure({ load: 'questions by node of the cluster', proxy: 'redis', at: i, unit: 'questions', rounds: [share] });
  }
}

/** How many questions one unit more asks. */
async function questionsOf(redis: RedisServer, proxy: Running, kept: boolean, messages: number): Promise<number> {
  const source = findTool('smtp-source');
  const send = async (count: number): Promise<number> => {
    const [before = 0] = await calls([redis]);
    const envelope = ['-f', 'a@sender.example', '-t', 'b@local.example', `127.0.0.1:${proxy.port}`];
    const args = [...(kept ? ['-d'] : []), '-s', '10', '-l', '1000', '-m', `${count}`, ...envelope];
    await output(source.path, args, source.env);
    await new Promise((resolve) => setTimeout(resolve, 100)); // the last seats
    const [after = 0] = await calls([redis]);
    return after - before;
  };
  const few = await send(messages);
  return ((await send(TIMES * messages)) - few) / ((TIMES - 1) * messages);
}

async function message(flags: Flags): Promise<void> {
  const redis = await startRedis();
  const sink = await startSink();
  const rows: string[][] = [];
  for (const rates of [false, true]) {
    const proxy = await startProxy('postern', sink.port, flags, { rates, state: `redis://127.0.0.1:${redis.port}/0` });
    const rounds = { session: [] as number[], message: [] as number[] };
    for (let round = 0; round < flags.rounds; round++) {
      rounds.session.push(await questionsOf(redis, proxy, false, flags.quick ? 100 : 300));
      rounds.message.push(await questionsOf(redis, proxy, true, flags.quick ? 100 : 300));
    }
    await proxy.stop();
    const load = rates ? 'with rates' : 'without rates';
    const [ofSession, ofMessage] = (['session', 'message'] as const).map((unit) =>
      figure({ load, proxy: 'postern', unit: `questions/${unit}`, rounds: rounds[unit] }),
    );
    rows.push([load, Math.abs(ofSession ?? 0).toFixed(2), Math.abs(ofMessage ?? 0).toFixed(2)]);
  }
  await sink.stop();
  await redis.stop();
  printTable(['a source is', 'questions for a session of one message', 'for one more message of a session'], rows);
}

try {
  if (noRedis !== false) throw new MissingTool(noRedis);
  const flags = readFlags();
  printMachine();
  const asked = (load: string): boolean => flags.load.length === 0 || flags.load.includes(load);
  if (asked('answers')) await answers(flags);
  if (asked('message')) await message(flags);
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
