import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readSaid, WITHHELD } from '../../src/smtp/said.ts';

describe('what was said in a refused line', () => {
  for (const [line, verb] of [
    ['noop x', 'NOOP'],
    ['foo', 'FOO'],
    ['FOO-9 bar', 'FOO-9'],
    ['A'.repeat(20), 'A'.repeat(20)],
    ['A'.repeat(21), ''],
    ['A'.repeat(41), ''],
    [`${'A'.repeat(41)} x`, ''],
    ['foo_bar x', ''],
    ['_FOO x', ''],
    ['FOO_ x', ''],
    ['', ''],
  ] as const) {
    it(`has a verb that is fit to be shown, or none: ${JSON.stringify(line)}`, () => {
      assert.equal(readSaid(line, false).verb, verb);
    });
  }

  it('is withheld in words that an operator understands', () => {
    assert.equal(readSaid('PASS x', false).text, '(withheld: it may be part of a login)');
  });

  for (const line of [
    'HELO a\tb',
    'MAIL FROM:<auth@user.example> AUTH=<>',
    'RCPT TO:<login@a.example>',
    'FOO bar',
    'shutdown',
    'SHUTDOWN',
    'SHUTDOWN2NOW',
    'Quit',
    'Shutdown now',
    'c2VjcmV0c',
    'c2VjcmV0=',
    'c2Vjc===',
    'c2VjcmV0_cwA',
    '',
  ]) {
    it(`is shown: ${JSON.stringify(line)}`, () => {
      assert.deepEqual([readSaid(line, false).text, readSaid(line, false).login], [line, false]);
    });
  }

  for (const [line, text] of [
    ['AUTH PLAIN c2VjcmV0', 'AUTH PLAIN'],
    ['auth xoauth2 c2VjcmV0', 'AUTH XOAUTH2'],
    ['AUTH OAUTHBEARER c2VjcmV0', 'AUTH OAUTHBEARER'],
    ['AUTH ntlm', 'AUTH NTLM'],
    [`AUTH SCRAM-${'X'.repeat(21)} c2VjcmV0`, `AUTH ${WITHHELD}`],
    ['AUTH SCRAM-', `AUTH ${WITHHELD}`],
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
    ['c2VjcmV0', WITHHELD],
    ['c2VjcmU=', WITHHELD],
    ['c2VjcmV0cw==', WITHHELD],
    ['AENPUlBcZXJpbgBzZWNyZXQ=', WITHHELD],
    ['abcd+bcd', WITHHELD],
    ['abcd/bcd', WITHHELD],
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
