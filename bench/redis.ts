// What does the share of one node weigh in Redis, when peers invent more of each kind than it may keep there?
//
//   node bench/redis.ts
//
// A redis-server of its own, and a node that is asked for 110 000 of each kind: sources, logins and senders, each with the longest
// name that a rate of its kind has. Each uses its hour up, so that no key ends meanwhile. What Redis says of its memory, before
// and behind.

import { bucketKey } from '../src/limits/keys.ts';
import { RedisStore } from '../src/limits/redis-store.ts';
import { startRedis } from '../test/real/redis-server.ts';
import { printMachine, printTable } from './harness/report.ts';

const MET = 110_000;
const AT_ONCE = 20;
const HOUR = 3_600_000;

const redis = await startRedis();
const store = new RedisStore(
  { kind: 'single', hosts: [{ host: '127.0.0.1', port: redis.port }], name: '', database: 0, user: null, tls: false },
  { password: null, ca: null },
  {
    up: () => {},
    down: () => {}, // it owed an answer for 75 ms: waited for below, and told then what was counted meanwhile
    full: () => {},
    banned: () => {},
  },
);
await store.opened(5_000);

async function memory(): Promise<{ used: number; resident: number; keys: number }> {
  const info = await redis.ask('INFO', 'memory');
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
  const keys = Number((await redis.ask('DBSIZE')).replace(/\D/g, ''));
  return { used: field('used_memory'), resident: field('used_memory_rss'), keys };
}

const KINDS = [
  [
    'source',
    'rejected_recipient_rate',
    (n: number) => `2001:db8:${(n >>> 16).toString(16)}:${(n & 65535).toString(16)}::/64`,
  ],
  ['login', 'auth_failure_rate', (n: number) => `user${n}@corp.example.com`],
  ['sender', 'message_rate', (n: number) => `user${n}@sender.example`],
] as const;

const rows: string[][] = [];
let before = await memory();
for (const [kind, rate, name] of KINDS) {
  for (let from = 0; from < MET; from += AT_ONCE) {
    await store.opened(10_000);
    const asked = Array.from({ length: AT_ONCE }, (_, i) => {
      const charge = { key: bucketKey(kind, rate, 'internet', name(from + i)), limit: 120, window: HOUR, cost: 120 };
      return store.take({ networks: [], charges: [charge], strike: null }, performance.now());
    });
    await Promise.all(asked);
  }
  await store.opened(10_000);
  const after = await memory();
  const [keys, used, resident] = (['keys', 'used', 'resident'] as const).map((what) => after[what] - before[what]);
  const megabytes = (octets = 0): string => (octets / 1e6).toFixed(1);
  rows.push([kind, `${MET}`, `${keys}`, megabytes(used), ((used ?? 0) / (keys ?? 1)).toFixed(0), megabytes(resident)]);
  before = after;
}
printMachine();
console.log((await redis.ask('INFO', 'server')).match(/redis_version:\S+/)?.[0]);
printTable(['kind', 'met', 'keys in Redis', 'MB used', 'octets a key', 'MB resident'], rows);
await store.close();
await redis.stop();
