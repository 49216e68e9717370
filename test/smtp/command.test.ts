// The command grammar: what is a command, and what is none although some server reads one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCommand } from '../../src/smtp/command.ts';

const RUNS = Number(process.env.POSTERN_FUZZ_RUNS ?? 1000);

const verbOf = (line: string, utf8 = false): string =>
  parseCommand(Buffer.from(line, 'utf8').toString('latin1'), utf8).verb;

for (const [line, verb] of [
  ['EHLO client.example', 'EHLO'],
  ['ehlo [192.0.2.1]', 'EHLO'],
  ['HELO client_name', 'HELO'],
  ['HELO  client', 'HELO'],
  ['EHLO', 'EHLO'],
  ['HELO ', 'HELO'],
  ['MAIL FROM:  <a@b.example>', 'MAIL'],
  ['RCPT TO:  <a@b.example>', 'RCPT'],
  ['MAIL FROM:<>', 'MAIL'],
  ['mail from: a@b.example SIZE=10 BODY=8BITMIME', 'MAIL'],
  ['RCPT TO:<a@b.example> NOTIFY=NEVER ORCPT=rfc822;x@y.example', 'RCPT'],
  ['RCPT TO:<a@b.example>  ', 'RCPT'],
  ['DATA', 'DATA'],
  ['data ', 'DATA'],
  ['BDAT 0 LAST', 'BDAT'],
  ['bdat 2147483647', 'BDAT'],
  ['RSET', 'RSET'],
  ['NOOP', 'NOOP'],
  ['NOOP any words: at all', 'NOOP'],
  ['QUIT', 'QUIT'],
  ['starttls ', 'STARTTLS'],
  ['X-ANONYMOUSTLS', 'X-ANONYMOUSTLS'],
  ['VRFY user', 'VRFY'],
  ['EXPN list', 'EXPN'],
  ['HELP', 'HELP'],
  ['AUTH LOGIN', 'AUTH'],
  ['auth plain AGFsaWNlAHNlY3JldA==', 'AUTH'],
  ['AUTH XOAUTH2 =', 'AUTH'],
  ['X-EXPS GSSAPI YIIB', 'X-EXPS'],
  ['XEXCH50 1124 2', 'XEXCH50'],
  ['X-LINK2STATE LAST CHUNK={00000000}', 'X-LINK2STATE'],
  ['XRDST x', 'XRDST'],
  ['XSHADOW x', 'XSHADOW'],
  ['XQDISCARD 2', 'XQDISCARD'],
  ['EHLO a\u00a0b\u00fe', 'EHLO'],
  ['EHLO Po\xc4\x8d\xc3\xadta\xc4\x8d', 'EHLO'], // Počítač in UTF-8
  ['HELO \x8aTEFAN-PC', 'HELO'], // ŠTEFAN-PC in Windows-1250
  ['EHLO a b:c\x8d', 'EHLO'],
  ['EHLO a\xba', 'EHLO'],
] as const) {
  test(`${line} is ${verb}`, () => assert.equal(verbOf(line), verb));
}

for (const line of [
  ...[
    '',
    ' ',
    ' NOOP',
    '\tRCPT TO:<a@b.example>',
    'RCPT\tTO:<a@b.example>',
    'RCPTTO:<a@b.example>',
    'XRCPT TO:<a@b.example>',
    'NOOP\0',
  ],
  ...['RCPT\xa0TO:<a@b.example>', 'RCPT\x0bTO:<a@b.example>', 'FOO', 'RCP', 'DATAX', 'MAILFROM:<>', 'ſEND', 'QUIT\t'],
]) {
  test(`${JSON.stringify(line)} is no verb of ours`, () => assert.equal(verbOf(line), 'unknown'));
}

