// Passive identity, end to end: real logins through the whole firewall, and the rules that name their users.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { authenticate, negotiate } from '../helpers/ntlm.ts';
import { greeted, type Open, open, quit } from './front.ts';
import type { Peer } from './peer.ts';

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

const LOGINS: Readonly<Record<string, (user: string) => readonly string[]>> = {
  PLAIN: (user) => [`AUTH PLAIN ${base64(`\0${user}\0secret`)}`],
  LOGIN: (user) => ['AUTH LOGIN', base64(user), base64('secret')],
  'CRAM-MD5': (user) => ['AUTH CRAM-MD5', base64(`${user} 0123456789abcdef0123456789abcdef`)],
};

const POLICY = {
  version: 1,
  accepted_domains: ['local.example'],
  groups: { approved: ['CORP\\Alice', 'bob@corp.example.com'] },
  user_domains: { CORP: 'corp.example.com' },
};

function opened(t: TestContext, connector: Record<string, unknown>): Promise<Open> {
  const connectors = [{ name: 'internet', remote_ip_ranges: ['any'], ...connector }];
  return open(t, { rest: { policy: { ...POLICY, connectors } } });
}

async function say(client: Peer, line: string): Promise<string> {
  client.say(`${line}\r\n`);
  return client.reply();
}

async function introduced(firewall: Open): Promise<Peer> {
  const client = await greeted(firewall);
  await say(client, 'EHLO client.example');
  return client;
}

async function loggedIn(firewall: Open, lines: readonly string[]): Promise<Peer> {
  const client = await introduced(firewall);
  let reply = '';
  for (const line of lines) reply = await say(client, line);
  assert.match(reply, /^235 /);
  return client;
}

const GROUP_RULES = { rules: [{ name: 'approved', allow: { groups: ['approved'] } }] };

for (const [user, may] of [
  ['CORP\\alice', true],
  ['corp\\ALICE', true],
  ['alice@corp.example.com', true],
  ['Alice@CORP.example.COM', true],
  ['CORP\\bob', true],
  ['bob@corp.example.com', true],
  ['alice', false],
  ['OTHER\\alice', false],
  ['alice@other.example', false],
  ['CORP\\alice2', false],
] as const) {
  test(`${user} is ${may ? '' : 'not '}in a group that names CORP\\Alice and bob@corp.example.com, by every mechanism`, async (t) => {
    const firewall = await opened(t, GROUP_RULES);
    for (const lines of Object.values(LOGINS)) {
      const client = await loggedIn(firewall, lines(user));
      await say(client, 'MAIL FROM:<>');
      assert.match(await say(client, 'RCPT TO:<x@foreign.example>'), may ? /^250 / : /^554 5\.7\.1 /);
      await quit(client);
    }
  });
}

test('the domain and name of an NTLM login are a user of that domain', async (t) => {
  const firewall = await opened(t, GROUP_RULES);
  const proof = authenticate({ domain: 'CORP', user: 'ALICE' }).toString('base64');
  const client = await loggedIn(firewall, ['AUTH NTLM', negotiate.toString('base64'), proof]);
  await say(client, 'MAIL FROM:<>');
  assert.match(await say(client, 'RCPT TO:<x@foreign.example>'), /^250 /);
  await quit(client);
});

test('login_must_match binds a login to its senders in every spelling, and others: deny binds the rest', async (t) => {
  const senders = {
    login_must_match: { 'CORP\\steven': ['steven@local.example', 'sales@local.example'] },
    others: 'deny',
  };
  const firewall = await opened(t, { submit: 'authenticated', senders });
  const answers = async (user: string, sender: string): Promise<string> => {
    const client = await loggedIn(firewall, LOGINS.PLAIN?.(user) ?? []);
    const reply = await say(client, `MAIL FROM:<${sender}>`);
    await quit(client);
    return reply.slice(0, 3);
  };
  assert.equal(await answers('corp\\STEVEN', 'Sales@LOCAL.example'), '250');
  assert.equal(await answers('steven@corp.example.com', 'steven@local.example'), '250');
  assert.equal(await answers('CORP\\steven', 'boss@local.example'), '550');
  assert.equal(await answers('CORP\\steven', ''), '250');
  assert.equal(await answers('CORP\\alice', 'alice@local.example'), '550');
  const stranger = await introduced(firewall);
  assert.match(await say(stranger, 'MAIL FROM:<steven@local.example>'), /^530 5\.7\.1 /);
  await quit(stranger);
});

test('a failed login names nobody, and the summary counts it', async (t) => {
  const firewall = await opened(t, GROUP_RULES);
  const client = await introduced(firewall);
  for (const line of LOGINS.LOGIN?.('bad') ?? []) await say(client, line);
  await say(client, 'MAIL FROM:<>');
  assert.match(await say(client, 'RCPT TO:<x@foreign.example>'), /^554 /);
  await quit(client);
  while (firewall.logged('session ended').length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(firewall.logged('session ended')[0]?.login_failures, 1);
});
