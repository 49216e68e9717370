// The client of Redis where many commands fail together. What is asked, and what comes of the answers: redis-store.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisClient } from '../../src/limits/redis-client.ts';
import { noRedis, startRedis } from '../real/redis-server.ts';

test('a server that dies with many questions unanswered is left once, not once for each', {
  skip: noRedis,
}, async (t) => {
  const redis = await startRedis();
  const warnings: string[] = [];
  const warned = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  let there = (): void => {};
  const isThere = new Promise<void>((resolve) => {
    there = resolve;
  });
  const hosts = [{ host: '127.0.0.1', port: redis.port }];
  const address = { kind: 'single', hosts, name: '', database: 0, user: null, tls: false } as const;
  const events = { begin: async () => true, there, away: () => {} };
  const client = new RedisClient(address, { password: null, ca: null }, events);
  await isThere;
  redis.freeze();
  const answers = Array.from({ length: 20 }, () => client.ask('take', ['key'], [1]));
  await Promise.all(answers); // nobody waits for it
  await redis.kill();
  await delay(50);
  await client.close();
  await redis.stop();
  assert.deepEqual(warnings, []);
});
