// The Redis that keeps the counts is killed and another takes over: no session hangs or ends, and the nodes share again by themselves.
//
// Not here: how slow the slowest reply is, and how much is let pass beyond a limit meanwhile (bench/failover.ts measures both).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningPostern } from '../helpers/postern.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { Flooder, startNode, sum } from './nodes.ts';
import { startCluster, startSentinels } from './redis-many.ts';
import { noRedis } from './redis-server.ts';

const SHARED = 'counters are shared with the other nodes';
const AWAY = 'counters are not shared';
const DOWN_AFTER = 500; // ms
const WITHIN = 20_000; // ms
const LIMIT = 100_000; // so many messages are not reached here

const said = (node: RunningPostern, words: string): number => node.logs.filter((line) => line.includes(words)).length;

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + WITHIN; !holds(); await delay(20)) {
    if (Date.now() > end) throw new Error(`did not come: ${what}`);
  }
}

for (const [place, start] of [
  ['the replica that Sentinels choose', startSentinels],
  ['the replica of its node in a cluster', startCluster],
] as const) {
  test(`when the master is killed the nodes go on, and share their counts again through ${place}`, {
    skip: noRedis,
  }, async () => {
    const redis = await start(DOWN_AFTER);
    const standIn = await UpstreamStandIn.listen({ dialect: 'lf' });
    const limits = { source: { message_rate: `${LIMIT}/24h` } };
    const begin = () => startNode({ upstream: standIn.port, limits, state: redis.state });
    const nodes = await Promise.all([begin(), begin()]);
    try {
      await until('both share', () => nodes.every((node) => said(node, SHARED) === 1));
      const flooders = nodes.map(({ port }) => new Flooder(port));
      await until('both sources pass', () => flooders.every(({ passed }) => passed > 20));
      await redis.master.kill();
      await until('both say that they are alone', () => nodes.every((node) => said(node, AWAY) > 0));
      const before = flooders.map(({ passed }) => passed);
      await until('both go on alone', () => flooders.every(({ passed }, i) => passed > (before[i] ?? 0) + 20));
      await until('both share again', () => nodes.every((node) => said(node, SHARED) > said(node, AWAY)));
      await Promise.all(flooders.map((one) => one.stop()));
      assert.deepEqual(
        flooders.flatMap(({ odd }) => odd),
        [],
      );
      assert.equal(sum(flooders.map(({ refused }) => refused)), 0);
      const [, replica] = redis.servers;
      const keys = Number((await replica?.ask('DBSIZE'))?.replace(':', ''));
      assert.ok(keys > 0, 'the counts are where the replica was');
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
      await redis.stop();
      await standIn.close();
    }
  });
}
