// The fuzzer for a few seconds with a seed that stays, and that it would find what it is for. Hours of it: `npm run fuzz`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Case, Session, Setting } from './case.ts';
import { Fuzzer } from './fuzzer.ts';
import { hostsIn, mayReceive } from './reference.ts';
import { CLOSED } from './settings.ts';
import { playOnce } from './shrink.ts';

const SEED = 20261129;
const SESSIONS = 250;
const MOST_MS = 8_000;

const PLAIN: Setting = {
  policy: CLOSED,
  dialect: 'lf',
  proxied: false,
  clientTls: 'none',
  identity: 'none',
  upstreamTls: 'none',
  spare: false,
  tight: false,
  runs: 'here',
};

test(`some sessions of seed ${SEED} show no fault`, async (t) => {
  const fuzzer = new Fuzzer({ seed: SEED, lanes: 6, alone: false });
  const until = performance.now() + MOST_MS;
  const found: string[] = [];
  await fuzzer.run(
    () => fuzzer.sessions < SESSIONS && performance.now() < until,
    (one, faults) => found.push(`${faults.join('\n')}\n${JSON.stringify(one)}`),
  );
  t.diagnostic(fuzzer.summary());
  assert.deepEqual(found, []);
  assert.ok(fuzzer.executed > 0 && fuzzer.legitimate > 0);
});

/** A firewall that lets everybody relay, judged by a reference that thinks it closed, would be found out. */
test('a recipient that the reference refuses is a bypass, and a reply that is not due is over-blocking', async () => {
  const open = { ...PLAIN, policy: { ...CLOSED, relay_domains: ['foreign.example'] } };
  const steps = [
    { hears: ['220'] },
    { say: 'EHLO c.example\r\n', hears: ['250'] },
    { say: 'MAIL FROM:<s@sender.example>\r\nRCPT TO:<u@foreign.example>\r\n', hears: ['250', '!554'] },
    { say: 'QUIT\r\n', hears: ['221'] },
  ];
  const session: Session = { header: null, backend: {}, steps, end: 'fin', legitimate: true };
  const one: Case = { setting: open, session };
  const [fault = ''] = await playOnce(one);
  assert.match(fault, /^blocked step 2/);
  const judged: Case = { setting: open, session: { ...session, legitimate: false } };
  assert.deepEqual(await playOnce(judged), []);
  assert.match((await playOnce(judged, CLOSED))[0] ?? '', /^bypass executed "u@foreign\.example"/);
});

test('the reference judge reads as the most obliging server would', () => {
  for (const [mailbox, hosts] of [
    ['u@local.example', ['local.example']],
    ['u%foreign.example@local.example', ['foreign.example', 'local.example']],
    ['foreign.example!u@local.example', ['foreign.example', 'local.example']],
    ['"u@foreign.example"@LOCAL.example.', ['foreign.example', 'local.example']],
    ['IMCEASMTP-u+40foreign.example@local.example', ['foreign.example', 'local.example']],
  ] as const) {
    assert.deepEqual(new Set(hostsIn(mailbox)), new Set(hosts), mailbox);
  }
  assert.equal(hostsIn('@local.example:u@foreign.example'), null);
  const facts = { client: '192.0.2.1', local: '127.0.0.1:25', login: null, tls: false, sender: '' };
  assert.ok(mayReceive(CLOSED, facts, 'u@local.example'));
  assert.ok(mayReceive(CLOSED, facts, 'postmaster'));
  for (const recipient of ['u@foreign.example', 'u', 'u@[203.0.113.1]', 'u%foreign.example@local.example', '']) {
    assert.ok(!mayReceive(CLOSED, facts, recipient), recipient);
  }
});
