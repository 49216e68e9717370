// One domain in many spellings: a no holds for what somebody may read in the octets, a yes for the octets alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import type { ConditionsDocument, ConnectorDocument, PolicyDocument } from '../../src/policy/document.ts';
import {
  aLabelsOf,
  foldWidely,
  fromOctets,
  lately,
  oneSpelling,
  readingsOf,
  toOctets,
} from '../../src/policy/spellings.ts';
import { foldAscii } from '../../src/smtp/bytes.ts';
import { parseForwardPath, parseReversePath } from '../../src/smtp/path.ts';
import type { Question } from '../../src/smtp/types.ts';
import { answer, connector, decide, mail, rcpt, sound } from './build.ts';

const client = '192.0.2.1';

/** All of them are bücher.example to one server or another. */
const BUECHER = [
  'bücher.example',
  'BÜCHER.example',
  'BÜCHER.EXAMPLE.',
  'bu\u0308cher.example',
  'ｂücher.ｅｘａｍｐｌｅ',
  'b\u00adücher.example',
  'b\u200büc\u2060her.example',
  'bücher。example',
  'bücher．example',
  'xn--bcher-kva.example',
  'XN--BCHER-KVA.Example',
  'ｘｎ--bcher-kva.example',
  'xn--bcher-kva.xn--example-',
  'xn--xn--bcher-kva-.example',
  'xn--bcher-2pa.example', // BÜCHER, which is no A-label
];
const OTHERS = ['bucher.example', 'buecher.example', 'büche.example', 'bücher.example.org', 'xn--a.example'];

/** As the core reads it, from a client that has said SMTPUTF8. */
function recipient(address: string): Question {
  const path = parseForwardPath(`<${toOctets(address)}>`, 0, true);
  assert.ok('end' in path, address);
  return rcpt('', { recipient: path.written, addresses: path.addresses });
}

function sender(address: string): Pick<Question, 'sender' | 'senderAddress'> {
  const path = parseReversePath(`<${toOctets(address)}>`, 0, true);
  assert.ok(path !== null, address);
  return { sender: path.written, senderAddress: path.address };
}

const policy = (given: Partial<PolicyDocument>, more: Partial<ConnectorDocument> = {}) =>
  sound({ ...given, connectors: [connector({ i_know_this_is_open: true, ...more })] });

test('a blocked domain is blocked in every spelling', async () => {
  for (const blocked of ['bücher.example', 'xn--bcher-kva.example', '*.BÜCHER.example']) {
    const asked = policy({ blocked_domains: [blocked] }, { rules: [{ allow: {} }] });
    for (const domain of BUECHER)
      assert.equal(await answer(asked, client, recipient(`x@${domain}`)), '554 blocked_domain', domain);
    for (const domain of OTHERS) assert.equal(await answer(asked, client, recipient(`x@${domain}`)), 'proceed', domain);
  }
  const below = policy({ blocked_domains: ['*.bücher.example'] }, { rules: [{ allow: {} }] });
  assert.equal(await answer(below, client, recipient('x@ａ.b。BÜCHER.example')), '554 blocked_domain');
  const plain = policy({ blocked_domains: ['bad.example'] }, { rules: [{ allow: {} }] });
  for (const domain of ['ｂad.example', 'bad。example', 'ba\u00add.example', 'ＢＡＤ.example', 'xn--bad-.example'])
    assert.equal(await answer(plain, client, recipient(`x@${domain}`)), '554 blocked_domain', domain);
});

test('an address hidden in a local part is looked at in every spelling as well', async () => {
  const asked = policy({ blocked_domains: ['bücher.example'] }, { rules: [{ allow: {} }] });
  assert.equal(await answer(asked, client, recipient('x%BÜCHER.example@local.example')), '554 blocked_domain');
});

