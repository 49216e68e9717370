// What a line of cases asks and expects, and what is said of one that cannot be read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BadCase, type Case, parseCases } from '../../src/policy/cases.ts';

const one = (text: string): Case | BadCase => parseCases(text)[0] as Case | BadCase;
const asked = (words: string): Case => {
  const read = one(`reject 192.0.2.1 ${words} -> x@foreign.example`);
  assert.ok('asked' in read, JSON.stringify(read));
  return read;
};

test('a line says who asks, from where, for whom, and what he should hear', () => {
  assert.deepEqual(one('  reject   10.9.1.1   ->   x@foreign.example  # why'), {
    line: 1,
    expected: 'reject',
    asked: {
      source: '10.9.1.1',
      local: asked('').asked.local,
      helo: '',
      login: null,
      tls: false,
      tlsSubject: [],
      sender: '',
      recipient: 'x@foreign.example',
    },
    names: [],
  });
  const { asked: said, names } = asked(
    'login=CORP\\alice helo=a.example sender=a@example.com ptr=A.Example. ptr=b.example local=192.0.2.9:587 tls',
  );
  assert.deepEqual(
    [said.login, said.helo, said.sender, said.tls, said.tlsSubject, names],
    ['CORP\\alice', 'a.example', 'a@example.com', true, [], ['a.example', 'b.example']],
  );
  assert.deepEqual([said.local.address, said.local.port], ['192.0.2.9', 587]);
});

test('a certificate means TLS, and more of it can be said', () => {
  const { asked: said } = asked('tls_subject=a.example tls_subject=CN=b');
  assert.deepEqual([said.tls, said.tlsSubject], [true, ['a.example', 'CN=b']]);
});

test('a question mark is a name that DNS does not tell, and a name behind it is one', () => {
  assert.equal(asked('ptr=a.example ptr=?').names, null);
  assert.deepEqual(asked('ptr=? ptr=a.example').names, ['a.example']);
});

test('comments and empty lines are no cases, and lines keep their numbers', () => {
  const text = '# first\n\n   \nproceed 192.0.2.1 -> a#b@x.example # c # d\n\t#\nreject ::1 -> <>';
  assert.deepEqual(
    parseCases(text).map((read) => [read.line, 'asked' in read ? read.asked.recipient : read.problem]),
    [
      [4, 'a#b@x.example'],
      [6, '<>'],
    ],
  );
  assert.deepEqual(parseCases(''), []);
});

test('a file of Windows is read as any other', () => {
  const [first, second] = parseCases(
    'reject 192.0.2.1 -> a@b.example # why\r\nreject 192.0.2.1 tls -> c@d.example\r\n',
  );
  assert.ok(first !== undefined && 'asked' in first && second !== undefined && 'asked' in second);
  assert.deepEqual([first.asked.recipient, second.asked.recipient], ['a@b.example', 'c@d.example']);
});

test('a blank within quotes is of the address', () => {
  assert.ok('asked' in one('reject 192.0.2.1 -> "a \\" b"@x.example'));
});

test('a session that is said to be encrypted twice is encrypted', () => {
  assert.equal(asked('tls tls').asked.tls, true);
});

test('an empty sender is the null sender', () => {
  assert.equal(asked('sender=').asked.sender, '');
});

test('what cannot be read is told in its line', () => {
  for (const [text, problem] of [
    ['reject 192.0.2.1', 'no recipient: the line ends in -> and an address'],
    ['reject 192.0.2.1 ->  ', 'no recipient behind ->'],
    [
      'reject 192.0.2.1 -> a@b tls login=x',
      "'tls login=x' stands behind the recipient: what is said of the client stands",
    ],
    ['reject 192.0.2.1 -> a@b  tls\rx', "'tls' stands behind the recipient"],
    ['reject 192.0.2.1 -> a@b\rproceed 192.0.2.1 -> c@d', "'proceed 192.0.2.1 -> c@d' stands behind the recipient"],
    ['reject 192.0.2.1 login=a tls login=b -> a@b', "'login=' stands twice"],
    ['perhaps 192.0.2.1 -> a@b', "'perhaps' is no answer: proceed, reject"],
    ['-> a@b', "'' is no answer"],
    ['reject -> a@b', "'' is no address: the source stands behind the answer"],
    ['reject 192.0.2.256 -> a@b', "'192.0.2.256' is no address"],
    ['reject 192.0.2.1 login= -> a@b', "'login=' has nothing behind its ="],
    ['reject 192.0.2.1 local=x -> a@b', "'x' is no local address: 192.0.2.1 or 192.0.2.1:25 is wanted"],
    [
      'reject 192.0.2.1 from=a@b -> a@b',
      "'from=' is not known: login=, tls_subject=, local=, sender=, ptr= and helo= are",
    ],
    [
      'reject 192.0.2.1 tsl -> a@b',
      "'tsl' is not known: tls, login=, tls_subject=, local=, sender=, ptr= and helo= are",
    ],
    ['reject 192.0.2.1 tls=yes -> a@b', "'tls=' is not known: login="],
  ] as const) {
    const read = one(`\n${text}`);
    assert.ok('problem' in read && read.problem.startsWith(problem), `${text}: ${JSON.stringify(read)}`);
    assert.equal(read.line, 2);
  }
});
