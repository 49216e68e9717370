// A question as people ask it: how its words are read, and what the verdict says of where it ended.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectorDocument, PolicyDocument } from '../../src/policy/document.ts';
import {
  ANY_LOCAL,
  answerQuestion,
  isAnswer,
  type PolicyQuestionWords,
  parseLocal,
  readPolicyQuestion,
  type Verdict,
} from '../../src/policy/policy-question.ts';
import { connector, sound } from './build.ts';

const spell = (word: string): string => `--${word}`;

test('a local address is read with its port or without, and 25 is meant then', () => {
  assert.deepEqual(parseLocal('192.0.2.1'), { address: '192.0.2.1', port: 25 });
  assert.deepEqual(parseLocal('192.0.2.1:587'), { address: '192.0.2.1', port: 587 });
  assert.deepEqual(parseLocal('2001:db8::1'), { address: '2001:db8::1', port: 25 });
  assert.deepEqual(parseLocal('[2001:db8::1]'), { address: '2001:db8::1', port: 25 });
  assert.deepEqual(parseLocal('[2001:db8::1]:465'), { address: '2001:db8::1', port: 465 });
  for (const text of ['*:25', 'what', '', '192.0.2.1:99999']) assert.equal(parseLocal(text), null, text);
});

test('what is not said is taken as nobody, nothing and clear text', () => {
  const source = '192.0.2.1';
  const rcpt = 'a@local.example';
  assert.deepEqual(readPolicyQuestion({ source, rcpt }, spell), {
    source,
    local: ANY_LOCAL,
    helo: '',
    login: null,
    tls: false,
    tlsSubject: [],
    sender: '',
    recipient: rcpt,
  });
  assert.deepEqual(ANY_LOCAL, { address: '0.0.0.0', port: 25 });
  const said = { helo: 'pc', login: 'bob', sender: 'b@b.example', local: '10.0.0.1:26', tlsSubject: ['mx.b.example'] };
  assert.deepEqual(readPolicyQuestion({ source, rcpt, ...said }, spell), {
    ...said,
    source,
    recipient: rcpt,
    tls: true,
    local: { address: '10.0.0.1', port: 26 },
  });
  assert.equal((readPolicyQuestion({ source, rcpt, tls: true }, spell) as { tls: boolean }).tls, true);
});

test('what is missing or wrong in a question is said, each word as it is spelled', () => {
  const wrong = (words: PolicyQuestionWords) => readPolicyQuestion(words, spell);
  assert.equal(wrong({ rcpt: 'a@b' }), 'who is the client? --source is wanted, an IP address');
  assert.equal(wrong({ source: 'x', rcpt: 'a@b' }), '--source: "x" is not an address');
  assert.equal(wrong({ source: '10.0.0.1' }), 'to whom? --rcpt is wanted, an address');
  // An empty variable of a script: it was somebody who had logged in.
  assert.match(
    String(wrong({ source: '10.0.0.1', rcpt: 'a@b', login: '' })),
    /^--login: nobody logs in without a name/,
  );
  assert.match(String(wrong({ source: '10.0.0.1', rcpt: 'a@b', tlsSubject: [''] })), /^--tlsSubject: a certificate/);
  assert.equal(wrong({ source: '10.0.0.1', rcpt: 'a@b', local: 'x' }), '--local: "x" is not IP:PORT, as 192.0.2.1:25');
  assert.ok(isAnswer('refuse-sender') && !isAnswer('perhaps'));
});

async function ask(
  given: Partial<ConnectorDocument>,
  words: PolicyQuestionWords = {},
  more: Partial<PolicyDocument> = {},
): Promise<Verdict> {
  const policy = sound({ ...more, connectors: [connector(given)] });
  const question = readPolicyQuestion({ source: '192.0.2.1', rcpt: 'a@local.example', ...words }, spell);
  assert.ok(typeof question !== 'string', String(question));
  return answerQuestion(policy, question);
}

const short = ({ answer, refusedAt, grammar, reply, decision }: Verdict): string =>
  [answer, refusedAt, decision?.reason ?? null, grammar, reply].join(' | ');