test('old servers read ß as ss, new ones as a letter of its own', async () => {
  const asked = policy({ blocked_domains: ['strasse.example', 'faß.example'] }, { rules: [{ allow: {} }] });
  for (const domain of ['straße.example', 'STRAẞE.example', 'FAẞ.example', 'xn--fa-hia.example'])
    assert.equal(await answer(asked, client, recipient(`x@${domain}`)), '554 blocked_domain', domain);
  for (const domain of ['fass.example', 'xn--strae-oqa.example'])
    assert.equal(await answer(asked, client, recipient(`x@${domain}`)), 'proceed', domain);
});

test('a deny, and what an allow excludes, hold in every spelling of recipients, senders and HELO', async () => {
  const conditions: [ConditionsDocument, (domain: string) => Question][] = [
    [{ recipient_domains: ['bücher.example'] }, (domain) => recipient(`x@${domain}`)],
    [{ recipients: ['x@bücher.example'] }, (domain) => recipient(`X@${domain}`)],
    [
      { sender_domains: ['bücher.example'] },
      (domain) => ({ ...recipient('x@foreign.example'), ...sender(`a@${domain}`) }),
    ],
    [
      { senders: ['a@bücher.example'] },
      (domain) => ({ ...recipient('x@foreign.example'), ...sender(`"\\A"@${domain}`) }),
    ],
    [{ helo: ['bücher.example'] }, (domain) => ({ ...recipient('x@foreign.example'), helo: toOctets(domain) })],
  ];
  for (const [condition, ask] of conditions) {
    const denies = policy({}, { rules: [{ deny: condition }, { allow: {} }] });
    const excludes = policy({}, { rules: [{ allow: { not: condition } }] });
    const allows = policy({}, { rules: [{ allow: condition }] });
    const spares = policy({}, { rules: [{ deny: { not: condition } }, { allow: {} }] });
    for (const domain of BUECHER) {
      assert.match(await answer(denies, client, ask(domain)), /^554/, domain);
      assert.match(await answer(excludes, client, ask(domain)), /^554/, domain);
    }
    for (const domain of OTHERS) {
      assert.equal(await answer(denies, client, ask(domain)), 'proceed', domain);
      assert.equal(await answer(excludes, client, ask(domain)), 'proceed', domain);
    }
    for (const domain of ['bücher.example', 'xn--bcher-kva.example']) {
      assert.equal(await answer(allows, client, ask(domain)), 'proceed', domain);
      assert.equal(await answer(spares, client, ask(domain)), 'proceed', domain);
    }
    for (const domain of ['BÜCHER.example', 'ｂücher.example', 'bücher。example', 'xn--bcher-2pa.example']) {
      assert.match(await answer(allows, client, ask(domain)), /^554/, `a yes compares octets: ${domain}`);
      assert.match(await answer(spares, client, ask(domain)), /^554/, `a yes compares octets: ${domain}`);
    }
  }
});

test('accepted and relay domains are a yes: they compare octets', async () => {
  const asked = policy({ accepted_domains: ['bücher.example'], relay_domains: ['partner.example'] });
  for (const domain of ['bücher.example', 'xn--bcher-kva.example', 'partner.example'])
    assert.equal(await answer(asked, client, recipient(`x@${domain}`)), 'proceed');
  for (const domain of ['BÜCHER.example', 'ｐartner.example', 'part\u00adner.example', 'partner。example'])
    assert.equal(await answer(asked, client, recipient(`x@${domain}`)), '554 no_rule', domain);
});

test('nobody writes as one of our domains in another spelling', async () => {
  for (const own_domains of ['deny', 'authenticated'] as const) {
    const asked = policy(
      { accepted_domains: ['local.example', 'bücher.example'], accepted_literals: ['192.0.2.25'] },
      { senders: { own_domains, own_address: 'free', others: 'allow', login_must_match: {} } },
    );
    const may = (address: string): Promise<string> => answer(asked, client, mail('', sender(address)));
    for (const domain of [
      ...BUECHER,
      'ｌocal.example',
      'lo\u00adcal.example',
      'local。example',
      '[192.0.2.25]',
      '[IPv6:::ffff:192.0.2.25]',
    ])
      assert.equal(await may(`boss@${domain}`), '550 sender', domain);
    for (const domain of [...OTHERS, 'other.example', '[192.0.2.26]'])
      assert.equal(await may(`boss@${domain}`), 'proceed', domain);
  }
});

