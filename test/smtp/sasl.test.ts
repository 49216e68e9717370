// Watching logins: the name that a mechanism shows, and the responses that two parties could read in two ways.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SaslExchange } from '../../src/smtp/sasl.ts';
import { ANONYMOUS, authenticate, challenge, negotiate, wrapped } from '../helpers/ntlm.ts';

const RUNS = Number(process.env.POSTERN_FUZZ_RUNS ?? 1000);
const base64 = (octets: string | Buffer): string => Buffer.from(octets as string, 'latin1').toString('base64');

/** What is known of the login when all responses have passed; null when one of them must not. Where NTLM is spoken, the
 * upstream challenges before each response. */
function watch(mechanism: string, ...responses: readonly (string | Buffer)[]): SaslExchange | null {
  return watchBehind(challenge(), mechanism, ...responses);
}

function watchBehind(text: string | Buffer, mechanism: string, ...responses: readonly (string | Buffer)[]) {
  const exchange = new SaslExchange(mechanism);
  const pass = (response: string | Buffer): boolean => {
    exchange.challenge(base64(text));
    return exchange.respond(base64(response));
  };
  return responses.every(pass) ? exchange : null;
}

const DIGEST =
  'username="chris",realm="local.example",nonce="n",nc=00000001,cnonce="c",digest-uri="smtp/x",response=d388dad90d4bbd760a152321f2143af7';

for (const [mechanism, name, ...responses] of [
  ['PLAIN', 'alice', '\0alice\0secret'],
  ['PLAIN', 'alice', 'alice\0alice\0secret'],
  ['PLAIN', 'alice@local.example', '\0alice@local.example\0'],
  ['LOGIN', 'alice', 'alice', 'secret'],
  ['LOGIN', 'CORP\\alice', 'CORP\\alice', 'secret'],
  ['CRAM-MD5', 'tim', 'tim b913a602c7eda7a495b4e6e7334d3890'],
  ['CRAM-MD5', 'tim of two words', 'tim of two words b913a602c7eda7a495b4e6e7334d3890'],
  ['DIGEST-MD5', 'chris@local.example', `${DIGEST},qop=auth`, ''],
  ['DIGEST-MD5', 'chris@local.example', DIGEST, ''],
  ['DIGEST-MD5', 'chris', 'username="chris",realm="",qop=auth'],
  ['DIGEST-MD5', 'chris', 'username="chris",qop=auth'],
  ['XOAUTH2', 'bob@local.example', 'user=bob@local.example\x01auth=Bearer ya29\x01\x01'],
  ['OAUTHBEARER', 'bob@local.example', 'n,a=bob@local.example,\x01host=x\x01auth=Bearer y\x01\x01'],
  ['SCRAM-SHA-256', 'bob', 'n,,n=bob,r=nonce', 'c=biws,r=nonce,p=proof'],
  ['SCRAM-SHA-1', 'b,o=b', 'n,a=b=2Co=3Db,n=b=2Co=3Db,r=nonce'],
  ['NTLM', 'CORP\\alice', negotiate, authenticate({ domain: 'CORP', user: 'alice' })],
  ['NTLM', 'alice@corp.example', authenticate({ user: 'alice@corp.example' })],
  ['GSS-SPNEGO', 'CORP\\alice', wrapped(negotiate), wrapped(authenticate({ domain: 'CORP', user: 'alice' }))],
  ['GSSAPI', 'CORP\\alice', wrapped(authenticate({ domain: 'CORP', user: 'alice' }))],
  ['GSSAPI', null, '\x60\x82\x01\x00kerberos', '', '\x05\x04\x04\xff'],
] as const) {
  test(`${mechanism} with ${responses.length} responses names ${name}`, () => {
    const exchange = watch(mechanism, ...responses);
    assert.equal(exchange?.name, name);
    assert.equal(exchange?.anonymous, false);
  });
}

test('an NTLM name is read in the charset that the challenge chose, and in no other', () => {
  const names = (charset: 'unicode' | 'oem', chosen: 'unicode' | 'oem') =>
    watchBehind(challenge(chosen), 'NTLM', authenticate({ domain: 'CORP', user: 'alice', charset }))?.name;
  assert.equal(names('oem', 'oem'), 'CORP\\alice');
  assert.equal(names('unicode', 'unicode'), 'CORP\\alice');
  assert.equal(names('oem', 'unicode'), undefined);
  assert.equal(names('unicode', 'oem'), undefined);
});

