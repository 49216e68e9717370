// SMTP smuggling: CVE-2023-51764 (Postfix), CVE-2023-51765 (Sendmail), CVE-2023-51766 (Exim), CVE-2024-27305 (aiosmtpd).
//
// The sender's server forwards an end of mail data that it does not take for one; the receiving server takes it for one
// and reads the rest of the message as commands. Here every such end is sent to the server that falls for it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attack, attack, TRANSACTION, unprotected } from '../helpers/attack.ts';
import type { Dialect } from '../helpers/dialects.ts';

const SMUGGLED = 'MAIL FROM:<evil@sender.example>\r\nRCPT TO:<victim@foreign.example>\r\nDATA\r\nspam\r\n.\r\n';

const ENDS: readonly (readonly [string, string, Dialect])[] = [
  ['LF . LF', '\n.\n', 'lf'],
  ['LF . CRLF (Postfix, Exim)', '\n.\r\n', 'lf'],
  ['CRLF . LF', '\r\n.\n', 'lf'],
  ['CR . CR (Sendmail)', '\r.\r', 'cr'],
  ['CR . CRLF', '\r.\r\n', 'cr'],
  ['LF . CR', '\n.\r', 'cr'],
  ['CRLF . CR CRLF (any run of CR before LF)', '\r\n.\r\r\n', 'crstrip'],
  ['CRLF . CR CR LF LF', '\r\n.\r\r\n\n', 'crstrip'],
  ['CRLF . NUL CRLF (OpenSMTPD)', '\r\n.\0\r\n', 'cstr'],
  ['CRLF . NUL and anything', '\r\n.\0anything\r\n', 'cstr'],
  ['CRLF NUL . CRLF', '\r\n\0.\r\n', 'nulskip'],
  ['CR NUL LF . CRLF', '\r\0\n.\r\n', 'nulskip'],
  ['CRLF . blank CRLF', '\r\n. \r\n', 'trim'],
  ['CRLF . tab CRLF', '\r\n.\t\r\n', 'trim'],
];

for (const [what, end, dialect] of ENDS) {
  const given: Attack = { bursts: [...TRANSACTION, 'DATA\r\n', `Subject: x\r\n\r\nhello${end}${SMUGGLED}`], dialect };

  test(`${what} smuggles a recipient past nobody`, () => {
    assert.ok(unprotected(given).includes('victim@foreign.example'));
  });

  test(`${what} does not smuggle a recipient past the firewall`, () => {
    for (const { recipients, messages, replies, closed } of attack(given)) {
      assert.deepEqual(recipients, ['user@local.example']);
      assert.equal(messages, 0);
      assert.match(replies, /\r\n554 5\.6\.0 [^\r\n]*\r\n$/);
      assert.ok(closed);
    }
  });

  test(`${what} is text with bare_lf normalize, and the message arrives whole`, () => {
    for (const { recipients, messages } of attack({ ...given, options: { profile: { bareLf: 'normalize' } } })) {
      assert.deepEqual(recipients, ['user@local.example']);
      assert.equal(messages, 1);
    }
  });
}

test('a dot line that Exchange 4.0 ends on smuggles nothing with dot_lines strict', () => {
  const given: Attack = {
    bursts: [...TRANSACTION, 'DATA\r\n', `hello\r\n.anything\r\n${SMUGGLED}`],
    dialect: 'dotany',
    options: { profile: { dotLines: 'strict' } },
  };
  assert.ok(unprotected(given).includes('victim@foreign.example'));
  for (const { recipients, messages } of attack(given)) {
    assert.deepEqual(recipients, ['user@local.example']);
    assert.equal(messages, 0);
  }
});
