import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readSaid, WITHHELD } from '../../src/smtp/said.ts';

describe('what was said in a refused line', () => {
  for (const line of [
    'HELO a\tb',
    'MAIL FROM:<auth@user.example> AUTH=<>',
    'RCPT TO:<login@a.example>',
    'FOO bar',
    '',
  ]) {
    it(`is shown: ${JSON.stringify(line)}`, () => {
      assert.deepEqual([readSaid(line, false).text, readSaid(line, false).login], [line, false]);
    });
  }

  for (const [line, text] of [
    ['AUTH PLAIN c2VjcmV0', 'AUTH PLAIN'],
    ['auth xoauth2 c2VjcmV0', 'AUTH XOAUTH2'],
    ['X-EXPS NTLM c2VjcmV0', 'X-EXPS NTLM'],
    ['AUTH scram-sha-256 c2VjcmV0', 'AUTH SCRAM-SHA-256'],
    ['AUTH c2VjcmV0', `AUTH ${WITHHELD}`],
    ['AUTH PLAINc2VjcmV0', `AUTH ${WITHHELD}`],
    ['AUTH  PLAIN c2VjcmV0', `AUTH ${WITHHELD}`],
    [' AUTH PLAIN c2VjcmV0', WITHHELD],
    ['AUTH\tPLAIN c2VjcmV0', WITHHELD],
    ['AUTH=PLAIN c2VjcmV0', WITHHELD],
    ['\0AUTH PLAIN c2VjcmV0', WITHHELD],
    ['PASS c2VjcmV0', WITHHELD],
    ['a1 LOGIN bob c2VjcmV0', WITHHELD],
    ['Authorization: Basic c2VjcmV0', WITHHELD],
  ] as const) {
    it(`is not shown where it may be a login, nor what follows: ${JSON.stringify(line)}`, () => {
      const said = readSaid(line, false);
      assert.equal(said.text, text);
      assert.equal(said.login, true);
      assert.doesNotMatch(said.verb, /c2VjcmV0/i);
      const next = readSaid('c2VjcmV0', said.login);
      assert.deepEqual([next.verb, next.text], ['', WITHHELD]);
      assert.equal(readSaid('HELO a\tb', said.login).text, 'HELO a\tb');
    });
  }
});
