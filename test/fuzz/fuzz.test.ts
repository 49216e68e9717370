// The fuzzer for a few seconds with a seed that stays, and that it would find what it is for. Hours of it: `npm run fuzz`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Case, Connector, Policy, Session, Setting } from './case.ts';
import { Fuzzer } from './fuzzer.ts';
import { hostsIn } from './reading.ts';
import { connectorFor, type Facts, outcomes, whyNoMail } from './reference.ts';
import { CLOSED } from './settings.ts';
import { playOnce } from './shrink.ts';

const SEED = 20261129;
const SESSIONS = 250;
const MOST_MS = 8_000;

const PLAIN: Setting = {
  policy: CLOSED,
  next: null,
  observes: false,
  lists: false,
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
    // On a machine with much to do that may be few; of each kind there is one.
    () => fuzzer.sessions < SESSIONS && (performance.now() < until || fuzzer.executed === 0 || fuzzer.legitimate === 0),
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
  for (const recipient of ['u@local.example', 'postmaster']) assert.deepEqual(answers({}, recipient), ['proceed']);
  for (const recipient of ['u@foreign.example', 'u', 'u@[203.0.113.1]', 'u%foreign.example@local.example', '']) {
    assert.deepEqual(answers({}, recipient), ['reject'], recipient);
  }
});

const NOBODY: Facts = {
  client: '192.0.2.1',
  local: '127.0.0.1:0',
  login: null,
  tls: false,
  sender: '',
  helo: '',
  names: [],
  observes: false,
  valid: null,
};

function answers(facts: Partial<Facts>, recipient: string, policy = CLOSED): string[] {
  const all = { ...NOBODY, ...facts };
  return [...outcomes(policy, connectorFor(policy, all), all, recipient)];
}

test('the reference judge knows names in DNS, who exists, whose sender it is, and what is only observed', () => {
  const [internet] = CLOSED.connectors;
  const named: Policy = {
    ...CLOSED,
    user_domains: { CORP: 'own.example' },
    connectors: [
      {
        ...(internet as Connector),
        rules: [{ name: 'named', allow: { ptr: ['*.corp.example'], helo: ['pc'] } }],
        senders: { own_domains: 'authenticated', own_address: 'required', others: 'deny' },
      },
    ],
  };
  const pc = { names: ['a.corp.example'], helo: 'pc' };
  assert.deepEqual(answers(pc, 'u@foreign.example', named), ['proceed']);
  assert.deepEqual(answers({ ...pc, helo: 'other' }, 'u@foreign.example', named), ['reject']);
  assert.deepEqual(answers({ ...pc, names: null }, 'u@foreign.example', named), ['defer']);
  assert.deepEqual(answers({ ...pc, names: null, helo: 'other' }, 'u@foreign.example', named), ['reject']);
  assert.deepEqual(answers({ valid: ['u@local.example'] }, 'u@LOCAL.example'), ['proceed']);
  assert.deepEqual(answers({ valid: ['u@local.example'] }, 'v@local.example'), ['reject']);
  assert.deepEqual(answers({ observes: true }, 'u@foreign.example'), ['proceed']);
  assert.deepEqual(answers({ observes: true }, 'u%foreign.example@local.example'), ['reject']);
  const why = (facts: Partial<Facts>): string | null =>
    whyNoMail(named, named.connectors[0] ?? null, { ...NOBODY, ...facts });
  assert.equal(why({ login: 'corp\\Erin', sender: 'ERIN@own.example' }), null);
  assert.equal(why({ login: 'CORP\\erin', sender: 'frank@own.example' }), '550');
  assert.equal(why({ login: 'alice', sender: 'alice@own.example' }), '550');
  assert.equal(why({ login: 'alice' }), null);
  assert.equal(why({ sender: 's@local.example' }), '550');
  assert.equal(why({ sender: 's@own.example' }), null);
});