test('a local part is folded for a no in every case and width, and taken as it is decoded', async () => {
  const asked = policy(
    {},
    { rules: [{ deny: { senders: ['müller@bad.example', 'eve@[192.0.2.9]'] } }, { allow: {} }] },
  );
  const may = (address: string): Promise<string> =>
    answer(asked, client, { ...recipient('x@foreign.example'), ...sender(address) });
  for (const address of [
    'MÜLLER@bad.example',
    'mu\u0308ller@ｂad.example',
    '"m\\üller"@bad.example',
    'ｍüller@bad.example',
    '" müller"@bad.example',
    'eve@[IPv6:::ffff:192.0.2.9]',
  ])
    assert.equal(await may(address), '554 rule', address);
  for (const address of ['muller@bad.example', 'möller@bad.example', 'müller@good.example'])
    assert.equal(await may(address), 'proceed', address);
});

test('names in DNS that keep a client out do so in every spelling', async () => {
  const resolve = async (): Promise<string[]> => ['ＸN--BCHER-KVA.example'].map(toOctets);
  const rules = [{ deny: { ptr: ['bücher.example'] } }, { allow: {} }];
  const denies = sound({ connectors: [connector({ i_know_this_is_open: true, rules })] }, { resolve });
  assert.equal(await answer(denies, client, recipient('x@foreign.example')), '554 rule');
  const closed = sound(
    { connectors: [connector({ connect: { allow: ['any'], deny: ['xn--bcher-kva.example'] } })] },
    { resolve },
  );
  const ends = { clientAddress: client, localAddress: '192.0.2.25', localPort: 25 };
  assert.notEqual(await closed.connectorFor(ends)?.refusal(client), null);
});

test('a certificate that is denied is so in every case and form of its names', async () => {
  const rules = [{ deny: { tls_subject: ['bücher.example', 'C=DE,CN=Müller'] } }, { allow: {} }];
  const may = (subject: string): Promise<string> =>
    answer(policy({}, { rules }), client, { ...recipient('x@foreign.example'), tlsSubject: [toOctets(subject)] });
  for (const subject of ['BÜCHER.example', 'XN--BCHER-KVA.example', 'C=DE,CN=MÜLLER', 'c=de,cn=Mu\u0308ller'])
    assert.equal(await may(subject), '554 rule', subject);
  for (const subject of ['bucher.example', 'C=DE,CN=Möller']) assert.equal(await may(subject), 'proceed', subject);
});

test('a greeting that is denied is so with blanks and dots behind it', async () => {
  const asked = policy({}, { rules: [{ deny: { helo: ['bad.example'] } }, { allow: {} }] });
  for (const helo of ['bad.example', 'BAD.example.', 'bad.example..', ' bad.example '])
    assert.equal(await answer(asked, client, { ...recipient('x@foreign.example'), helo }), '554 rule', helo);
});

test('the log says how a domain was read', async () => {
  const asked = policy(
    { blocked_domains: ['bücher.example'] },
    { rules: [{ name: 'never', deny: { sender_domains: ['bad.example'] } }, { allow: {} }] },
  );
  const blocked = await decide(asked, client, recipient('x@b\u00adücher.example'));
  assert.equal(blocked?.trace?.(), 'b\u00adücher.example may be read as bücher.example');
  const denied = await decide(asked, client, { ...recipient('x@foreign.example'), ...sender('a@ｂad.example') });
  assert.equal(denied?.trace?.(), 'never yes(ｂad.example may be read as bad.example)');
});

