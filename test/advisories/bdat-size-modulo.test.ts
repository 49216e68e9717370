// Exim and others read a BDAT size as a C unsigned: 4294967297 is 1, -1 is 4294967295, 0x10 is 0.
//
// Who takes the number as written believes that the commands behind the first octet are payload; the server executes
// them. So a size above 2^31-1 is not forwarded, and of what follows it the server hears nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack, TRANSACTION, unprotected } from '../helpers/attack.ts';

const SMUGGLED = 'xRSET\r\nMAIL FROM:<evil@sender.example>\r\nRCPT TO:<victim@foreign.example>\r\n';
const backend = { bdat: 'u32' } as const;

for (const size of ['4294967297', '4294967297 LAST', '8589934593', '-4294967295', '2147483648', '4294967295']) {
  test(`BDAT ${size} smuggles nothing`, () => {
    const bursts = [...TRANSACTION, `BDAT ${size}\r\n${SMUGGLED}`];
    for (const { recipients, commands } of attack({ bursts, backend })) {
      assert.deepEqual(recipients, ['user@local.example']);
      assert.ok(!commands.some((command) => command.startsWith('BDAT')));
    }
  });
}

test('without the firewall the recipient is executed', () => {
  const bursts = [...TRANSACTION, `BDAT 4294967297 LAST\r\n${SMUGGLED}`];
  assert.ok(unprotected({ bursts, backend }).includes('victim@foreign.example'));
});

test('the payload of a refused BDAT is not read as commands', () => {
  const bursts = [
    ...TRANSACTION.slice(0, 2),
    'RCPT TO:<no@foreign.example>\r\n',
    `BDAT ${SMUGGLED.length} LAST\r\n${SMUGGLED}NOOP\r\n`,
  ];
  for (const { recipients, commands } of attack({ bursts })) {
    assert.deepEqual(recipients, []);
    assert.deepEqual(commands.slice(2), ['NOOP']);
  }
});