test('an NTLM name that answers no challenge is nobody: it may be planted in a Kerberos token', () => {
  const planted = authenticate({ domain: 'CORP', user: 'alice' });
  assert.equal(watchBehind('', 'NTLM', planted), null);
  for (const mechanism of ['GSSAPI', 'GSS-SPNEGO']) {
    const exchange = watchBehind('', mechanism, wrapped(planted));
    assert.equal(exchange?.name, null, mechanism);
    assert.equal(exchange?.anonymous, false, mechanism);
  }
});

test('what a client puts beside its name does not change how the name is read', () => {
  const name = Buffer.from('fête', 'utf8').toString('latin1');
  const odd = '\xff'; // no UTF-8
  for (const [mechanism, response] of [
    ['PLAIN', `\0${name}\0${odd}`],
    ['CRAM-MD5', `${name} b913a602c7eda7a495b4e6e7334d3890`],
    ['DIGEST-MD5', `username="${name}",cnonce="${odd}",qop=auth`],
    ['SCRAM-SHA-256', `n,,n=${name},r=${odd}`],
    ['XOAUTH2', `user=${name}\x01auth=Bearer ${odd}\x01\x01`],
    ['OAUTHBEARER', `n,a=${name},\x01auth=Bearer ${odd}\x01\x01`],
  ] as const)
    assert.equal(watch(mechanism, response)?.name, 'fête', mechanism);
  assert.equal(watch('DIGEST-MD5', `username="${name}",realm="${odd}",qop=auth`)?.name, 'fête@ÿ');
});

test('OAUTHBEARER may leave the name to the token, whatever the token looks like', () => {
  const exchange = watch('OAUTHBEARER', 'n,,\x01host=h\x01auth=Bearer bHRhdmlzdGEuY29tCga=\x01\x01');
  assert.ok(exchange !== null);
  assert.equal(exchange.name, null);
  assert.equal(exchange.isProven, false);
});

test('XOAUTH2 and OAUTHBEARER name one user, or nobody passes', () => {
  const x = '\x01';
  assert.equal(watch('XOAUTH2', `user=bob${x}auth=Bearer t${x}${x}`, '')?.name, 'bob');
  assert.equal(watch('XOAUTH2', `user=boss${x}auth=Bearer t${x}user=mallory${x}${x}`), null);
  assert.equal(watch('XOAUTH2', `user=boss${x}auth=Bearer t`), null);
  assert.equal(watch('OAUTHBEARER', `n,a=bob=2Cx,${x}host=h${x}auth=Bearer t${x}${x}`)?.name, 'bob,x');
  assert.equal(watch('OAUTHBEARER', `n,a=bob,${x}auth=Bearer t${x}a=mallory`), null);
  assert.equal(watch('OAUTHBEARER', `n,a=b=3Dx,${x}auth=Bearer t${x}${x}`, x)?.name, 'b=x');
  assert.equal(watch('XOAUTH2', `user=bob${x}auth=Bearer t${x}${x}`, x)?.name, 'bob');
});

test('a DIGEST-MD5 user of the one realm that the server has goes without it, one of any other realm does not', () => {
  const name = (challenge: string) => watchBehind(challenge, 'DIGEST-MD5', DIGEST)?.name;
  assert.equal(name('realm="local.example",nonce="n",qop="auth"'), 'chris');
  assert.equal(name('realm="",nonce="n",qop="auth"'), 'chris@local.example');
  assert.equal(name('nonce="n",qop="auth"'), 'chris@local.example');
  assert.equal(name('realm="elsewhere.example",nonce="n",qop="auth"'), 'chris@local.example');
  assert.equal(name('realm="local.example",realm="elsewhere.example",nonce="n"'), 'chris@local.example');
  assert.equal(name('no challenge at all'), 'chris@local.example');
});

test('DIGEST-MD5 fields are read one behind the other: a name inside a value, or behind a token, is no field', () => {
  for (const text of [`x2="username=alice,y=", ${DIGEST}`, `${DIGEST},x2="username=alice"`])
    assert.equal(watch('DIGEST-MD5', text)?.name, 'chris@local.example', text);
  for (const text of [`nonsense ${DIGEST}`, `${DIGEST} username=alice`, `=,${DIGEST}`])
    assert.equal(watch('DIGEST-MD5', text), null, text);
});