for (const [line, verb] of [
  ['RCPT  TO:<a@b.example>', 'bad recipient'],
  ['RCPT TO<a@b.example>', 'bad recipient'],
  ['RCPT TO <a@b.example>', 'bad recipient'],
  ['RCPT', 'bad recipient'],
  ['RCPT FROM:<a@b.example>', 'bad recipient'],
  ['RCPT TO:<a@b.example>NOTIFY=NEVER', 'bad recipient'],
  ['RCPT TO:<a@b.example> NOTIFY=NEVER NOTIFY=NEVER', 'bad parameter'],
  ['RCPT TO:<a@b.example> notify=never NOTIFY=NEVER', 'bad parameter'],
  ['RCPT TO:<a@b.example> <c@d.example>', 'bad parameter'],
  ['RCPT TO:<a@b.example> NOTIFY=', 'bad parameter'],
  ['RCPT TO:<a@b.example> =x', 'bad parameter'],
  ['RCPT TO:a@b.example ORCPT=<rfc822;c@d.example', 'bad parameter'],
  ['RCPT TO:<a@b.example> ORCPT=rfc822;<c@d.example>', 'bad parameter'],
  ['MAIL FROM:<a@b.example> X\tY', 'bad parameter'],
  ['MAIL FROM', 'bad sender'],
  ['MAIL TO:<a@b.example>', 'bad sender'],
  ['MAIL XROM:<a@b.example>', 'bad sender'],
  ['MAIL FROM:<a@b.example', 'bad sender'],
  ['MAIL FROM:<é@b.example>', 'bad sender'],
  ['DATA now', 'bad argument'],
  ['RSET now', 'bad argument'],
  ['QUIT now', 'bad argument'],
  ['EHLO a\x07b', 'bad argument'],
  ['NOOP a\0b', 'bad argument'],
  ['NOOP a\x8aRCPT TO:<a@b.example>', 'bad argument'],
  ['VRFY a\x8d', 'bad argument'],
  ['EHLO \x8aRCPT TO:<a@b.example>', 'bad argument'],
  ...[' ', ':', '\x89', '\xa0', '\xba'].flatMap((octet) =>
    ['\x8a', '\x8d'].map((end) => [`EHLO a${end}b${octet}c`, 'bad argument'] as const),
  ),
  ['AUTH', 'bad argument'],
  ['AUTH PLAIN AGFs aWNl', 'bad argument'],
  ['AUTH PLAIN !!!', 'bad argument'],
  ['XEXCH50 10', 'bad argument'],
  ['XEXCH50 -1 2', 'bad argument'],
  ['XEXCH50 0x10 2', 'bad argument'],
  ['STARTTLS now', 'bad argument'],
  ['X-ANONYMOUSTLS now', 'bad argument'],
  ['ETRN b.example', 'unavailable'],
  ['TURN', 'unavailable'],
  ['SOML FROM:<a@b.example>', 'unavailable'],
  ['BURL imap://x LAST', 'unavailable'],
  ['XCLIENT ADDR=127.0.0.1', 'unavailable'],
  ['XFORWARD ADDR=127.0.0.1', 'unavailable'],
  ['XEXCH50 2147483648 2', 'bad argument'],
  ['XEXCH50 01 2', 'bad argument'],
  ['XEXCH50 1 2 3', 'bad argument'],
  ['XEXCH50 x1 2', 'bad argument'],
  ['XEXCH50 1 12345678901', 'bad argument'],
  ['X-LINK2STATE a\0', 'bad argument'],
  ['EHLO a\x1fb', 'bad argument'],
  ['EHLO a\x7fb', 'bad argument'],
  [`AUTH ${'A'.repeat(41)}`, 'bad argument'],
  ['AUTH  PLAIN', 'bad argument'],
  ['RCPT TO:<a@b.example> -X', 'bad parameter'],
  ['RCPT TO:<a@b.example> X_Y', 'bad parameter'],
  ['RCPT TO:<a@b.example> X=a\x7f', 'bad parameter'],
  ['RCPT TO:<a@b.example> \x7fX=a', 'bad parameter'],
  ['RCPT TO:<a@b.example> X=é', 'bad parameter'],
  ['MAIL FROM:<a@b.example> X=é', 'bad sender'],
  ...'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PRI'
    .split(' ')
    .map((verb) => [`${verb} / HTTP/1.1`, 'foreign protocol'] as const),
] as const) {
  test(`${JSON.stringify(line)} is refused: ${verb}`, () => assert.equal(verbOf(line), verb));
}

for (const argument of [
  ...[
    '',
    ' LAST',
    ' -1',
    ' +5',
    ' 0x10',
    ' 5.0',
    ' 1e3',
    ' 5 LASTX',
    ' 5 LAST LAST',
    '  5',
    ' 5  LAST',
    ' 5 LAST ',
    ' 5 ',
    ' 5,LAST',
    ' 5\tLAST',
    ' ５',
  ],
  ...[' 2147483648', ' 4294967295', ' 4294967297', ' 00000000005', ' 5 ,', ' 9999999999', ' 18446744073709551617'],
]) {
  test(`BDAT${argument} is malformed`, () => assert.equal(verbOf(`BDAT${argument}`), 'bad BDAT'));
}

