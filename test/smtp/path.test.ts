// Paths: which addresses a forward-path names, hidden ones included, and what is no path at all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isUtf8Text, parseForwardPath, parseReversePath } from '../../src/smtp/path.ts';

const RUNS = Number(process.env.POSTERN_FUZZ_RUNS ?? 1000);

const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** `local@domain` of every address that must be allowed; the reason where it is no path. */
function judged(path: string, utf8 = false): string[] | string {
  const found = parseForwardPath(octets(path), 0, utf8);
  if (!('address' in found)) return found.trick ? 'trick' : 'bad';
  return found.addresses.map(({ domain, literal }) => domain ?? (literal === null ? '(none)' : `[${literal}]`));
}

for (const [path, domains] of [
  ['<user@local.example>', ['local.example']],
  ['user@local.example', ['local.example']],
  ['<user@LOCAL.Example.>', ['local.example']],
  ['<user@[192.0.2.25]>', ['[192.0.2.25]']],
  ['<user@localhost>', ['localhost']],
  ['<user@163.com>', ['163.com']],
  ['<user@host_name.example>', ['host_name.example']],
  ['<Postmaster>', ['(none)']],
  ['<"a b.c"@local.example>', ['local.example']],
  ['<"a\\"b>c"@local.example>', ['local.example']],
  ['<two..dots.@local.example>', ['local.example']],
  ['</c=us/admd=a/o=x/s=y/@local.example>', ['local.example']],
  ["<o'brien+tag@local.example>", ['local.example']],
  ['<IMCEAEX-_O=ORG_OU=SITE_CN=USER@local.example>', ['local.example']],
  ['<ximceasmtp-a+40b.example@local.example>', ['local.example']],
  ['<"joe(a)b.example"@local.example>', ['local.example']],
  ['<user@host1>', ['host1']],
  ['<user@mail.3com>', ['mail.3com']],
] as const) {
  test(`${path} names ${domains.join()} and nothing else`, () => assert.deepEqual(judged(path), domains));
}

for (const [path, ...hidden] of [
  ['<a%b.example@local.example>', 'b.example'],
  ['<"a@b.example"@local.example>', 'b.example'],
  ['<"a\\@b.example"@local.example>', 'b.example'],
  ['<b.example!a@local.example>', 'b.example'],
  ['<c.example!b.example!a@local.example>', 'c.example', 'b.example'],
  ['<a%b.example%c.example@local.example>', 'b.example', 'c.example'],
  ['<c.example!a%b.example@local.example>', 'b.example', 'c.example'],
  ['<IMCEASMTP-a+40b.example@local.example>', 'b.example'],
  ['<"IMCEASMTP-a+40b+2Eexample"@local.example>', 'b.example'],
  ['<imcearfc822-a+40b.example@local.example>', 'b.example'],
  ['<"IMCEA a@b.example"@local.example>', 'b.example'],
  ['<IMCEAEX-a%b.example@local.example>', 'b.example'],
  ['<a%b.example!c@local.example>', 'b.example', 'b.example'],
  ['<b.example!IMCEASMTP-a+40c.example@local.example>', 'b.example', 'c.example'],
  ['<"  IMCEASMTP-a+40b.example"@local.example>', 'b.example'],
  ['<"DDA:RFC-822=a(a)b.example"@local.example>', 'b.example'],
  ['<"DDA:RFC822=a(P)b.example"@local.example>', 'b.example'],
  ['<"b.example(b)rfc822"@local.example>', 'b.example'],
  ['<"a(a)c%b.example"@local.example>', 'b.example'],
  ['<ximceasmtp-a+40c.example%b.example@local.example>', 'b.example'],
] as const) {
  test(`${path} hides ${hidden.join(' and ')}`, () => {
    const found = judged(path);
    assert.ok(Array.isArray(found), String(found));
    assert.equal(found[0], 'local.example');
    for (const domain of hidden) assert.ok(found.includes(domain), `${domain} is not among ${found.join()}`);
    assert.deepEqual(new Set(found), new Set(['local.example', ...hidden]));
  });
}

test('a hidden address has the local part that is left when its domain is taken out', () => {
  const locals = (path: string): string[] => {
    const found = parseForwardPath(path, 0, false);
    return 'address' in found ? found.addresses.map(({ local, domain }) => `${local} at ${domain}`) : [];
  };
  assert.deepEqual(locals('<c.example!a%b.example@local.example>'), [
    'c.example!a%b.example at local.example',
    'a%b.example at c.example',
    'c.example!a at b.example',
  ]);
  assert.ok(locals('<IMCEASMTP-a_b+40c.example@local.example>').includes('a/b at c.example'));
});

