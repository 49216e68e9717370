// The counters that a configuration names, opened.

import { readFileSync } from 'node:fs';
import { beside } from '../config/beside.ts';
import type { Config } from '../config/schema.ts';
import { MemoryStore } from '../limits/memory-store.ts';
import type { RedisEvents } from '../limits/redis-store.ts';
import type { Store } from '../limits/store.ts';

const OPENED_WITHIN = 1_000; // ms that the first client may be kept waiting for Redis

/** `file`: the configuration, from which relative paths are meant. */
export async function openStore(config: Config, file: string | null, events: RedisEvents): Promise<Store> {
  const { state, state_password_file, state_ca } = config;
  if (state === 'memory') return new MemoryStore();
  const read = (path: string | undefined): string | null =>
    path === undefined ? null : readFileSync(beside(file, path), 'utf8');
  const secrets = { password: read(state_password_file)?.trim() ?? null, ca: read(state_ca) };
  const { RedisStore } = await import('../limits/redis-store.ts'); // its client is nothing for who has no Redis
  const store = new RedisStore(state, secrets, events);
  await store.opened(OPENED_WITHIN);
  return store;
}