test('a verdict says where it ended, by what, and what the client would hear', async () => {
  const lan = { remote_ip_ranges: ['10.0.0.0/8'] };
  const denied = { connect: { allow: ['any'], deny: ['192.0.2.0/24'] } };
  const nobody = { submit: { users: ['bob'] } };
  const observe = { mode: 'observe' as const };
  const relay = '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied';
  const foreign = { rcpt: 'x@foreign.example' };
  for (const [given, words, said] of [
    [{}, {}, 'proceed |  | accepted_domain |  | '],
    [lan, {}, /^refuse-connection \| connection \| {2}\| {2}\| 554 5\.7\.1 /],
    [denied, {}, /^refuse-connection \| connection \| {2}\| {2}\| 554 /],
    [{ ...denied, ...observe }, {}, /^proceed \| connection \| accepted_domain \| {2}\| 554 /],
    [{}, { sender: '<a@b.example> x' }, /^refuse-sender \| MAIL \| {2}\| the sender is no reverse-path \| 501 /],
    [nobody, {}, /^refuse-sender \| MAIL \| submit \| {2}\| 530 /],
    [nobody, { login: '?' }, /^defer \| MAIL \| cannot_tell \| {2}\| 451 /],
    [{ ...nobody, ...observe }, {}, /^proceed \| MAIL \| submit \| {2}\| 530 /],
    [{}, { rcpt: 'a b' }, /^reject \| RCPT \| accepted_domain \| no forward-path \| 501 /],
    [{}, { rcpt: '<a@local.example> x' }, /^reject \| RCPT \| accepted_domain \| no forward-path \| 501 /],
    [{}, { rcpt: '@r.example:a@local.example' }, /^reject \| RCPT \| accepted_domain \| a source route, .* \| 554 /],
    [{}, { rcpt: 'bob' }, /^reject \| RCPT \| {2}\| no domain, and only Postmaster needs none \| 553 /],
    [{}, { rcpt: 'PostMaster' }, 'proceed |  | accepted_domain |  | '],
    [{ unqualified_recipients: 'allow' }, { rcpt: 'bob' }, 'proceed |  | accepted_domain |  | '],
    [
      {},
      { rcpt: 'IMCEAFAX-1@local.example' },
      /^reject \| RCPT \| {2}\| a gateway address that nobody can judge \| 554 /,
    ],
    [{}, foreign, `reject | RCPT | no_rule |  | ${relay}`],
    [{}, { rcpt: '<x@foreign.example>' }, `reject | RCPT | no_rule |  | ${relay}`],
    [observe, foreign, `proceed | RCPT | no_rule |  | ${relay}`],
    [
      { rules: [{ allow: { users: ['bob'] } }] },
      { ...foreign, login: '?' },
      /^defer \| RCPT \| cannot_tell \| {2}\| 451 /,
    ],
    [{ rules: [{ allow: { users: ['bob'] } }] }, { ...foreign, login: 'bob' }, 'proceed |  | rule |  | '],
  ] as [Partial<ConnectorDocument>, PolicyQuestionWords, string | RegExp][]) {
    const verdict = short(await ask(given, words));
    if (typeof said === 'string') assert.equal(verdict, said);
    else assert.match(verdict, said);
  }
});

test('a reply names the recipient and the sender without their brackets, and no other sign is lost', async () => {
  const replies = { sender: '550 5.7.1 not <{sender}>', relay: '554 5.7.1 not <{recipient}>' };
  const senders = { ...connector({}).senders, own_domains: 'deny' as const };
  assert.equal(
    (await ask({ replies, senders }, { sender: '<boss@local.example>' })).reply,
    '550 5.7.1 not <boss@local.example>',
  );
  assert.equal(
    (await ask({ replies, senders }, { sender: '"a<>b"@local.example' })).reply,
    '550 5.7.1 not <"a<>b"@local.example>',
  );
  assert.equal(
    (await ask({ replies }, { rcpt: '"a<>b"@foreign.example' })).reply,
    '554 5.7.1 not <"a<>b"@foreign.example>',
  );
  assert.equal((await ask({}, { sender: 'a b' })).answer, 'refuse-sender');
  assert.equal((await ask({ submit: 'authenticated' })).question?.recipient, '');
});

test('a verdict has the question and the range that it was answered by', async () => {
  const verdict = await ask(
    { remote_ip_ranges: ['192.0.2.0/24'] },
    { login: '?', helo: 'pc', tlsSubject: ['CN = Boss'] },
  );
  assert.equal(verdict.entry?.text, '192.0.2.0/24');
  assert.equal(verdict.connector?.name, 'internet');
  assert.deepEqual(verdict.question?.login, { mechanism: 'GSSAPI', name: null });
  assert.deepEqual(verdict.question?.tlsSubject, ['CN=Boss']);
  assert.equal(verdict.question?.helo, 'pc');
  assert.equal(verdict.question?.protocolState, 'RCPT');
  assert.equal(verdict.question?.recipient, 'a@local.example');
  assert.equal((await ask({ submit: 'authenticated' })).question?.protocolState, 'MAIL');
  const named = await ask({}, { login: 'bob' });
  assert.deepEqual(named.question?.login, { mechanism: 'PLAIN', name: 'bob' });
  assert.equal((await ask({}, { rcpt: 'a b' })).question, null);
});