test('a login is proven when name and proof have been said', () => {
  const proven = (mechanism: string, ...responses: readonly string[]) => watch(mechanism, ...responses)?.isProven;
  assert.equal(proven('PLAIN'), false);
  assert.equal(proven('PLAIN', '\0alice\0secret'), true);
  assert.equal(proven('LOGIN', 'alice'), false);
  assert.equal(proven('LOGIN', 'alice', 'secret'), true);
  assert.equal(proven('LOGIN', '', 'secret'), false);
  assert.equal(proven('SCRAM-SHA-1', 'n,,n=bob,r=nonce'), false);
  assert.equal(proven('SCRAM-SHA-1', 'n,,n=bob,r=nonce', 'c=biws,r=nonce,p=proof'), true);
  assert.equal(proven('XOAUTH2', 'user=bob\x01auth=Bearer t\x01\x01'), true);
  assert.equal(proven('GSSAPI', 'kerberos', 'more'), false);
});

test('a name that is empty, or cannot be seen, is none', () => {
  assert.equal(watch('LOGIN', '', 'secret')?.name, null);
  assert.equal(watch('DIGEST-MD5', 'username="",realm="local.example"')?.name, null);
  assert.equal(watch('CRAM-MD5', 'tim b913a602c7eda7a495b4e6e7334d3890 and more')?.name, null);
});

test('a DIGEST-MD5 name may hold quoted pairs, and authzid may be the name itself', () => {
  assert.equal(watch('DIGEST-MD5', 'username="ch\\"r\\\\is"')?.name, 'ch"r\\is');
  assert.equal(watch('DIGEST-MD5', 'username="chris",authzid="chris"')?.name, 'chris');
});

test('an NTLM challenge is one of type 2, with flags, wherever it stands', () => {
  const login = authenticate({ domain: 'CORP', user: 'alice' });
  const name = (text: Buffer) => watchBehind(text, 'NTLM', login)?.name;
  const two = challenge();
  assert.equal(name(two.subarray(0, 24)), 'CORP\\alice');
  assert.equal(name(Buffer.concat([Buffer.from('x'), two])), 'CORP\\alice');
  assert.equal(name(two.subarray(0, 23)), undefined);
  const first = challenge();
  first.writeUInt32LE(1, 8);
  assert.equal(name(first), undefined);
  const unsigned = Buffer.alloc(48);
  unsigned.writeUInt32LE(2, 7);
  unsigned.writeUInt32LE(1, 19);
  assert.equal(name(unsigned), undefined);
  for (const charset of ['unicode', 'oem'] as const)
    assert.equal(new SaslExchange('NTLM').respond(base64(authenticate({ user: 'al', charset }))), false, charset);
});

test('the flags of an NTLM message agree with the challenge, and its names with them', () => {
  for (const charset of ['oem', 'unicode'] as const) {
    const other = charset === 'oem' ? 'unicode' : 'oem';
    const login = authenticate({ domain: 'CO', user: 'alicia', charset });
    assert.equal(watchBehind(challenge(charset), 'NTLM', login)?.name, 'CO\\alicia');
    assert.equal(watchBehind(challenge(other), 'NTLM', login), null, charset);
  }
  for (const field of [28, 36]) {
    const odd = authenticate({ domain: 'CORP', user: 'alice' });
    odd.writeUInt16LE(3, field);
    assert.equal(watch('NTLM', odd), null, `a field of half a character at ${field}`);
  }
});

/** As before Windows 2000: no flags, and the fields begin where these would stand. */
function withoutFlags(user: string): Buffer {
  const message = authenticate({ user, charset: 'oem', lm: Buffer.alloc(24, 'Q'), nt: Buffer.alloc(24, 'Q') });
  for (const at of [12, 20, 28, 36, 44]) message.writeUInt32LE(message.readUInt32LE(at + 4) - 12, at + 4);
  return Buffer.concat([message.subarray(0, 52), message.subarray(64)]);
}

test('an NTLM message without flags is read as the challenge says', () => {
  assert.equal(watchBehind(challenge('oem'), 'NTLM', withoutFlags('alice'))?.name, 'alice');
});

test('an NTLM message of type 1 may be of its type alone', () => {
  assert.equal(watch('NTLM', negotiate.subarray(0, 12))?.name, null);
});

