// Reading replies: whole, octet by octet and with something behind them, and what is none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMPLETE, INCOMPLETE, MALFORMED, ReplyReader } from '../../src/smtp/reply.ts';
import { type Cut, cutAtRandom, everyOctet, whole } from '../helpers/cuts.ts';

interface Outcome {
  /** `code bytes` of every whole reply. */
  readonly replies: readonly string[];
  readonly end: 'whole' | 'partial' | 'malformed';
}

function read(text: string, cut: Cut): Outcome {
  const reader = new ReplyReader();
  const replies: string[] = [];
  for (const chunk of cut(Buffer.from(text, 'latin1'), 0)) {
    for (let at = 0; at < chunk.length; ) {
      const found = reader.next(chunk, at);
      if (found === MALFORMED) return { replies, end: 'malformed' };
      if (found === INCOMPLETE) break;
      assert.equal(found, COMPLETE);
      replies.push(`${reader.code} ${reader.bytes.toString('latin1')}`);
      at = reader.end;
    }
  }
  return { replies, end: reader.isPartial ? 'partial' : 'whole' };
}

const CUTS: readonly Cut[] = [whole, everyOctet, cutAtRandom(1, 3), cutAtRandom(2, 9)];

function assertReads(text: string, expected: Outcome): void {
  for (const cut of CUTS) assert.deepEqual(read(text, cut), expected);
}

for (const [what, reply, code] of [
  ['one line', '250 ok\r\n', 250],
  ['several lines', '250-mail.local.example\r\n250-SIZE\r\n250 HELP\r\n', 250],
  ['a code alone', '354\r\n', 354],
  ['a code and a blank', '334 \r\n', 334],
  ['lines that end in a bare LF', '550-no\n550 such user\n', 550],
  ['a code alone with a bare LF', '250\n', 250],
  ['empty lines of text', '250-\r\n250 \r\n', 250],
  ['text outside of ASCII', '550 5.1.1 \xe4\xff\r\n', 550],
  ['text with codes in it', '250-250 ok\r\n250 421 x\r\n', 250],
] as const) {
  test(`a reply of ${what} is read however it comes, with another behind it or half of one`, () => {
    const first = `${code} ${reply}`;
    assertReads(reply, { replies: [first], end: 'whole' });
    assertReads(`${reply}220 next\r\n`, { replies: [first, '220 220 next\r\n'], end: 'whole' });
    assertReads(`${reply}22`, { replies: [first], end: 'partial' });
  });
}

for (const [what, text] of [
  ['words', 'hello world\r\n'],
  ['two digits', '25 ok\r\n'],
  ['four digits', '2500 ok\r\n'],
  ['no blank', '250ok\r\n'],
  ['a tab', '250\tok\r\n'],
  ['a code below 200', '150 ok\r\n'],
  ['a code above 599', '600 ok\r\n'],
  ['another code in its second line', '250-ok\r\n550 no\r\n'],
  ['a second line of words', '250-ok\r\nhello\r\n'],
  ['an empty line', '\r\n'],
  ['a blank before the code', ' 250 ok\r\n'],
  ['a NUL', '250 o\0k\r\n'],
  ['a bare CR', '250 o\rk\r\n'],
  ['digits that are none', '²50 ok\r\n'],
  ...['2/0', '2:0', '20/', '20:', '1:0', '199', '600'].map((code) => [`the code ${code}`, `${code} ok\r\n`] as const),
] as const) {
  test(`a reply with ${what} is none`, () => assertReads(text, { replies: [], end: 'malformed' }));
}

test('codes are read from 200 to 599, whatever their digits', () => {
  for (const code of [200, 209, 290, 299, 500, 509, 590, 599])
    assertReads(`${code} ok\r\n`, { replies: [`${code} ${code} ok\r\n`], end: 'whole' });
});

test('what follows a reply spoils it not', () => {
  assertReads('250 ok\r\n\r', { replies: ['250 250 ok\r\n'], end: 'partial' });
  assertReads('250 ok\r\n\0\r\n', { replies: ['250 250 ok\r\n'], end: 'malformed' });
});

test('how long a reply may be is counted from its own start', () => {
  const long = `${'250-x\r\n'.repeat(6_000)}250 x\r\n`;
  assert.deepEqual(read(long.repeat(3), whole), { replies: Array(3).fill(`250 ${long}`), end: 'whole' });
});

test('a reply line of 2048 octets is read, one of 2049 is none', () => {
  const long = `250 ${'x'.repeat(2042)}\r\n`;
  assertReads(long, { replies: [`250 ${long}`], end: 'whole' });
  assertReads(`250 ${'x'.repeat(2043)}\r\n`, { replies: [], end: 'malformed' });
  assertReads('x'.repeat(2049), { replies: [], end: 'malformed' });
});

test('a reply of 64 KiB is read, one of one octet more is none', () => {
  const lines = '250-x\r\n'.repeat(9361);
  const filled = `${lines}250 ${'x'.repeat(65536 - lines.length - 6)}\r\n`;
  assert.equal(filled.length, 65536);
  assertReads(filled, { replies: [`250 ${filled}`], end: 'whole' });
  assertReads(filled.replace('\r\n250 ', '\r\n250 x'), { replies: [], end: 'malformed' });
});