test('what a domain may be read as is bounded, and nothing is too odd to be read', () => {
  assert.deepEqual(readingsOf('plain.example'), []);
  assert.deepEqual(readingsOf(toOctets(`${'é'.repeat(200)}.example`)), [], 'no domain is so long');
  const part = fc.oneof(
    fc.constantFrom('xn--', 'xn--a', '.', '-', 'ü', '。', '\u00ad', 'ß', 'ﷺ', '/', '%', '\ud800'),
    fc.string({ unit: 'binary', maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
      const readings = readingsOf(toOctets(parts.join('')).slice(0, 255));
      assert.ok(readings.length <= 4);
      for (const reading of readings) assert.ok(reading.length < 20_000);
    }),
  );
});

test('every name that UTS 46 knows is read as it says', () => {
  const letter = fc.constantFrom(...'abzÄÖüßéøñçΣςяЖ漢字かナ한'.split(''));
  const label = fc.array(letter, { minLength: 1, maxLength: 8 }).map((letters) => letters.join(''));
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 3 }), fc.boolean(), (labels, asALabels) => {
      const written = `${labels.join('.')}.example`;
      const ascii = domainToASCII(written);
      if (ascii === '' || /^[\x00-\x7f]*$/.test(written)) return;
      const readings = readingsOf(asALabels ? ascii.toUpperCase() : toOctets(written));
      assert.ok(readings.includes(ascii), `${written}: ${readings}`);
    }),
  );
});

test('octets are text where they are UTF-8, and what is none stays as it is', () => {
  assert.equal(toOctets('é'), '\xc3\xa9');
  assert.equal(fromOctets('\xc3\xa9'), 'é');
  assert.equal(fromOctets('\xe9'), '\xe9');
  for (const plain of ['', 'abc', '\x7f']) assert.deepEqual([toOctets(plain), fromOctets(plain)], [plain, plain]);
  assert.equal(fromOctets('a\xc3\xa9'), 'aé');
  assert.equal(fromOctets('\xc3\xa9a'), 'éa');
});

test('what looks alike but for case, width and what is not seen is folded to one text', () => {
  for (const text of ['STRASSE', 'straße', 'ｓtrasse', 'stra\u00adsse', 'STRAẞE'.toLowerCase()])
    assert.equal(foldWidely(text), 'strasse', text);
  assert.equal(foldWidely('Mu\u0308ller'), 'müller');
  assert.notEqual(foldWidely('muller'), foldWidely('müller'));
  assert.equal(foldWidely('ABC'), 'abc');
});

test('a domain has A-labels, and what ends a host in a URL leaves it none', () => {
  assert.equal(aLabelsOf('Bücher.Example'), 'xn--bcher-kva.example');
  assert.equal(aLabelsOf('bücher.example.'), 'xn--bcher-kva.example');
  for (const sign of [
    ' ',
    '\t',
    '"',
    '#',
    '%',
    '/',
    ':',
    '<',
    '>',
    '?',
    '@',
    '[',
    '\\',
    ']',
    '^',
    '`',
    '{',
    '|',
    '}',
    '\x7f',
  ])
    assert.equal(aLabelsOf(`bü${sign}cher.example`), '', sign);
});

test('an A-label is read as RFC 3492 has it, and what is encoded in no such way is itself', () => {
  // The samples of RFC 3492 §7.1 that are of one case.
  for (const [label, text] of [
    ['egbpdaj6bu4bxfgehfvwxn', 'ليهمابتكلموشعربي؟'],
    ['ihqwcrb4cv8a8dqg056pqjye', '他们为什么不说中文'],
    ['4dbcagdahymbxekheh6e0a7fei0b', 'למההםפשוטלאמדבריםעברית'],
    ['n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa', 'なぜみんな日本語を話してくれないのか'],
    [
      '989aomsvi5e83db1d2a355cv1e0vak1dwrv93d5xbh15a0dt30a5jpsd879ccm6fea98c',
      '세계의모든사람들이한국어를이해한다면얼마나좋을까',
    ],
    ['2-u9tlzr9756bt3uc0v', 'ひとつ屋根の下2'],
  ] as const)
    assert.ok(readingsOf(`xn--${label}.example`).includes(toOctets(`${text}.example`)), text);
  assert.deepEqual(readingsOf('xn--abc-.example'), ['abc.example']);
  assert.ok(readingsOf('xn--ls8h.example').includes(toOctets('💩.example')), 'beyond 16 bits');
  for (const odd of ['xn--!.example', 'xn--99999999.example', 'xn--a-e.example', 'xn--a!b.example'])
    assert.deepEqual(readingsOf(odd), [], odd);
});