test('an NTLM field that points outside must not pass, whichever it is', () => {
  for (const field of [12, 20, 28, 36]) {
    const message = authenticate({ domain: 'CORP', user: 'alice' });
    message.writeUInt32LE(0x7fffff00, field + 4);
    assert.equal(watch('NTLM', message), null, `at ${field}`);
  }
  const empty = authenticate({ user: 'al' });
  empty.writeUInt32LE(0x7fffff00, 28 + 4);
  assert.equal(watch('NTLM', empty)?.name, 'al', 'where nothing stands does not matter');
  const last = authenticate({ user: 'al' });
  last.writeUInt32LE(last.length - 4, 36 + 4);
  assert.equal(watch('NTLM', last)?.name, 'ON', 'the very last octets are inside');
});

test('a client that answers with an NT response alone is somebody', () => {
  const exchange = watch('NTLM', authenticate({ domain: 'CORP', user: 'alice', lm: Buffer.alloc(0) }));
  assert.deepEqual([exchange?.name, exchange?.anonymous], ['CORP\\alice', false]);
});

test('an NTLM message of empty fields authenticates nobody', () => {
  const message = Buffer.concat([authenticate({}).subarray(0, 12), Buffer.alloc(40)]);
  assert.equal(watch('NTLM', message)?.anonymous, true);
});

test('a name in UTF-8 is read as such, and octets that are not one by one', () => {
  assert.equal(watch('LOGIN', Buffer.from('jürgen'))?.name, 'jürgen');
  assert.equal(watch('LOGIN', 'j\xfcrgen')?.name, 'jürgen');
});

for (const [mechanism, what, ...responses] of [
  ['DIGEST-MD5', 'a second response', DIGEST, 'x'],
  ['XOAUTH2', 'a second response', 'user=bob\x01auth=Bearer t\x01\x01', 'xx'],
  ['XOAUTH2', 'something before it', 'xuser=bob\x01auth=Bearer t\x01\x01'],
  ['XOAUTH2', 'something behind it', 'user=bob\x01auth=Bearer t\x01\x01x'],
  ['OAUTHBEARER', 'a second response', 'n,a=bob,\x01auth=Bearer t\x01\x01', 'xx'],
  ['OAUTHBEARER', 'something before it', 'xn,a=bob,\x01auth=Bearer t\x01\x01'],
  ['OAUTHBEARER', 'something behind it', 'n,a=bob,\x01auth=Bearer t\x01\x01x'],
  ['SCRAM-SHA-1', 'something before it', 'xn,,n=bob,r=nonce'],
  ['SCRAM-SHA-1', 'nothing that it is', 'bob'],
  ['PLAIN', 'another authorization identity', 'bob\0alice\0secret'],
  ['PLAIN', 'no user', '\0\0secret'],
  ['PLAIN', 'no separator', 'alice'],
  ['PLAIN', 'one separator', 'alice\0secret'],
  ['PLAIN', 'a NUL in the password', '\0alice\0sec\0ret'],
  ['PLAIN', 'a line end in the name', '\0al\r\nice\0secret'],
  ['PLAIN', 'a second response', '\0alice\0secret', '\0bob\0secret'],
  ['LOGIN', 'a NUL in the name', 'ali\0ce'],
  ['LOGIN', 'a third response', 'alice', 'secret', 'bob'],
  ['CRAM-MD5', 'a second response', 'tim b913a602c7eda7a495b4e6e7334d3890', 'bob b913a602c7eda7a495b4e6e7334d3890'],
  ['DIGEST-MD5', 'integrity protection', `${DIGEST},qop=auth-int`],
  ['DIGEST-MD5', 'confidentiality', `${DIGEST},qop="auth-conf"`],
  ['DIGEST-MD5', 'two qops', `${DIGEST},qop=auth,qop=auth-conf`],
  ['DIGEST-MD5', 'two user names', `${DIGEST},qop=auth,username="root"`],
  ['DIGEST-MD5', 'another authorization identity', `${DIGEST},qop=auth,authzid="root"`],
  ['DIGEST-MD5', 'no user name', 'realm="x",qop=auth'],
  ['SCRAM-SHA-1', 'another authorization identity', 'n,a=root,n=bob,r=nonce'],
  [
    'NTLM',
    'a name that begins behind the end',
    authenticate({ user: 'a', userField: { length: 10, offset: 0x7fffff00 } }),
  ],
  ['NTLM', 'a name that ends behind the end', authenticate({ user: 'a', userField: { length: 65535, offset: 64 } })],
  ['NTLM', 'a message cut off', authenticate({ user: 'alice' }).subarray(0, 40)],
  ['NTLM', 'a signature alone', Buffer.from('NTLMSSP\0')],
  [
    'GSS-SPNEGO',
    'two messages',
    Buffer.concat([wrapped(authenticate({ user: 'alice' })), authenticate({ user: 'root' })]),
  ],
] as const) {
  test(`${mechanism} with ${what} must not pass`, () => assert.equal(watch(mechanism, ...responses), null));
}