test('who sends to a gateway of Exchange is told, unless it is its own reply address', () => {
  for (const [path, gateway] of [
    ['<IMCEAFAX-1234@local.example>', true],
    ['<x.local.example!IMCEAFAX-1234@local.example>', true],
    ['<IMCEASMTP-IMCEAFAX-1+40local.example@local.example>', true],
    ['<IMCEASMTP-a+40local.example@local.example>', false],
    ['<IMCEARFC822-a+40local.example@local.example>', false],
    ['<IMCEAEX-_O=ORG@local.example>', false],
    ['<user@local.example>', false],
  ] as const) {
    const found = parseForwardPath(path, 0, false);
    assert.equal('gateway' in found ? found.gateway : null, gateway, path);
    assert.ok(
      [judged(path)].flat().every((domain) => domain === 'local.example' || domain === 'x.local.example'),
      path,
    );
  }
});

test('an address that is packed three times is unpacked, one that is packed four times is refused', () => {
  assert.ok(judged('<IMCEASMTP-a+2B2B40b.example@local.example>').includes('b.example'));
  assert.equal(judged('<IMCEASMTP-a+2B2B2B40b.example@local.example>'), 'trick');
});

test('what is packed may hold a blank and no control', () => {
  assert.deepEqual(
    new Set(judged('<IMCEASMTP-a+20b+40b.example@local.example>')),
    new Set(['local.example', 'b.example']),
  );
  for (const octet of ['00', '0A', '1F', '7F'])
    assert.equal(judged(`<IMCEASMTP-a+${octet}b+40b.example@local.example>`), 'trick', octet);
});

test('63 addresses may hide in one, not 64; and unpacking costs some of them', () => {
  assert.equal(judged(`<a${'%b.example'.repeat(63)}@local.example>`).length, 64);
  assert.equal(judged(`<a${'%b.example'.repeat(64)}@local.example>`), 'trick');
  assert.equal(judged(`<${'b.example!'.repeat(63)}a@local.example>`).length, 64);
  assert.equal(judged(`<${'b.example!'.repeat(64)}a@local.example>`), 'trick');
  assert.equal(judged(`<${'b.example!'.repeat(59)}IMCEASMTP-a+40c.example@local.example>`).length, 62);
  assert.equal(judged(`<${'b.example!'.repeat(60)}IMCEASMTP-a+40c.example@local.example>`), 'trick');
});

test('a domain of 255 octets passes, one of 256 does not', () => {
  assert.deepEqual(judged(`<a@${'b.'.repeat(126)}bcd>`), [`${'b.'.repeat(126)}bcd`]);
  assert.equal(judged(`<a@${'b.'.repeat(126)}bcde>`), 'bad');
});

test('with SMTPUTF8 octets above 127 may stand in both parts, and DEL in none', () => {
  assert.deepEqual(judged('<jürgen@bücher.example>', true), [octets('bücher.example')]);
  assert.deepEqual(judged('<"jürgen m"@bücher.example>', true), [octets('bücher.example')]);
  for (const path of ['<a\x7f@local.example>', '<"a\x7f"@local.example>', '<a@local\x7f.example>'])
    assert.equal(judged(path, true), 'bad', path);
});

test('with SMTPUTF8 a wide or small @, % or ! hides an address, and other wide letters none', () => {
  for (const path of ['<a＠b.example@local.example>', '<a﹫b.example@local.example>', '<"a％b.example"@local.example>'])
    assert.deepEqual(judged(path, true), ['local.example', 'b.example'], path);
  for (const path of ['<a﹪b.example@local.example>', '<b.example！a@local.example>', '<b.example﹗a@local.example>'])
    assert.deepEqual(judged(path, true), ['local.example', 'b.example'], path);
  assert.deepEqual(judged('<ａ．ｂ＋ｃ＃@local.example>', true), ['local.example']);
});

test('text is UTF-8 or it is not', () => {
  for (const text of ['', 'plain', octets('é'), octets('a é')]) assert.equal(isUtf8Text(text), true, text);
  for (const text of ['\xff', 'a\xc3', '\xc3a']) assert.equal(isUtf8Text(text), false, text);
});

test('a path is what stands between the brackets, and ends behind them', () => {
  const found = parseForwardPath('TO:<User@Local.example> NOTIFY=NEVER', 3, false);
  assert.ok('address' in found);
  assert.deepEqual([found.written, found.end], ['User@Local.example', 23]);
});

test('of what is no path the log has what stood between the brackets, or all', () => {
  for (const [path, written] of [
    ['<@b.example:a@local.example>', '@b.example:a@local.example'],
    ['<a@local.example>,<b@b.example>', 'a@local.example>,<b@b.example'],
    ['<a b@local.example', 'a b@local.example'],
    ['(a b@local.example', '(a b@local.example'],
    ['(a b<', '(a b<'],
    [' @b.example ', '@b.example'],
  ]) {
    const found = parseForwardPath(`TO:${path}`, 3, false);
    assert.equal('address' in found ? null : found.written, written);
  }
});

