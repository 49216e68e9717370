// A reply as a policy file writes it: said as it stands, or refused with what is wrong with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplyName } from '../../src/policy/document.ts';
import { DEFAULT_REPLIES, parseReply } from '../../src/policy/replies.ts';

test('a code, its dotted code and a text are a reply, and the dotted code may be missing', () => {
  const said = (name: ReplyName, text: string): unknown => {
    const reply = parseReply(name, text);
    return typeof reply === 'string' ? reply : [reply.code, reply.enhanced, reply.text];
  };
  assert.deepEqual(said('relay', '550 5.7.1 No relay for {recipient}'), [550, '5.7.1', 'No relay for {recipient}']);
  assert.deepEqual(said('sender', '450 {sender} at {client_address}'), [450, null, '{sender} at {client_address}']);
  assert.deepEqual(said('rate', '451 4.123.123 x'), [451, '4.123.123', 'x']);
  assert.deepEqual(said('connect', '421 4.7.0 not now'), [421, '4.7.0', 'not now']);
  assert.deepEqual(said('connections', '554 not you'), [554, null, 'not you']);
  assert.deepEqual(said('relay', '599 1.2 and {'), [599, null, '1.2 and {']);
  assert.deepEqual(said('relay', '400  x '), [400, null, ' x ']);
  const longest = `550 ${'x'.repeat(506)}`;
  assert.deepEqual(said('relay', longest), [550, null, 'x'.repeat(506)]);
});

test('every reply of ours could be written in a policy as it is', () => {
  for (const name of ['relay', 'submit', 'sender', 'recipient', 'connect', 'connections', 'rate'] as const) {
    const { code, enhanced, text } = DEFAULT_REPLIES[name];
    assert.deepEqual(parseReply(name, `${code} ${enhanced} ${text}`), { code, enhanced, text });
  }
});

test('what is no reply, or not one to this question, is refused with the reason', () => {
  for (const [name, text, problem] of [
    ['relay', 'go away', "'go away' is no reply: a code and a text are wanted"],
    ['relay', '5500 x', 'is no reply'],
    ['relay', 'x550 x', 'is no reply'],
    ['relay', '550', 'is no reply'],
    ['relay', '550 5.7.1 grün', 'not printable ASCII'],
    ['relay', '550 a\nb', 'not printable ASCII'],
    ['relay', '550 \x7f', 'not printable ASCII'],
    ['relay', '550 5.7.1  ', 'has no text behind its code'],
    ['relay', '550 ', 'has no text behind its code'],
    ['connect', '550 x', "'550' cannot refuse a connection: 421 is wanted, or 554"],
    ['connections', '450 x', "'450' cannot refuse a connection"],
    ['relay', '250 x', "'250' does not refuse: a code from 400 to 599"],
    ['relay', '650 x', "'650' does not refuse"],
    ['relay', '245 x', "'245' does not refuse"],
    ['relay', '421 x', "'421' would close the session"],
    ['relay', '550 4.7.1 x', "'4.7.1' contradicts 550: it must begin with 5"],
    ['relay', '550 for {rcpt} x', "'{rcpt}' is not filled in: {recipient}, {sender} and {client_address} are"],
    ['relay', '550 {recipient} {}', "'{}' is not filled in"],
    ['relay', `550 ${'x'.repeat(507)}`, 'at most 512 octets with its line end, this has 513'],
  ] as const) {
    const said = parseReply(name, text);
    assert.ok(typeof said === 'string' && said.includes(problem), `${text}: ${JSON.stringify(said)}`);
  }
});