for (const [what, message] of [
  ['no name at all', authenticate({ lm: Buffer.alloc(1), nt: Buffer.alloc(0), flags: ANONYMOUS })],
  ['no name and some response', authenticate({})],
  ['a domain and no name', authenticate({ domain: 'CORP', lm: Buffer.alloc(1), nt: Buffer.alloc(0) })],
  ['a name and no response', authenticate({ user: 'alice', lm: Buffer.alloc(1), nt: Buffer.alloc(0) })],
  ['a name and not one octet of a response', authenticate({ user: 'alice', lm: Buffer.alloc(0), nt: Buffer.alloc(0) })],
] as const) {
  test(`an NTLM message with ${what} authenticates nobody, wherever it hides (MS01-037)`, () => {
    for (const [mechanism, response] of [
      ['NTLM', message],
      ['GSS-SPNEGO', wrapped(message)],
      ['GSSAPI', wrapped(message)],
    ] as const) {
      assert.equal(watch(mechanism, response)?.anonymous, true, mechanism);
    }
  });
}

test('an old client that answers with an LM response alone is somebody', () => {
  const exchange = watch('NTLM', authenticate({ domain: 'CORP', user: 'alice', nt: Buffer.alloc(0) }));
  assert.equal(exchange?.name, 'CORP\\alice');
  assert.equal(exchange?.anonymous, false);
});

test('base64 that is not canonical must not pass', () => {
  const good = base64('\0alice\0secret');
  assert.equal(good, 'AGFsaWNlAHNlY3JldA==');
  assert.ok(new SaslExchange('PLAIN').respond(good));
  for (const bad of [
    ...[
      'AGFsaWNlAHNlY3JldA',
      'AGFsaWNlAHNlY3JldA=',
      'AGFsaWNlAHNlY3JldB==',
      'AGFsaWNlAHNlY3JldA===',
      'AGFs\naWNlAHNlY3JldA==',
    ],
    ...[
      ' AGFsaWNlAHNlY3JldA==',
      'AGFsaWNl!AHNlY3JldA==',
      'AGFsaWNl-_HNlY3JldA==',
      'AGFsaWNlAHNlY3JldA==AGFs',
      '=',
      'A',
    ],
  ]) {
    assert.equal(new SaslExchange('PLAIN').respond(bad), false, bad);
  }
});

test('an initial response of = is an empty one', () => {
  assert.ok(new SaslExchange('GSSAPI').respondInitially('='));
  const plain = new SaslExchange('PLAIN');
  assert.ok(plain.respondInitially('AGFsaWNlAHNlY3JldA=='));
  assert.equal(plain.name, 'alice');
  assert.equal(new SaslExchange('PLAIN').respondInitially('='), false);
});

test('only GSSAPI and SPNEGO may go on in a security layer', () => {
  const opaque = (mechanism: string): boolean => new SaslExchange(mechanism).opaque;
  assert.deepEqual(['GSSAPI', 'GSS-SPNEGO', 'NTLM', 'PLAIN', 'DIGEST-MD5'].map(opaque), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('whatever the responses, watching them gives a value', () => {
  const mechanism = fc.constantFrom(
    'PLAIN',
    'LOGIN',
    'CRAM-MD5',
    'DIGEST-MD5',
    'XOAUTH2',
    'OAUTHBEARER',
    'SCRAM-SHA-1',
    'NTLM',
    'GSSAPI',
  );
  const spoilt = fc.tuple(fc.nat(200), fc.nat(255), fc.nat(120)).map(([at, octet, length]) => {
    const message = authenticate({ domain: 'CORP', user: 'alice' }).subarray(0, 40 + length);
    if (at < message.length) message[at] = octet;
    return message.toString('latin1');
  });
  const anything = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)),
    maxLength: 80,
  });
  fc.assert(
    fc.property(mechanism, fc.array(fc.oneof(anything, spoilt), { maxLength: 3 }), (name, responses) => {
      const exchange = watch(name, ...responses);
      if (exchange !== null && exchange.name !== null) assert.doesNotMatch(exchange.name, /[\x00-\x1f\x7f]/);
    }),
    { numRuns: 5 * RUNS },
  );
});
