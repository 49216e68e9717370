// What we say, word for word as docs/replies.md has it, and how a reply becomes a line: placeholders, codes, and never more
// than 512 octets of printable ASCII.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EVERY_REPLY, formatReply, RELAY_DENIED, replyText } from '../../src/smtp/replies.ts';
import type { OwnReply } from '../../src/smtp/types.ts';

const PAGE = readFileSync(new URL('../../docs/replies.md', import.meta.url), 'utf8');
const ROWS = PAGE.split('\n').filter((line) => /^\| `\d/.test(line));

test('every reply is one of the page, with when it is said and what makes it', () => {
  const rows = EVERY_REPLY.map(({ reply: { code, enhanced, text }, when, keys }) => {
    return `| \`${code} ${enhanced} ${text}\` | ${when} | ${keys.map((key) => `\`${key}\``).join(' ')} |`;
  });
  for (const row of rows)
    assert.ok(
      ROWS.some((line) => line.startsWith(row)),
      row,
    );
  assert.equal(rows.length, ROWS.length);
});

const own = (text: string, enhanced: string | null = '5.7.1'): OwnReply => ({ code: 550, enhanced, text });

test('the enhanced code stands where it was offered, and where there is one', () => {
  assert.equal(replyText(own('No'), true), '550 5.7.1 No');
  assert.equal(replyText(own('No'), false), '550 No');
  assert.equal(replyText(own('No', null), true), '550 No');
  assert.equal(formatReply(own('No'), true).toString('latin1'), '550 5.7.1 No\r\n');
});

test('placeholders are filled, as often as they stand there; others are text', () => {
  const fill = { recipient: 'r@x.example', sender: 's@x.example', client_address: '192.0.2.1' };
  const reply = own('{client_address}: <{recipient}> of <{sender}>, {recipient} {helo}');
  assert.equal(replyText(reply, false, fill), '550 192.0.2.1: <r@x.example> of <s@x.example>, r@x.example {helo}');
  assert.equal(replyText(reply, false), '550 : <> of <>,  {helo}');
  assert.equal(replyText(reply, false, { recipient: 'again' }), '550 : <again> of <>, again {helo}');
});

test('what is no printable ASCII is shown as question marks, in the text and in what fills it', () => {
  assert.equal(replyText(own('caf\xe9 {sender}\t!'), false, { sender: 'a\r\nb\x7f\xff' }), '550 caf? a??b???!');
});

test('what is filled in is cut so that the sentence still stands and the line has 512 octets', () => {
  for (const enhanced of [true, false]) {
    const line = formatReply(RELAY_DENIED, enhanced, { recipient: 'x'.repeat(1000) }).toString('latin1');
    assert.equal(line.length, 512);
    assert.match(line, /x>: Recipient address rejected: Relay access denied\r\n$/);
  }
  const both = replyText(own('{sender}|{recipient}|'), false, { sender: 'x'.repeat(500), recipient: 'y'.repeat(500) });
  assert.equal(both, `550 ${'x'.repeat(500)}|${'y'.repeat(4)}|`);
  const room = replyText(own('{sender}|{recipient}|'), false, { sender: 'x'.repeat(600), recipient: 'y' });
  assert.equal(room, `550 ${'x'.repeat(504)}||`);
});

test('a text that is too long alone is cut, and nothing is filled in', () => {
  const text = replyText(own(`${'t'.repeat(506)}{sender}u`), false, { sender: 'x' });
  assert.equal(text, `550 ${'t'.repeat(506)}`);
  assert.equal(replyText(own('t'.repeat(506)), false), `550 ${'t'.repeat(506)}`);
});