for (const path of [
  ...['<@b.example:a@local.example>', '<@b.example,@c.example:a@local.example>', '<@b.example>', '<@>', '<a@b@c>'],
  ...[
    '<a@local.example,b@b.example>',
    '<IMCEASMTP-nobody@local.example>',
    '<a%@local.example>',
    '<%@local.example>',
    '<!@local.example>',
    '<"a@"@local.example>',
  ],
  ...[
    '<=?utf-8?q?a=40b.example?=@local.example>',
    '<"=?utf-8?B?YUBiLmV4YW1wbGU=?="@local.example>',
    '<"a =?utf-7?q?a+AEA-b.example?="@local.example>',
    '<x.=??q?b.example=21a?=@local.example>',
    '<=?utf-8*en?Q?a=40b.example=3e@local.example>',
    '<IMCEASMTP-+3D+3Fx+3Fq+3Fa+3D40b.example@local.example>',
  ],
]) {
  test(`${path} is a way to relay`, () => assert.equal(judged(path), 'trick'));
}

for (const path of [
  ...['', '<', '<>', '<a@>', '<a@.local.example>', '<a@local..example>', '<a@local.example..>', '<a@local.example:25>'],
  ...['<a@3405803783>', '<a@0x7f000001>', '<a@1.2.3.4>', '<a@[>', '<a@[192.0.2.25>', '<a@[x y]>', '<a @local.example>'],
  ...[
    '<a@local.example >',
    '< a@local.example>',
    '<<a@local.example>>',
    '<a@local.example',
    'a@local.example>',
    '<(x)a@local.example>',
  ],
  ...[
    '<"a@local.example>',
    '<""@local.example>',
    '<a"b"@local.example>',
    '<a\\b@local.example>',
    '<a@local.example>x',
    '<a@local.example>,<b@b.example>',
  ],
  ...[
    '<a@loc%al.example>',
    '<a@local/example>',
    '<"a\nb"@local.example>',
    '<"a\0b"@local.example>',
    '<é@local.example>',
    '<"é"@local.example>',
    '<a@é.example>',
  ],
]) {
  test(`${JSON.stringify(path)} is no forward-path`, () => assert.equal(judged(path), 'bad'));
}

test('an address that is packed again and again is refused or named', () => {
  for (let times = 0; times < 10; times++) {
    for (const path of [
      `IMCEASMTP-a+${'2B'.repeat(times)}40b.example`,
      `${'IMCEASMTP-'.repeat(times + 1)}a+40b.example`,
    ]) {
      const found = judged(`<${path}@local.example>`);
      assert.ok(found === 'trick' || found.includes('b.example'), path);
    }
  }
});

test('a domain is compared octet by octet: what only looks like ours is another one', () => {
  for (const domain of ['local。example', 'lоcal.example', 'loc\u00adal.example', 'ｌocal.example', 'ſocal.example']) {
    const found = judged(`<user@${domain}>`, true);
    assert.ok(found === 'bad' || (Array.isArray(found) && !found.includes('local.example')), String(found));
  }
});

test('octets that are not UTF-8 are in no address, SMTPUTF8 or not', () => {
  for (const utf8 of [false, true]) {
    for (const path of ['<user@\xff.example>', '<user@\xff>'])
      assert.ok(!('address' in parseForwardPath(path, 0, utf8)), path);
  }
});

test('a reverse-path may be null, routed, percent-hacked or quoted, and has an end that all agree on', () => {
  for (const path of [
    '<>',
    '<@a.example,@b.example:c@d.example>',
    '<a%b@c.example>',
    '<"a > b"@c.example>',
    'a@b.example',
  ]) {
    assert.equal(parseReversePath(path, 0, false)?.end, path.length, path);
  }
  for (const path of ['', '<', '<a', '<a@b.example>x', '<a><b>', '<"a>', 'a>', '<a@b.example> >']) {
    const found = parseReversePath(path, 0, false);
    assert.ok(found === null || found.end < path.length, path);
  }
});

