// Which key keeps a sender from a login, and what another spelling had to do with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyDocument, SendersDocument } from '../../src/policy/document.ts';
import { connector, decide, login, mail, sound } from './build.ts';

const client = '192.0.2.1';
const ends = { address: client, localAddress: '192.0.2.25', localPort: 25 };
const routed = mail('@r.example:alice@corp.example.com', { senderAddress: null });

function policy(senders: Partial<SendersDocument>, more: Partial<PolicyDocument> = {}) {
  return sound({
    accepted_domains: ['*.example.com'],
    user_domains: { CORP: 'corp.example.com' },
    ...more,
    connectors: [connector({ senders: { ...connector({}).senders, ...senders } })],
  });
}

async function told(asked: ReturnType<typeof policy>, name: string | null, sender: string | null): Promise<string> {
  const question = { ...(sender === null ? routed : mail(sender)), login: login(name) };
  const decision = await decide(asked, client, question);
  const key = asked.connectors[0]?.senderKey(ends, question).key ?? 'none';
  return `${decision?.action === 'proceed' ? 'proceed' : decision?.reply.code} ${key} ${decision?.trace?.() ?? ''}`.trim();
}

test('who may be somebody that is listed sends what that one may, and an own address counts where it is required', async () => {
  const listed = { login_must_match: { 'CORP\\alice': ['sales@example.com'] } };
  assert.equal(
    await told(policy(listed), 'alice', 'alice@corp.example.com'),
    '550 login_must_match alice may be CORP\\alice',
  );
  const required = { ...listed, own_address: 'required' as const };
  assert.equal(await told(policy(required), 'alice', 'alice@corp.example.com'), 'proceed none');
  assert.equal(
    await told(policy(required), 'alice', 'bob@corp.example.com'),
    '550 own_address alice may be CORP\\alice',
  );
  const other = { own_address: 'required' as const, login_must_match: { 'OTHER\\alice': ['sales@example.com'] } };
  assert.equal(
    await told(policy(other), 'alice', 'alice@corp.example.com'),
    '550 login_must_match alice may be OTHER\\alice',
  );
});

test('a sender that is no plain address belongs to nobody', async () => {
  const required = { own_address: 'required' as const };
  assert.equal(await told(policy(required), 'CORP\\alice', null), '550 own_address');
  assert.equal(
    await told(policy({ login_must_match: { alice: ['alice@corp.example.com'] } }), 'alice', null),
    '550 login_must_match',
  );
  assert.equal(await told(policy({ ...required, others: 'deny' }), null, null), '550 others');
  assert.equal(await told(policy({ others: 'deny' }), null, 'x@elsewhere.example'), '550 others');
});

test('a name with a blank in it has no address for a yes', async () => {
  const required = { own_address: 'required' as const, others: 'deny' as const };
  assert.equal(await told(policy(required), 'CORP\\ab', 'ab@corp.example.com'), 'proceed none');
  assert.equal(
    await told(policy(required), 'CORP\\a b', 'a b@corp.example.com'),
    '550 others CORP\\a b may be whose address is a b@corp.example.com',
  );
});

test('a refusal says whose address a login may have, where addresses are held against it', async () => {
  const required = { own_address: 'required' as const };
  const two = { user_domains: { CORP: 'corp.example.com', LAB: 'lab.example.com' } };
  assert.equal(
    await told(policy(required, two), 'alice', 'bob@corp.example.com'),
    '550 own_address alice may be whose address is alice@corp.example.com, or alice@lab.example.com',
  );
  const many = 'a\\b\\c\\d\\e\\f\\g\\h\\alice';
  assert.equal(await told(policy(required), many, 'bob@corp.example.com'), `550 own_address ${many} may be anybody`);
  assert.equal(await told(policy({ others: 'deny' }), 'bob', 'bob@corp.example.com'), '550 others');
});
