// GET /explain of a running firewall: the account of an answer is of what the answer was made of.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import type { Explanation } from '../../src/policy/explain.ts';
import { startFirewall } from '../../src/serve/firewall.ts';
import { writeSettled } from '../helpers/settled.ts';

test('a name that DNS is first asked for by the question itself is told in its account', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-explain-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'postern.yaml');
  const known = new Map<string, readonly string[]>();
  const resolve = async (address: string): Promise<readonly string[]> => {
    known.set(address, ['mx.partner.example']);
    return known.get(address) ?? [];
  };
  const rules = [{ name: 'partner', allow: { ptr: ['mx.partner.example'] } }];
  const config = {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: ['192.0.2.25:25'] },
    admin: { listen: '127.0.0.1:0' },
    policy: { version: 1, accepted_domains: [], connectors: [{ name: 'all', remote_ip_ranges: ['any'], rules }] },
  };
  writeSettled(file, JSON.stringify(config));
  const loaded = loadConfig(file, { resolve });
  assert.ok(loaded.config !== null && loaded.policy !== null);
  const sink = { write: () => {}, flush: async () => {}, lost: 0 };
  const names = (address: string): readonly string[] | null => known.get(address) ?? null;
  const firewall = await startFirewall(loaded.config, loaded.policy, { sink, names, resolve });
  t.after(() => firewall.close());
  const answer = await fetch(
    `http://127.0.0.1:${firewall.adminAddress?.port}/explain?source=203.0.113.7&rcpt=x@foreign.example`,
  );
  const { answer: decided, recipients } = (await answer.json()) as Explanation;
  assert.deepEqual([decided, recipients[0]?.rules.map(({ matched }) => matched)], ['proceed', ['yes']]);
});
