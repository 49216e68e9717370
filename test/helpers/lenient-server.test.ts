// The yardstick itself: each dialect falls for the tricks it was made for and for no others.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend } from './backend.ts';
import { DIALECTS, type Dialect } from './dialects.ts';
import { LenientServer } from './lenient-server.ts';

const OPENING = 'EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n';
const SMUGGLED = 'MAIL FROM:<e@x.example>\r\nRCPT TO:<victim@foreign.example>\r\n';

function hear(octets: string, dialect: Dialect = 'lf', backend: Backend = {}): LenientServer {
  const server = new LenientServer({ dialect, backend });
  server.receive(Buffer.from(octets, 'latin1'));
  return server;
}

function hearOneByOne(octets: string, dialect: Dialect, backend: Backend = {}): LenientServer {
  const server = new LenientServer({ dialect, backend });
  for (const octet of Buffer.from(octets, 'latin1')) server.receive(Buffer.from([octet]));
  return server;
}

function said(octets: string, backend: Backend): string {
  const server = new LenientServer({ dialect: 'lf', backend });
  const actions = server.receive(Buffer.from(octets, 'latin1'));
  return actions.map((action) => (action.kind === 'reply' ? action.bytes.toString('latin1') : '[close]')).join('');
}

function fallsFor(trick: string): Dialect[] {
  return DIALECTS.filter((dialect) => hear(trick, dialect).recipients.includes('victim@foreign.example'));
}

const ALL_BUT_STRICT = DIALECTS.filter((dialect) => dialect !== 'strict');

