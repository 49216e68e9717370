// Asks a Redis what so many Posterns would ask for so many messages, in a process of its own.
//
//   node bench/harness/redis-asker.ts STATE POSTERNS MESSAGES      prints {"questions", "seconds", "p50", "p99", "away"}
//
// A message is one in a session of its own, where source and connector have rates: a seat, MAIL, RCPT, the seat again. Each
// Postern has 4 sessions under way, of a hundred sources. `away`: questions that a node answered by itself since Redis was late;
// it then waits for Redis, so that the others are Redis' answers.

import { readState } from '../../src/config/state.ts';
import { bucketKey, type RateName } from '../../src/limits/keys.ts';
import { RedisStore } from '../../src/limits/redis-store.ts';
import { percentile } from './report.ts';

const SESSIONS = 4;
const SOURCES = 100;
const MINUTE = 60_000;
const [state = '', posterns = '', messages = ''] = process.argv.slice(2);

const address = readState(state);
if (typeof address === 'string') throw new Error(`no place of a Redis: ${state}`);
const times: number[] = [];
let away = 0;
let left = Number(messages);

async function timed<T>(store: RedisStore, answer: T | Promise<T>): Promise<void> {
  const before = performance.now();
  await answer;
  if (store.isUp) {
    times.push(performance.now() - before);
    return;
  }
  away++;
  await store.opened(10_000);
}

async function session(store: RedisStore, number: number): Promise<void> {
  const source = `192.0.2.${number % SOURCES}`;
  const rate = (name: RateName) => ({
    key: bucketKey('source', name, 'internet', source),
    limit: 1e9,
    window: MINUTE,
    cost: 1,
  });
  const asked = (name: RateName) => ({ networks: [source], charges: [rate(name)], strike: null });
  const seat = { connector: 'internet', source };
  const places = { ofSource: 1e6, ofConnector: 1e6, percent: 100, force: false };
  await timed(store, store.enter({ ...asked('connection_rate'), ...places, seat }, performance.now()));
  await timed(store, store.take(asked('message_rate'), performance.now()));
  await timed(store, store.take(asked('recipient_rate'), performance.now()));
  store.leave(seat);
}

const silent = { up: () => {}, down: () => {}, full: () => {}, banned: () => {} };
const stores = Array.from(
  { length: Number(posterns) },
  () => new RedisStore(address, { password: null, ca: null }, silent),
);
for (const store of stores) {
  await store.opened(5_000);
  if (!store.isUp) throw new Error('Redis does not answer');
}
const begin = performance.now();
await Promise.all(
  stores.flatMap((store) =>
    Array.from({ length: SESSIONS }, async () => {
      while (left-- > 0) await session(store, left);
    }),
  ),
);
const seconds = (performance.now() - begin) / 1000;
for (const store of stores) await store.close();
times.sort((a, b) => a - b);
const questions = 4 * Number(messages);
console.log(JSON.stringify({ questions, seconds, p50: percentile(times, 0.5), p99: percentile(times, 0.99), away }));