test('all full stops of East Asia are one, and those at the end are none', () => {
  for (const domain of ['ａ。b．c｡', 'ａ.b.c。。']) assert.ok(readingsOf(toOctets(domain)).includes('a.b.c'), domain);
});

test('the same domain asked twice is read alike, and another one anew', () => {
  const first = readingsOf(toOctets('ｂad.example'));
  assert.deepEqual(readingsOf(toOctets('ｂad.example')), first);
  assert.deepEqual(readingsOf(toOctets('ｄad.example')), ['dad.example']);
  assert.deepEqual(readingsOf('a.xn--b.example').includes('a.xn--b.example'), false);
  assert.equal(readingsOf(toOctets(`${'é'.repeat(123)}.example`)).length, 1, '254 octets, and no A-labels');
  assert.notDeepEqual(readingsOf(toOctets(`É${'é'.repeat(122)}x.example`)), [], 'as long as a domain may be');
  assert.deepEqual(readingsOf(toOctets('É')), [toOctets('é'), 'xn--9ca'], 'no octet of ASCII');
  assert.deepEqual(readingsOf(toOctets('１.2.3')), ['1.2.3'], 'and no address that a URL would make of it');
});

test('of the last few texts is kept what was made of them, and of no more', () => {
  const made: string[] = [];
  const make = lately((text) => {
    made.push(text);
    return `${text}!`;
  });
  const texts = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  for (const text of [...texts, ...texts]) assert.equal(make(text), `${text}!`);
  assert.deepEqual(made, texts);
  for (const text of ['i', 'h', 'b', 'a', 'i']) assert.equal(make(text), `${text}!`);
  assert.deepEqual(made, [...texts, 'i', 'a'], 'the first to come is the first to go');
});

test('a long name, and each domain, is folded once, however many rules ask about it', async () => {
  const rules = Array.from({ length: 100 }, (_, i) => [
    { deny: { recipients: [`u${i}@foreign.example`] } },
    { deny: { helo: [`h${i}.example`] } },
    { deny: { recipient_domains: [`d${i}.example`] } },
  ]).flat();
  const policy = sound({ connectors: [connector({ rules: [...rules, { allow: {} }], i_know_this_is_open: true })] });
  const asked = { ...recipient(`${'\ufdfa'.repeat(600)}@ｆoreign.example`), helo: toOctets('ｈ.example') };
  const { normalize } = String.prototype;
  let folds = 0;
  String.prototype.normalize = function (form): string {
    folds++;
    return normalize.call(this, form);
  };
  try {
    assert.equal(await answer(policy, client, asked), 'proceed');
  } finally {
    String.prototype.normalize = normalize;
  }
  assert.ok(folds > 0 && folds < 100, `${folds} times`);
});

test('all spellings of a domain come to one, and what is no domain keeps its own', () => {
  const one = (domain: string): string => oneSpelling(foldAscii(toOctets(domain)));
  for (const domain of BUECHER) assert.equal(one(domain), 'xn--bcher-kva.example', domain);
  for (const domain of ['a.example', 'büche r.example', '10.1', `ü${'a'.repeat(254)}`])
    assert.equal(one(domain), toOctets(domain));
  assert.match(one(`ü${'a'.repeat(253)}`), /^xn--/); // 255 octets
});
