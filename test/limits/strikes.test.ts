// A limit of the session that is exceeded counts towards a ban as a refusal by a rate does, and leaks out as that does, also
// where the counts of one store are taken over by another (Redis, and the node's own when it is away).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/limits/memory-store.ts';
import type { Asked, Taken } from '../../src/limits/store.ts';
import { DEFAULT_LIMITS } from '../../src/policy/document.ts';
import { ClientLimits } from '../../src/serve/client-limits.ts';
import { Limiter } from '../../src/serve/limiter.ts';
import { connector, sound } from '../policy/build.ts';
import { HOUR } from './questions.ts';

/** Answers from one store, and lets another take over what it found there. */
class Shadowed extends MemoryStore {
  readonly shadow = new MemoryStore();

  override take(asked: Asked, now: number): Taken {
    const taken = super.take(asked, now);
    const rooms = asked.charges.map(
      (charge) => super.take({ networks: [], charges: [{ ...charge, cost: 0 }], strike: null }, now).left,
    );
    this.shadow.settle(asked.charges, rooms, now);
    return taken;
  }
}

test('a strike that was taken over is forgotten in its time', () => {
  const ban = { ...DEFAULT_LIMITS.ban, after: { limit: 2, window: HOUR } };
  const policy = sound({ connectors: [connector({ limits: { ban } })] });
  const [internet] = policy.connectors;
  assert.ok(internet !== undefined);
  const store = new Shadowed();
  const banned: string[] = [];
  let now = 0;
  const observer = { limited: () => {}, banned: ({ network }: { network: string }) => void banned.push(network) };
  const clientLimits = new ClientLimits(new Limiter(store, observer, () => now), internet, '192.0.2.1');
  const exceed = (): void => clientLimits.heard({ name: 'limited', kind: 'session', key: 'errors' });
  exceed();
  const [found] = store.shadow.view(5, now).uses;
  assert.deepEqual([found?.used, found?.limit], [1, 2]);
  now = HOUR;
  assert.deepEqual(store.shadow.view(5, now).uses, []);
  exceed();
  assert.deepEqual(banned, []);
  exceed();
  assert.deepEqual(banned, ['192.0.2.1/32']);
});
