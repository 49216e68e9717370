// The EHLO filter: what passes, what is taken out, and what is then offered.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterEhlo, isKeyword, onlyFirstLine } from '../../src/smtp/capabilities.ts';
import type { Profile } from '../../src/smtp/types.ts';
import { DEFAULT_PROFILE } from '../helpers/harness.ts';

function filtered(lines: readonly string[], profile: Partial<Profile> = {}, tls = false) {
  const reply = lines.map((line, index) => `250${index === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join('');
  const { bytes, offered } = filterEhlo(Buffer.from(reply, 'latin1'), { ...DEFAULT_PROFILE, ...profile }, tls);
  const text = bytes.toString('latin1');
  assert.match(text, /^(250-[^\r\n]*\r\n)*250( [^\r\n]*)?\r\n$/);
  return {
    lines: text
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .map((line) => line.slice(4)),
    offered,
  };
}

const KNOWN = [
  ...[
    'PIPELINING',
    'SIZE',
    'SIZE 35882577',
    '8BITMIME',
    '8bitmime',
    'BINARYMIME',
    'CHUNKING',
    'SMTPUTF8',
    'DSN',
    'ENHANCEDSTATUSCODES',
  ],
  ...[
    'AUTH PLAIN LOGIN',
    'AUTH=LOGIN',
    'HELP',
    'VRFY',
    'EXPN',
    'DELIVERBY 3600',
    'MT-PRIORITY STANAG4406',
    'FUTURERELEASE 1 2',
  ],
  ...['REQUIRETLS', 'LIMITS RCPTMAX=20', 'NO-SOLICITING', 'OK', 'TIME'],
];

test('every keyword of the table passes as it came', () => {
  assert.deepEqual(filtered(['mail.local.example', ...KNOWN]).lines, KNOWN);
});

test('a reply in which nothing was taken out is the same memory', () => {
  const reply = Buffer.from('250-mail.local.example\r\n250 SIZE\r\n');
  assert.equal(filterEhlo(reply, DEFAULT_PROFILE, false).bytes, reply);
});

const HIDDEN = [
  ...[
    'STARTTLS',
    'starttls',
    'X-ANONYMOUSTLS',
    'XCLIENT NAME ADDR',
    'XFORWARD NAME',
    'XEXCH50',
    'X-LINK2STATE',
    'X-EXPS NTLM',
    'X-EXPS=LOGIN',
  ],
  ...[
    'XSHADOW',
    'XRDST',
    'XPROXY',
    'XPROXYFROM',
    'TURN',
    'ATRN',
    'ETRN',
    'BURL imap',
    'XADR',
    'XSTA',
    'XCIR',
    'XGEN',
    'VERB',
    'ONEX',
    'XFOO',
    '',
    ' SIZE',
    '=',
    'SIZE\tX',
    '-',
  ],
];

for (const line of HIDDEN) {
  test(`${JSON.stringify(line)} is taken out, wherever it stands`, () => {
    assert.deepEqual(filtered(['mail', line, 'HELP']).lines, ['HELP']);
    assert.deepEqual(filtered(['mail', 'HELP', line]).lines, ['HELP']);
    assert.deepEqual(filtered(['mail', line]).lines, []);
  });
}

test('what an option hides is taken out with all that it brings', () => {
  const all = ['mail', 'CHUNKING', 'BINARYMIME', 'AUTH LOGIN', 'AUTH=LOGIN', 'VRFY', 'EXPN', 'DSN', 'SIZE 5'];
  assert.deepEqual(filtered(all, { chunking: 'hide' }).lines, [
    'AUTH LOGIN',
    'AUTH=LOGIN',
    'VRFY',
    'EXPN',
    'DSN',
    'SIZE 5',
  ]);
  assert.deepEqual(filtered(all, { auth: 'hide', vrfy: 'refuse' }).lines, ['CHUNKING', 'BINARYMIME', 'DSN', 'SIZE 5']);
  const profile = { ...DEFAULT_PROFILE, hideKeywords: new Set(['DSN', 'SIZE', 'AUTH']) };
  const { lines, offered } = filtered(all, profile);
  assert.deepEqual(lines, ['CHUNKING', 'BINARYMIME', 'VRFY', 'EXPN']);
  assert.equal(offered.allowsRcpt(new Map([['NOTIFY', 'NEVER']]), profile, false), false);
  for (const pair of [
    ['SIZE', '5'],
    ['RET', 'FULL'],
    ['ENVID', 'a'],
    ['AUTH', '<>'],
  ] as const)
    assert.equal(offered.allowsMail(new Map([pair]), profile, false), false, pair[0]);
  assert.equal(offered.size, Number.POSITIVE_INFINITY);
});

test('auth require_tls hides logins in clear text and shows them in TLS', () => {
  assert.deepEqual(filtered(['mail', 'AUTH LOGIN'], { auth: 'require_tls' }).lines, []);
  assert.deepEqual(filtered(['mail', 'AUTH LOGIN'], { auth: 'require_tls' }, true).lines, ['AUTH LOGIN']);
});

test('Exchange verbs are shown only where they are forwarded and the session may relay anywhere', () => {
  const verbs = ['X-EXPS GSSAPI NTLM', 'XEXCH50', 'X-LINK2STATE', 'XRDST', 'XSHADOW', 'XOORG'];
  assert.deepEqual(filtered(['mail', ...verbs], { exchangeVerbs: 'forward' }).lines, []);
  assert.deepEqual(filtered(['mail', ...verbs], { relaysAnywhere: true }).lines, []);
  assert.deepEqual(filtered(['mail', ...verbs], { exchangeVerbs: 'forward', relaysAnywhere: true }).lines, verbs);
});

test('the mechanisms offered are those of all lines, without the ones that name nobody', () => {
  const { lines, offered } = filtered(['mail', 'AUTH NTLM ANONYMOUS', 'auth=LOGIN', 'AUTH EXTERNAL']);
  assert.deepEqual(lines, ['AUTH NTLM', 'auth=LOGIN']);
  for (const mechanism of ['NTLM', 'LOGIN']) assert.ok(offered.offersMechanism('AUTH', mechanism), mechanism);
  for (const mechanism of ['ANONYMOUS', 'EXTERNAL', 'PLAIN'])
    assert.ok(!offered.offersMechanism('AUTH', mechanism), mechanism);
});

test('a parameter is allowed when its keyword was offered, whatever its value', () => {
  const { offered } = filtered(['mail', 'SIZE 1000', '8BITMIME']);
  const mail = (...pairs: [string, string | null][]): boolean =>
    offered.allowsMail(new Map(pairs), DEFAULT_PROFILE, false);
  assert.equal(offered.size, 1000);
  assert.ok(mail(['SIZE', '1'], ['BODY', '8BITMIME']));
  assert.ok(!mail(['BODY', 'BINARYMIME']));
  for (const name of ['RET', 'ENVID', 'SMTPUTF8', 'AUTH', 'XOORG', 'BY', 'HOLDFOR', 'FOO'])
    assert.ok(!mail([name, null]), name);
  for (const name of ['SMTPUTF8', 'XOORG', 'BY', 'HOLDFOR', 'FOO']) assert.ok(!mail([name, 'x']), name);
  for (const name of ['NOTIFY', 'ORCPT', 'XORAR', 'FOO'])
    assert.ok(!offered.allowsRcpt(new Map([[name, 'x']]), DEFAULT_PROFILE, false), name);
});

// RFC 1870, 6152, 3461, 4954: they change neither framing nor grammar nor relaying, so the server decides.
const HARMLESS = {
  mail: {
    SIZE: ['0', '10', '99999999999999999999'],
    BODY: ['7BIT', '8bitmime'],
    RET: ['FULL', 'hdrs'],
    ENVID: ['QQ314159', 'a+2Bb'],
    AUTH: ['<>', 'bob', 'e+3Dmc2@example.com'],
  },
  rcpt: { NOTIFY: ['NEVER', 'success,FAILURE', 'SUCCESS,FAILURE,DELAY'], ORCPT: ['rfc822;a+2Bb@local.example'] },
};
const MALFORMED = {
  mail: {
    SIZE: ['', '-1', '0x10', '1e3', '999999999999999999999', null],
    BODY: ['BINARYMIME', '8BIT', 'x7BIT', '7BITx', '', null],
    RET: ['BOTH', 'xFULL', 'FULLx', '', null],
    ENVID: ['', 'a+2b', 'a+', 'x'.repeat(101), null],
    AUTH: ['', '<', '<x>', null],
  },
  rcpt: { NOTIFY: ['NEVER,SUCCESS', 'x', '', null], ORCPT: ['rfc822', ';a@b', 'rfc822;', 'rfc822;a=b', null] },
};

for (const verb of ['mail', 'rcpt'] as const) {
  const { offered } = filtered(['mail']);
  const allows = (name: string, value: string | null): boolean =>
    offered[verb === 'mail' ? 'allowsMail' : 'allowsRcpt'](new Map([[name, value]]), DEFAULT_PROFILE, false);
  test(`harmless parameters of ${verb} are allowed without an offer where they are well formed`, () => {
    for (const [name, values] of Object.entries(HARMLESS[verb]))
      for (const value of values) assert.ok(allows(name, value), `${name}=${value}`);
    for (const [name, values] of Object.entries(MALFORMED[verb]))
      for (const value of values) assert.ok(!allows(name, value), `${name}=${value}`);
  });
}

test('harmless parameters are not allowed where their keyword is hidden', () => {
  const profile = { ...DEFAULT_PROFILE, hideKeywords: new Set(['SIZE', '8BITMIME', 'DSN', 'AUTH']) };
  const { offered } = filtered(['mail'], profile);
  for (const [name, [value = '']] of Object.entries(HARMLESS.mail))
    assert.ok(!offered.allowsMail(new Map([[name, value]]), profile, false), name);
  for (const [name, [value = '']] of Object.entries(HARMLESS.rcpt))
    assert.ok(!offered.allowsRcpt(new Map([[name, value]]), profile, false), name);
});

const BRINGS: readonly (readonly [line: string, mail: readonly string[], rcpt: readonly string[]])[] = [
  ['PIPELINING', [], []],
  ['SIZE 1000', ['SIZE'], []],
  ['8BITMIME', ['BODY'], []],
  ['BINARYMIME', ['BODY'], []],
  ['SMTPUTF8', ['SMTPUTF8'], []],
  ['DSN', ['RET', 'ENVID'], ['NOTIFY', 'ORCPT']],
  ['AUTH PLAIN', ['AUTH'], []],
  ['DELIVERBY 60', ['BY'], []],
  ['MT-PRIORITY', ['MT-PRIORITY'], []],
  ['FUTURERELEASE 1 2', ['HOLDFOR', 'HOLDUNTIL'], []],
  ['REQUIRETLS', ['REQUIRETLS'], []],
  ['NO-SOLICITING', ['SOLICIT'], []],
  ['XOORG', ['XOORG'], []],
];
for (const [line, mail, rcpt] of BRINGS) {
  test(`${line} brings ${[...mail, ...rcpt].join(' and ') || 'no parameter'}, and no other`, () => {
    const profile = { ...DEFAULT_PROFILE, exchangeVerbs: 'forward', relaysAnywhere: true } as const;
    const { offered } = filtered(['mail', line], profile);
    const all = new Set(BRINGS.flatMap(([, ...names]) => names.flat()));
    const odd = (name: string) => new Map([[name, '?=']]); // of no harmless form
    const allowed = (which: 'allowsMail' | 'allowsRcpt') =>
      [...all].filter((name) => offered[which](odd(name), profile, false));
    assert.deepEqual([allowed('allowsMail'), allowed('allowsRcpt')], [mail, rcpt]);
  });
}

test('the name of the server is no keyword, whatever it is called', () => {
  const { lines, offered } = filtered(['SIZE 5', 'HELP']);
  assert.deepEqual([lines, offered.size], [['HELP'], Number.POSITIVE_INFINITY]);
});

test('a reply that is a code alone passes as it came', () => {
  const reply = Buffer.from('250\r\n');
  assert.equal(filterEhlo(reply, DEFAULT_PROFILE, false).bytes, reply);
});

test('STARTTLS of ours stands among the keywords, not last', () => {
  const terminate = { starttls: 'terminate' } as const;
  assert.deepEqual(filtered(['mail', 'SIZE 5', 'HELP'], terminate).lines, ['STARTTLS', 'SIZE 5', 'HELP']);
  assert.deepEqual(filtered(['mail', 'SIZE 5', 'STARTTLS'], terminate).lines, ['STARTTLS', 'SIZE 5']);
  assert.deepEqual(filtered(['mail', 'SIZE 5', 'STARTTLS', 'HELP'], terminate).lines, ['SIZE 5', 'STARTTLS', 'HELP']);
  assert.deepEqual(filtered(['mail', 'SIZE 5', 'STARTTLS', 'XFOO'], terminate).lines, ['STARTTLS', 'SIZE 5']);
  assert.deepEqual(filtered(['mail', 'XFOO'], terminate).lines, ['STARTTLS']); // there is no other
  assert.deepEqual(filtered(['mail', 'SIZE 5', 'STARTTLS'], terminate, true).lines, ['SIZE 5']);
  const help = 'HELP 250-STARTTLS or 250 STARTTLS';
  assert.deepEqual(filtered(['mail', help, 'SIZE 5'], terminate).lines, ['STARTTLS', help, 'SIZE 5']);
});

test('a SIZE that is no number is no limit', () => {
  for (const line of ['SIZE', 'SIZE 0', 'SIZE x', 'SIZE -1', 'SIZE 0x10', 'SIZE 1e3', 'SIZE x 5', 'DELIVERBY 3600']) {
    assert.equal(filtered(['mail', line]).offered.size, Number.POSITIVE_INFINITY, line);
  }
});

test('the upstream’s STARTTLS passes with passthrough alone, where anybody may relay anywhere, and in clear text', () => {
  const shown = (profile: Partial<Profile>, tls = false): readonly string[] =>
    filtered(['mail', 'STARTTLS', 'X-ANONYMOUSTLS', 'SIZE'], profile, tls).lines;
  const tunnel = { starttls: 'passthrough', relaysAnywhere: true } as const;
  assert.deepEqual(shown(tunnel), ['STARTTLS', 'X-ANONYMOUSTLS', 'SIZE']);
  for (const profile of [
    { ...tunnel, starttls: 'hide' },
    { ...tunnel, relaysAnywhere: false },
  ] as const)
    assert.deepEqual(shown(profile), ['SIZE']);
  assert.deepEqual(shown(tunnel, true), ['SIZE']);
});

test('what was offered may have any value, and binary mail where it was offered alone', () => {
  const binary = new Map([['BODY', 'binarymime']]);
  const { offered } = filtered(['mail', 'DSN', 'BINARYMIME']);
  assert.ok(offered.allowsRcpt(new Map([['NOTIFY', 'NEVER,SUCCESS']]), DEFAULT_PROFILE, false));
  assert.ok(offered.allowsMail(new Map([['RET', 'BOTH']]), DEFAULT_PROFILE, false));
  assert.ok(offered.allowsMail(binary, DEFAULT_PROFILE, false));
  const eightBit = filtered(['mail', '8BITMIME']).offered;
  assert.ok(!eightBit.allowsMail(binary, DEFAULT_PROFILE, false));
  assert.ok(eightBit.allowsMail(new Map([['BODY', 'other']]), DEFAULT_PROFILE, false));
});

test('with auth hide AUTH= is not harmless, in TLS neither, and the others are', () => {
  const profile = { ...DEFAULT_PROFILE, auth: 'hide' } as const;
  const { offered, lines } = filtered(['mail', 'AUTH PLAIN', 'SIZE'], profile, true);
  assert.deepEqual(lines, ['SIZE']);
  for (const tls of [true, false]) {
    assert.ok(!offered.allowsMail(new Map([['AUTH', '<>']]), profile, tls));
    assert.ok(offered.allowsMail(new Map([['BODY', '7BIT']]), profile, tls));
  }
});

test('the same octets are another answer to EHLO than to HELO', () => {
  const reply = Buffer.from('250-mail\r\n250 SIZE\r\n');
  const profile = { ...DEFAULT_PROFILE, starttls: 'terminate' } as const;
  const text = (verb: 'EHLO' | 'HELO'): string => filterEhlo(reply, profile, false, verb).bytes.toString();
  const terminated = '250-mail\r\n250-STARTTLS\r\n250 SIZE\r\n';
  assert.deepEqual([text('EHLO'), text('HELO'), text('EHLO')], [terminated, reply.toString(), terminated]);
});

test('octets that are no ASCII stay as they came', () => {
  const reply = Buffer.from('250-m\xfcller at your service\r\n250-XFOO\r\n250 SIZE\r\n', 'latin1');
  const { bytes } = filterEhlo(reply, DEFAULT_PROFILE, false);
  assert.equal(bytes.toString('latin1'), '250-m\xfcller at your service\r\n250 SIZE\r\n');
});

test('a line without a keyword is none, whatever stands in it', () => {
  const { lines, offered } = filtered(['mail', ' 250-SIZE 5', '=250-SIZE 5', 'HELP']);
  assert.deepEqual([lines, offered.size], [['HELP'], Number.POSITIVE_INFINITY]);
});

test('a login may be by any mechanism that we can follow', () => {
  const names = 'PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER NTLM GSSAPI GSS-SPNEGO';
  const { lines, offered } = filtered(['mail', `AUTH ${names}`]);
  assert.deepEqual(lines, [`AUTH ${names}`]);
  for (const name of names.split(' ')) assert.ok(offered.offersMechanism('AUTH', name), name);
});

test('of mechanisms those that we can follow stay, and a line of which none goes stays as it came', () => {
  const lines = ['AUTH=LOGIN ANONYMOUS', 'AUTH PLAIN EXTERNAL LOGIN', 'AUTH  PLAIN   LOGIN', 'HELP'];
  const kept = ['AUTH=LOGIN', 'AUTH PLAIN LOGIN', 'AUTH  PLAIN   LOGIN', 'HELP'];
  assert.deepEqual(filtered(['mail', ...lines]).lines, kept);
});

test('AUTH= may be hidden without AUTH, and what it offers is not offered then', () => {
  const { lines, offered } = filtered(['mail', 'AUTH PLAIN', 'AUTH=LOGIN'], { hideKeywords: new Set(['AUTH=']) });
  assert.deepEqual(lines, ['AUTH PLAIN']);
  assert.ok(offered.offersMechanism('AUTH', 'PLAIN') && !offered.offersMechanism('AUTH', 'LOGIN'));
});

test('what HELO would have been answered is the first line, octet for octet', () => {
  const list = Buffer.from('250-m\xfcller\r\n250-SIZE\r\n250 HELP\r\n', 'latin1');
  assert.equal(onlyFirstLine(list).toString('latin1'), '250 m\xfcller\r\n');
});

test('a keyword is one of the table in whatever case', () => {
  assert.deepEqual(['size', 'X-Exps', 'XFOO', ''].map(isKeyword), [true, true, false, false]);
});
