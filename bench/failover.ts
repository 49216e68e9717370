// When the Redis that keeps the counts falls under load and another takes over: how slow is the slowest reply, how much more was let pass
// than the limit, and was anything lost?
//
//   node bench/failover.ts [--load sentinel,cluster,alone,none] [--rounds 1] [--quick]
//
// Two Posterns share their counts: through three Sentinels that watch a master and its replica; in a cluster of three masters of
// which ours has a replica; by one Redis that comes back after 3 s knowing nothing; and by one that does not fall. Who masters it takes as dead what is silent for a
// second (Redis' own defaults are 30 and 15). Six flooders of one source say MAIL as fast as they are let, at both nodes, where
// the source has a limit of messages that lasts into the fall; beside them honest clients of other sources send whole messages.
// 1.5 s after the start the master is killed (SIGKILL). Over-admitted: MAILs that passed beyond the limit. Lost: messages that were
// answered with 250 and are not at the server, or the other way round. It ends when all flooders are refused and both nodes share again.

import { setTimeout as delay } from 'node:timers/promises';
import type { RunningPostern } from '../test/helpers/postern.ts';
import { Flooder, startNode, sum } from '../test/real/nodes.ts';
import { type ManyRedis, startCluster, startSentinels } from '../test/real/redis-many.ts';
import { noRedis, startRedis } from '../test/real/redis-server.ts';
import { Sink } from '../test/real/sink.ts';
import { HonestSender } from './harness/honest-sender.ts';
import { figure, printMachine, printTable, readFlags } from './harness/report.ts';
import { MissingTool } from './harness/tools.ts';

const LIMIT = 8_000; // in 24 h: more than passes before the fall
const QUICK_LIMIT = 4_000;
const SENDERS = 4; // honest ones, each a source of its own
const FALLS_AFTER = 1_500; // ms
const DAY = 86_400_000;
const BACK_AFTER = 3_000; // ms: the one that has nobody to take over
const WITHIN = 40_000; // ms
const SHARED = 'counters are shared with the other nodes';
const AWAY = 'counters are not shared';

/** One Redis without a second: it is started anew, and knows nothing. */
async function startAlone(): Promise<ManyRedis> {
  const redis = await startRedis();
  return {
    state: `redis://127.0.0.1:${redis.port}/0`,
    master: redis,
    servers: [redis],
    stop: () => redis.stop(),
  };
}

const PLACES: Readonly<Record<string, () => Promise<ManyRedis>>> = {
  sentinel: startSentinels,
  cluster: startCluster,
  alone: startAlone,
  none: startAlone,
};

const said = (node: RunningPostern, words: string): number => node.logs.filter((line) => line.includes(words)).length;

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + WITHIN; !holds(); await delay(10)) {
    if (Date.now() > end) throw new Error(`did not come: ${what}`);
  }
}

interface Found {
  /** Milliseconds from the fall until both nodes share again. */
  readonly alone: number;
  readonly slowest: number;
  readonly replies: number;
  readonly passed: number;
  readonly over: number;
  readonly sent: number;
  readonly arrived: number;
  /** Replies that neither a limit nor the policy gives, and messages not taken. */
  readonly odd: number;
}

async function fall(place: string, limit: number): Promise<Found> {
  const redis = await (PLACES[place] ?? startAlone)();
  const sink = await Sink.start();
  const limits = { source: { message_rate: `${limit}/24h` } };
  const nodes = await Promise.all([1, 2].map(() => startNode({ upstream: sink.port, limits, state: redis.state })));
  try {
    await until(() => nodes.every((node) => said(node, SHARED) > 0), 'both nodes share');
    const flooders = nodes.flatMap(({ port }) => [new Flooder(port), new Flooder(port), new Flooder(port)]);
    const senders = Array.from(
      { length: SENDERS },
      (_, i) => new HonestSender(nodes[i % nodes.length]?.port ?? 0, `127.0.3.${i + 1}`),
    );
    const begin = performance.now();
    await delay(FALLS_AFTER);
    if (flooders.some(({ refused }) => refused > 0)) throw new Error('the limit was reached before the fall');
    const fell = performance.now();
    if (place !== 'none') {
      await redis.master.kill();
      await until(() => nodes.every((node) => said(node, AWAY) > 0), 'both nodes say that they are alone');
    }
    if (place === 'alone') {
      await delay(BACK_AFTER);
      await redis.master.restart();
    }
    await until(() => nodes.every((node) => said(node, SHARED) > said(node, AWAY)), 'both nodes share again');
    const alone = place === 'none' ? 0 : performance.now() - fell;
    await until(() => flooders.every(({ refused }) => refused > 20), 'all flooders are refused');
    await Promise.all([...flooders, ...senders].map((one) => one.stop()));
    const passed = sum(flooders.map((one) => one.passed));
    const grown = Math.ceil((limit * (performance.now() - begin)) / DAY); // what has run off the bucket meanwhile
    const sent = senders.flatMap((one) => one.accepted);
    const arrived = new Set(sink.messages.map(({ content }) => /^Subject: (\S+)/m.exec(content)?.[1]));
    const missing = sent.filter((mark) => !arrived.has(mark)).length;
    if (arrived.size !== sent.length - missing) throw new Error('a message arrived that was not answered with 250');
    return {
      alone,
      slowest: Math.max(...[...flooders, ...senders].map((one) => one.slowest)),
      replies: 3 * passed + sum(flooders.map((one) => one.refused)) + 5 * sent.length,
      passed,
      over: Math.max(0, passed - limit - grown),
      sent: sent.length,
      arrived: sent.length - missing,
      odd: sum([...flooders, ...senders].map(({ odd }) => odd.length)),
    };
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.stop();
    await sink.stop();
  }
}

try {
  if (noRedis !== false) throw new MissingTool(noRedis);
  const flags = readFlags(['--rounds', '1', ...process.argv.slice(2)]);
  const limit = flags.quick ? QUICK_LIMIT : LIMIT;
  const rows: string[][] = [];
  for (const place of Object.keys(PLACES)) {
    if (flags.load.length > 0 && !flags.load.includes(place)) continue;
    const found: Found[] = [];
    for (let round = 0; round < flags.rounds; round++) found.push(await fall(place, limit));
    const keep = (unit: string, of: (one: Found) => number): number =>
      figure({ load: place, proxy: 'postern', unit, rounds: found.map(of) });
    const seconds = keep('s until shared again', (one) => one.alone / 1000);
    const slowest = keep('ms slowest reply', (one) => one.slowest);
    const replies = keep('replies', (one) => one.replies);
    const over = keep('over-admitted', (one) => one.over);
    const sent = keep('messages answered with 250', (one) => one.sent);
    const lost = keep('lost', (one) => one.sent - one.arrived);
    const odd = keep('odd replies', (one) => one.odd);
    const numbers = [seconds.toFixed(1), slowest.toFixed(0), `${replies}`, `${over} of ${limit}`, `${sent}`, `${lost}`];
    rows.push([place, ...numbers, `${odd}`]);
  }
  printMachine();
  printTable(
    [
      'Redis',
      's until shared again',
      'slowest reply ms',
      'of replies',
      'over-admitted',
      'messages sent',
      'lost',
      'odd replies',
    ],
    rows,
  );
} catch (error) {
  if (!(error instanceof MissingTool)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