test('a reverse-path ends at its bracket, or at the first blank outside quotes', () => {
  for (const [path, end] of [
    ['<a@b.example> SIZE=1', 13],
    ['a@b.example SIZE=1', 11],
    ['<"a\\" > b"@c.example> SIZE=1', 21],
    ['"a < b"@c.example', 17],
    ['<"a<b"@c.example>', 17],
    ['<  a@b.example  > SIZE=1', 17],
    ['<a@b.example >', 14],
  ] as const) {
    assert.equal(parseReversePath(path, 0, false)?.end, end, path);
  }
  for (const path of [
    ...[
      '<a@b.example>x',
      '<a><b>',
      '<a<b@c.example>',
      'a>',
      '"a',
      '<a b@c.example>',
      '<a@b.example SIZE=1>',
      '< >',
      '<a@b.example ',
      '<a@b.example >x',
      'a<b@c.example',
      '<"a\\"@c.example>',
    ],
    ...['<"a\x01b"@c.example>', '<"a\\\x01b"@c.example>', '<a\x7fb@c.example>', '<\xc3\xa9@c.example>', '<"a\\'],
  ]) {
    assert.equal(parseReversePath(path, 0, false), null, path);
  }
  assert.equal(parseReversePath(octets('<a@b.exampleà>'), 0, true)?.address?.domain, octets('b.exampleà'));
  assert.equal(parseReversePath('< a@b.example >', 0, false)?.written, ' a@b.example ');
  assert.equal(parseReversePath(octets('<é@c.example>'), 0, true)?.end, 14);
  assert.equal(parseReversePath('<a\x7fb@c.example>', 0, true), null);
});

test('a reverse-path names the address that it is, and none where it is no plain one', () => {
  for (const [path, address] of [
    ['<User@B.Example.>', { local: 'User', domain: 'b.example', literal: null }],
    ['<"a\\"b"@b.example>', { local: 'a"b', domain: 'b.example', literal: null }],
    ['<a@[192.0.2.1]>', { local: 'a', domain: null, literal: '192.0.2.1' }],
    ['< a@b.example >', { local: 'a', domain: 'b.example', literal: null }],
    ['<a>', { local: 'a', domain: null, literal: null }],
    ...['<>', '<@a.example:c@d.example>', '<a:c.example>', '<a@b@c.example>', '<a@[192.0.2.1>', '<""@b.example>'].map(
      (path) => [path, null] as const,
    ),
    ['<=?utf-8?q?boss?=@b.example>', null],
  ] as const) {
    assert.deepEqual(parseReversePath(path, 0, false)?.address, address, path);
  }
});

// --- every address, and every lenient way to read it

const PIECE = fc.constantFrom(
  ...[
    'a',
    'local.example',
    'foreign.example',
    '@',
    '%',
    '!',
    '"',
    '\\',
    '.',
    ',',
    ':',
    ';',
    '<',
    '>',
    ' ',
    '(',
    ')',
    '_',
    '+',
    '[',
  ],
  ...[
    ']',
    '@local.example',
    '@foreign.example',
    '%foreign.example',
    'foreign.example!',
    'IMCEASMTP-',
    'IMCEARFC822-',
    'IMCEAEX-',
  ],
  ...['+40', '+25', '+21', '+2E', '+2B', '+22', '1', '\t', '\0', '\xc3\xa9', 'imceasmtp-', 'IMCEA-', '%25', '%40'],
);

/** What servers were seen to do with a mailbox: undo quotes, unpack IMCEA, take routes, percent and bang. */
function mayReachForeign(mailbox: string): boolean {
  const readings = new Set([mailbox, mailbox.replace(/["\\]/g, '')]);
  for (let round = 0; round < 4; round++) {
    for (const reading of [...readings]) {
      if (/(^|[@%!"<:,])imcea(smtp|rfc822)-/i.test(reading)) {
        readings.add(
          reading.replace(/\+([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
        );
      }
    }
  }
  return [...readings].some((reading) => /[@%][^@%!]*foreign|foreign[^@%!]*!/i.test(reading));
}

test('a path whose every named address is ours reaches no foreign domain, however leniently it is read', () => {
  const path = fc
    .tuple(fc.array(PIECE, { minLength: 1, maxLength: 8 }), fc.constantFrom('>', '@local.example>', '@local.example>'))
    .map(([pieces, end]) => `<${pieces.join('')}${end}`);
  fc.assert(
    fc.property(path, fc.boolean(), (text, utf8) => {
      const found = parseForwardPath(text, 0, utf8);
      if (!('address' in found) || found.gateway) return;
      const ours = found.addresses.every(
        ({ domain, literal }) => literal === null && (domain ?? 'local.example') === 'local.example',
      );
      assert.ok(
        !ours || !mayReachForeign(found.written),
        `${text} names ${found.addresses.map(({ domain }) => domain).join()}`,
      );
    }),
    { numRuns: 20 * RUNS },
  );
});

test('whatever the octets, parsing gives a value', () => {
  const text = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)),
    maxLength: 60,
  });
  fc.assert(
    fc.property(text, fc.boolean(), (anything, utf8) => {
      parseForwardPath(anything, 0, utf8);
      parseReversePath(anything, 0, utf8);
    }),
    { numRuns: RUNS },
  );
});
