import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { boundedName, bucketKey, justStruckKey, readKey } from '../../src/limits/keys.ts';
import { toOctets } from '../../src/policy/spellings.ts';
import { senderKey } from '../../src/serve/limit-costs.ts';
import { parseReversePath } from '../../src/smtp/path.ts';
import type { Question } from '../../src/smtp/types.ts';

test('a key says what it was made of', () => {
  assert.deepEqual(readKey(bucketKey('login', 'auth_failure_rate', 'internet', 'corp\\alice', '192.0.2.1/32')), {
    kind: 'login',
    rate: 'auth_failure_rate',
    connector: 'internet',
    names: ['corp\\alice', '192.0.2.1/32'],
  });
});

test('the key of a strike just counted is of a kind of its own', () => {
  const strikes = bucketKey('source', 'strikes', 'internet', '192.0.2.1/32');
  const { kind, connector, names } = readKey(justStruckKey(strikes));
  assert.deepEqual({ kind, connector, names }, { kind: 'just', connector: 'internet', names: ['192.0.2.1/32'] });
  assert.notEqual(justStruckKey(strikes), justStruckKey(bucketKey('source', 'strikes', 'lan', '192.0.2.1/32')));
});

test('what is no key of ours reads as one of nothing', () => {
  assert.deepEqual(readKey('a.b'), { kind: 'a', rate: 'b', connector: '', names: [] });
});

test('a NUL in a name is shown as a blank', () => {
  assert.match(boundedName('a\0b'), /^a b…[\w-]{43}$/);
});

test('a name of 64 characters stays as it is, one of 65 is cut', () => {
  assert.equal(boundedName('a'.repeat(64)), 'a'.repeat(64));
  assert.match(boundedName('a'.repeat(65)), /^a{32}…[\w-]{43}$/);
});

test('names that differ behind the cut have keys that differ', () => {
  assert.notEqual(boundedName(`${'a'.repeat(100)}1`), boundedName(`${'a'.repeat(100)}2`));
});

test('no name can be spelled like a cut one, or like two', () => {
  const cut = boundedName('a'.repeat(65));
  assert.notEqual(boundedName(cut), cut);
  assert.notEqual(bucketKey('login', 'message_rate', 'c', 'a\0b'), bucketKey('login', 'message_rate', 'c', 'a', 'b'));
});

test('different names never share a key, and a key is short whatever the name', () => {
  const name = fc.string({ unit: 'binary', maxLength: 200 });
  fc.assert(
    fc.property(name, name, (one, other) => {
      assert.equal(boundedName(one) === boundedName(other), one === other);
      assert.ok(bucketKey('sender', 'message_rate', 'c', one).length <= 120);
    }),
  );
});

test('a sender has one budget, however its domain is spelled', () => {
  const key = (text: string): string => {
    const octets = toOctets(`<${text}>`);
    const path = parseReversePath(octets, 0, true);
    return senderKey({ sender: path?.written, senderAddress: path?.address } as Question);
  };
  for (const domain of [
    'bücher.example',
    'BÜCHER.example',
    'XN--BCHER-kva.example.',
    'ｂücher.example',
    'bu\u0308cher.example',
  ])
    assert.equal(key(`A@${domain}`), 'a@xn--bcher-kva.example', domain);
  assert.equal(key('a@[192.0.2.1]'), 'a@[192.0.2.1]');
  assert.notEqual(key('a@bucher.example'), key('a@bücher.example'));
});
