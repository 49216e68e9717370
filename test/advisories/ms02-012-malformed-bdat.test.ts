// MS02-012 (CVE-2002-0055): a malformed BDAT stopped the SMTP service of Windows 2000 and Exchange 2000.
//
// None is forwarded. The session ends, because nobody can tell how many octets behind it are no commands.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack, TRANSACTION } from '../helpers/attack.ts';

for (const argument of [
  ...[
    '',
    ' ',
    ' LAST',
    ' x',
    ' -1',
    ' -1 LAST',
    ' +5',
    ' 5.0',
    ' 0x10',
    ' 1e3',
    ' 5 LASTX',
    ' 5 LAST LAST',
    '  5',
    ' 5  LAST',
  ],
  ...[' 5,', ' \xb5', ' 99999999999999999999', ` ${'9'.repeat(1000)}`],
]) {
  test(`BDAT${argument.slice(0, 24)} is not forwarded, nor anything behind it`, () => {
    const bursts = [...TRANSACTION, `BDAT${argument}\r\nhello\r\nRCPT TO:<victim@foreign.example>\r\nNOOP\r\n`];
    for (const { commands, replies, closed } of attack({ bursts })) {
      assert.equal(commands.length, 3);
      assert.match(replies, /501 5\.5\.4 [^\r\n]*\r\n$/);
      assert.ok(closed);
    }
  });
}
