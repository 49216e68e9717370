// Proxies that look at the first RCPT of a session and pump blindly afterwards (nginx's mail module), or that lose step.
//
// Every recipient of every transaction is judged, however much good mail went before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack, OPENING, TRANSACTION } from '../helpers/attack.ts';

const GOOD = ['MAIL FROM:<s@sender.example>\r\n', 'RCPT TO:<user@local.example>\r\n', 'DATA\r\n', 'text\r\n.\r\n'];
const CHUNKED = ['MAIL FROM:<s@sender.example>\r\n', 'RCPT TO:<user@local.example>\r\n', 'BDAT 4 LAST\r\ntext'];
const FOREIGN = ['MAIL FROM:<s@sender.example>\r\n', 'RCPT TO:<victim@foreign.example>\r\n'];

for (const [what, before] of [
  ['a good recipient', TRANSACTION],
  ['a message', [...OPENING, ...GOOD, ...FOREIGN]],
  ['a chunked message', [...OPENING, ...CHUNKED, ...FOREIGN]],
  ['ten messages', [...OPENING, ...Array.from({ length: 10 }, () => GOOD).flat(), ...FOREIGN]],
  ['a login', [...OPENING, 'AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n', ...FOREIGN]],
  ['RSET', [...TRANSACTION, 'RSET\r\n', ...FOREIGN]],
  ['a second EHLO', [...TRANSACTION, 'EHLO again.example\r\n', ...FOREIGN]],
  ['a second transaction, pipelined', [...OPENING, `${GOOD.join('')}${FOREIGN.join('')}`]],
] as const) {
  test(`a foreign recipient behind ${what} is refused`, () => {
    for (const { recipients, replies } of attack({ bursts: [...before, 'RCPT TO:<victim@foreign.example>\r\n'] })) {
      assert.ok(!recipients.includes('victim@foreign.example'));
      assert.match(replies, /^554 5\.7\.1 <victim@foreign\.example>/m);
    }
  });
}
