import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainTable, parseDomainPattern } from '../../src/policy/domains.ts';

function table(...patterns: string[]): DomainTable<string> {
  const made = new DomainTable<string>();
  for (const text of patterns) {
    const pattern = parseDomainPattern(text);
    assert.ok(typeof pattern !== 'string', String(pattern));
    made.add(pattern, text);
  }
  return made;
}

test('a domain alone holds itself and nothing below or beside it', () => {
  const found = table('example.com');
  assert.equal(found.find('example.com'), 'example.com');
  for (const other of ['www.example.com', 'notexample.com', 'example.com.evil.test', 'com', 'example', ''])
    assert.equal(found.find(other), null, other);
});

test('a pattern with a star holds the domain itself and everything below it', () => {
  const found = table('*.example.com');
  for (const domain of ['example.com', 'a.example.com', 'b.a.example.com'])
    assert.equal(found.find(domain), '*.example.com');
  for (const other of ['notexample.com', 'com', 'example.com.evil.test', '.com'])
    assert.equal(found.find(other), null, other);
});

test('the most specific pattern wins, wherever it stands in the list', () => {
  const found = table('*.example.com', 'www.example.com', '*.a.example.com', 'a.example.com', '*.com');
  assert.equal(found.find('www.example.com'), 'www.example.com');
  assert.equal(found.find('a.example.com'), 'a.example.com');
  assert.equal(found.find('b.a.example.com'), '*.a.example.com');
  assert.equal(found.find('x.www.example.com'), '*.example.com');
  assert.equal(found.find('other.com'), '*.com');
});

test('a name with letters beyond ASCII is found as A-label and as UTF-8 octets, and in no other form', () => {
  const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  for (const written of ['*.münchen.example', '*.xn--mnchen-3ya.example', '*.MÜNCHEN.example']) {
    const found = table(written);
    assert.equal(found.find('xn--mnchen-3ya.example'), written);
    assert.equal(found.find(octets('post.münchen.example')), written);
    assert.equal(found.find('münchen.example'), null, 'latin-1 is not UTF-8');
    assert.equal(found.find(octets('münchen。example')), null, 'an ideographic full stop is no dot');
    assert.equal(found.find(octets('mu\u0308nchen.example')), null, 'decomposed');
  }
});

test('only ASCII letters are folded when a pattern is read', () => {
  assert.equal(table('EXAMPLE.Com').find('example.com'), 'EXAMPLE.Com');
  assert.equal(table('example.com.').find('example.com'), 'example.com.', 'a trailing dot is dropped');
});

test('what is no domain is refused with a word about what was meant', () => {
  for (const [text, hint] of [
    ['.example.com', "'*.example.com'"],
    ['#example.com', "'example.com'"],
    ['@example.com', "'example.com'"],
    ['bob@example.com', "'example.com'"],
    ['*', 'every domain'],
    ['a.*.b', 'only at the start'],
    ['192.0.2.1', 'accepted_literals'],
    ['example.0x7f', 'ends in a number'],
    ['ex ample.com', 'not a domain'],
    ['example..com', 'not a domain'],
    ['', 'not a domain'],
    ['-example.com', 'not a domain'],
    [`${'a'.repeat(64)}.example`, 'not a domain'],
  ] as const) {
    const said = parseDomainPattern(text);
    assert.ok(typeof said === 'string' && said.includes(hint), `${text}: ${JSON.stringify(said)}`);
  }
  assert.equal(typeof parseDomainPattern(`${'a'.repeat(63)}.example`), 'object');
  assert.equal(typeof parseDomainPattern('163.com'), 'object');
  assert.equal(typeof parseDomainPattern('localhost'), 'object');
});