/** A line in latin-1: what each command has besides its verb. */
for (const [line, { verb, ...has }] of [
  ['EHLO  Client.Example  ', { verb: 'EHLO', name: 'Client.Example' }],
  ['HELO', { verb: 'HELO', name: '' }],
  ['BDAT 0', { verb: 'BDAT', size: 0, last: false }],
  ['BDAT 1000000000 last', { verb: 'BDAT', size: 1_000_000_000, last: true }],
  ['AUTH plain', { verb: 'AUTH', mechanism: 'PLAIN', initial: null }],
  [`AUTH ${'a'.repeat(40)} =`, { verb: 'AUTH', mechanism: 'A'.repeat(40), initial: '=' }],
  ['X-EXPS Scram_sha-1 aB+/9=', { verb: 'X-EXPS', mechanism: 'SCRAM_SHA-1', initial: 'aB+/9=' }],
  ['XEXCH50 0 2', { verb: 'XEXCH50', size: 0 }],
  ['XEXCH50 2147483647 1234567890', { verb: 'XEXCH50', size: 2_147_483_647 }],
  ['rcpt from:<x>', { verb: 'bad recipient', path: { trick: false, written: 'from:<x>' } }],
  ['RCPT TO:<@b:a@c>', { verb: 'bad recipient', path: { trick: true, written: '@b:a@c' } }],
  ['MAIL <x>', { verb: 'bad sender' }],
] as const) {
  test(`${line} has ${JSON.stringify(has)}`, () => assert.deepEqual(parseCommand(line, false), { verb, ...has }));
}

test('parameters have a keyword in capitals, and a value or none', () => {
  const parameters = (line: string, utf8 = false): unknown => {
    const command = parseCommand(line, utf8);
    return 'parameters' in command ? [...command.parameters] : command.verb;
  };
  assert.deepEqual(parameters('MAIL FROM:<a@b.example>'), []);
  assert.deepEqual(parameters('MAIL FROM:<a@b.example> size=10  ret=HDRS x-9 ENVID=a=b!~'), [
    ['SIZE', '10'],
    ['RET', 'HDRS'],
    ['X-9', null],
    ['ENVID', 'a=b!~'],
  ]);
  assert.deepEqual(parameters('RCPT TO:<a@b.example> 9=\xc3\xa9', true), [['9', '\xc3\xa9']]);
  // 0x8D and 0x8A are CR and LF to who clears the high bit, as in EHLO.
  for (const octets of ['\x8d\x8a', '\xff', '\xc3'])
    for (const line of [`RCPT TO:<a@b.example> X=${octets}`, `MAIL FROM:<a@b.example> SMTPUTF8 X=${octets}`])
      assert.match(String(parameters(line, true)), /^bad (parameter|sender)$/, line);
  assert.equal(parameters('RCPT TO:<a@b.example> X=a\x7f', true), 'bad parameter');
  for (const utf8 of [true, false]) assert.equal(parameters('RCPT TO:<a@b.example> X=\x01a', utf8), 'bad parameter');
});

test('a MAIL says whether it gave SMTPUTF8, and only text that is UTF-8 may', () => {
  for (const [line, utf8] of [
    ['MAIL FROM:<a@b.example>', false],
    ['MAIL FROM:<a@b.example> smtputf8', true],
    ['MAIL FROM:<\xc3\xa9@b.example> SMTPUTF8', true],
    ['MAIL FROM:<\xe9@b.example> SMTPUTF8', null],
  ] as const) {
    const command = parseCommand(line, false);
    assert.equal(command.verb === 'MAIL' ? command.utf8 : null, utf8, line);
  }
  assert.equal(parseCommand('RCPT TO:<\xe9@b.example>', true).verb, 'bad recipient');
});

test('a recipient in UTF-8 is one only where MAIL said SMTPUTF8', () => {
  assert.equal(verbOf('RCPT TO:<用户@b.example>', true), 'RCPT');
  assert.equal(verbOf('RCPT TO:<用户@b.example>', false), 'bad recipient');
  assert.equal(verbOf('MAIL FROM:<用户@b.example> SMTPUTF8'), 'MAIL');
});

test('a verb in letters that only Unicode folds is none', () => {
  for (const line of ['ﬀ', 'QUIT\u2028', 'DATA\u00a0', '\ufeffNOOP', 'K\u212aILL', 'ＤＡＴＡ', 'dAT\u0410']) {
    assert.equal(verbOf(line), 'unknown', line);
  }
});

test('whatever the octets, parsing gives a command or says why it is none', () => {
  const start = fc.constantFrom('', 'RCPT TO:<', 'MAIL FROM:<', 'BDAT ', 'AUTH ', 'EHLO ', 'XEXCH50 ');
  const text = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)),
    maxLength: 40,
  });
  fc.assert(
    fc.property(start, text, fc.boolean(), (verb, rest, utf8) => {
      assert.equal(typeof parseCommand(verb + rest, utf8).verb, 'string');
    }),
    { numRuns: RUNS },
  );
});