describe('a lenient server', () => {
  const ends: Array<[name: string, end: string, dialects: readonly Dialect[]]> = [
    ['CRLF . CRLF', '\r\n.\r\n', DIALECTS],
    ['LF . LF', '\n.\n', ALL_BUT_STRICT],
    ['CRLF . CR CRLF', '\r\n.\r\r\n', ['crstrip', 'cr', 'trim', 'dotany']],
    ['CR . CR', '\r.\r', ['cr']],
    ['CRLF NUL . CRLF', '\r\n\0.\r\n', ['nulskip']],
    ['CRLF . NUL x CRLF', '\r\n.\0x\r\n', ['cstr', 'dotany']],
    ['CRLF . SP CRLF', '\r\n. \r\n', ['trim', 'dotany']],
    ['CRLF . foo CRLF', '\r\n.foo\r\n', ['dotany']],
    ['CRLF .. CRLF', '\r\n..\r\n', []],
  ];
  for (const [name, end, dialects] of ends) {
    test(`ends mail data on ${name} in ${dialects.join(' ') || 'no dialect'}`, () => {
      assert.deepEqual(fallsFor(`${OPENING}DATA\r\nhello${end}${SMUGGLED}`), dialects);
    });
  }

  const lines: Array<[name: string, line: string, dialects: readonly Dialect[]]> = [
    ['a bare LF', 'NOOP\nRCPT TO:<victim@foreign.example>\r\n', ALL_BUT_STRICT],
    ['a bare CR', 'NOOP\rRCPT TO:<victim@foreign.example>\r\n', ['cr']],
    ['a NUL in the verb', 'RC\0PT TO:<victim@foreign.example>\r\n', ['nulskip']],
    ['a NUL behind the address', 'RCPT TO:victim@foreign.example\0@local.example\r\n', ['cstr']],
    ['a high bit in the verb', '\xd2CPT TO:<victim@foreign.example>\r\n', ['7bit']],
    ['octet 512', `NOOP ${'A'.repeat(507)}RCPT TO:<victim@foreign.example>\r\n`, ['cut512']],
    ['octet 2048', `NOOP ${'A'.repeat(2043)}RCPT TO:<victim@foreign.example>\r\n`, ['cut512', 'cut2048']],
    ['nothing but a tab', 'RCPT\tTO:<victim@foreign.example>\r\n', DIALECTS],
    ['nothing but leading blanks', ' \tRCPT TO:victim@foreign.example\r\n', DIALECTS],
  ];
  for (const [name, line, dialects] of lines) {
    test(`reads the command behind ${name} in ${dialects.length === DIALECTS.length ? 'every dialect' : dialects.join(' ')}`, () => {
      assert.deepEqual(fallsFor(`${OPENING}${line}`), dialects);
    });
  }

  test('hears the same whether the octets come at once or one by one', () => {
    const talk = `${OPENING}DATA\r\n..a\r\r\n.b\0\r\n.\r\n${OPENING}BDAT 5 LAST\r\nhelloNOOP \xff\rx\r\nQUIT\r\nNOOP\r\n`;
    for (const dialect of DIALECTS) {
      const whole = hear(talk, dialect);
      const single = hearOneByOne(talk, dialect);
      assert.deepEqual(single.commands, whole.commands, dialect);
      assert.deepEqual(single.messages, whole.messages, dialect);
      assert.deepEqual(single.received, whole.received, dialect);
    }
  });

  test('keeps a message with its envelope and without its stuffing', () => {
    const server = hear(`${OPENING}DATA\r\nSubject: t\r\n\r\n..x\r\n.\r\n`);
    assert.deepEqual(server.messages, [
      { reversePath: 'a@x.example', recipients: ['b@y.example'], data: 'Subject: t\r\n\r\n.x\r\n' },
    ]);
  });

  test('reads a refused BDAT payload as commands', () => {
    for (const bdat of ['unsupported', 'reject-nodrain'] as const) {
      const server = hear(`${OPENING}BDAT 40 LAST\r\n${SMUGGLED}`, 'lf', { bdat });
      assert.deepEqual(server.commands.slice(-1), ['RCPT TO:<victim@foreign.example>'], bdat);
    }
  });

  test('reads a BDAT size as C does', () => {
    const server = hear(`${OPENING}BDAT 4294967297 LAST\r\nxNOOP\r\n`, 'lf', { bdat: 'u32' });
    assert.deepEqual(server.messages[0]?.data, 'x');
    assert.deepEqual(server.commands.slice(-1), ['NOOP']);
  });

  test('executes what a SASL security layer wraps', () => {
    const token = (text: string) => `\0\0\0${String.fromCharCode(text.length)}${text}`;
    const login = 'AUTH GSSAPI YQ==\r\nYQ==\r\nYQ==\r\n';
    const server = hearOneByOne(`EHLO c\r\n${login}${token(SMUGGLED.slice(0, 30))}${token(SMUGGLED.slice(30))}`, 'lf', {
      gssapi: 'layer',
    });
    assert.deepEqual(server.recipients, ['victim@foreign.example']);
  });

  test('takes exactly the octets that XEXCH50 counts', () => {
    const server = hear(`${OPENING}XEXCH50 6 2\r\nRCPT \nNOOP\r\n`, 'lf', { xexch50: true });
    assert.deepEqual(server.commands.slice(-2), ['XEXCH50 6 2', 'NOOP']);
  });

  test('goes back to commands when it gives up inside mail data', () => {
    const server = hear(`${OPENING}DATA\r\nSubject: t\r\n${SMUGGLED}`, 'lf', { data_early: '552 5.3.4 too big' });
    assert.deepEqual(server.recipients.slice(-1), ['victim@foreign.example']);
  });

  test('says what it was told to instead of what it would', () => {
    assert.equal(said('NOOP\r\n', { reply: { NOOP: '451 later' } }), '451 later\r\n');
    assert.equal(said('NOOP\r\n', { raw_reply: { NOOP: '250 ok\n' } }), '250 ok\n');
    assert.equal(said('RCPT TO:<a>\r\n', { reply: { RCPT0: '250 ok' } }), '250 ok\r\n');
    assert.equal(said('XFOO\r\nNOOP\r\n.\r\n', { reply: { XFOO: '354 ok', EOD: '554 no' } }), '354 ok\r\n554 no\r\n');
    assert.equal(said('RSET\r\nNOOP\r\n', { rst_after: 'RSET' }), '[close]');
  });

  test('takes what comes behind a command for pipelining, but not the rest of its line end', () => {
    const backend = { strict_no_pipelining: true };
    assert.match(said('RSET\r\nNOOP\r\n', backend), /^250 .*\r\n503 .*\r\n\[close\]$/);
    for (const dialect of DIALECTS) {
      const server = hear('RSET\r\n', dialect, backend);
      assert.equal(server.receive(Buffer.from('NOOP\r\n')).length, 1, dialect);
    }
  });

  test('offers what it was told to', () => {
    const reply = said('EHLO c\r\n', { caps_remove: ['AUTH', 'HELP'], caps_add: ['XEXCH50'] });
    assert.doesNotMatch(reply, /AUTH|HELP/);
    assert.match(reply, /\r\n250 XEXCH50\r\n$/);
  });

  test('knows every password but that of the user "bad"', () => {
    assert.match(said('AUTH PLAIN AHVzZXIAcGFzcw==\r\n', {}), /^235 /);
    assert.match(said('AUTH PLAIN AGJhZABiYWQ=\r\n', {}), /^535 /);
    assert.match(said('AUTH LOGIN dXNlcg==\r\ncGFzcw==\r\nAUTH PLAIN AA==\r\n', {}), /^334 .*\r\n235 .*\r\n503 /);
    assert.match(said('AUTH NTLM\r\nYQ==\r\n*\r\n', {}), /^334 \r\n334 T.*\r\n501 /);
  });
});
