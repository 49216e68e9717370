// Distinguished names as people write them, and what is said of one that is none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDistinguishedName, subjectTest } from '../../src/policy/certificate-subjects.ts';
import { Notes } from '../../src/policy/lists.ts';
import { formatPath } from '../../src/policy/problem.ts';

test('a distinguished name is read with blanks around its signs, and kept as it is within its values', () => {
  for (const [text, means] of [
    ['CN=Boss', 'CN=Boss'],
    ['C = DE, O = Example Org, CN = a b', 'C=DE,O=Example Org,CN=a b'],
    ['CN=a+UID=1,O=x', 'CN=a+UID=1,O=x'],
    ['CN = a\\, b  , O=x', 'CN=a\\, b,O=x'],
    ['CN=a\\ ', 'CN=a\\ '],
    ['1.2.840.113549.1=x', '1.2.840.113549.1=x'],
    ['12.34=x', '12.34=x'],
    ['subjectName=x', 'subjectName=x'],
  ] as const)
    assert.equal(parseDistinguishedName(text), means, text);
  for (const text of [
    ...[
      '',
      'CN',
      '=x',
      'CN=',
      ',CN=a',
      'CN=a,',
      'CN=a,,O=x',
      'CN=a,x',
      'CN=a\\',
      'CN=a+',
      '+',
      'CN=a+,O=x',
      '-CN=a',
      '1CN=a',
      '1=x',
      '1.a=x',
    ],
    ...['subject=CN=a', 'subject  = CN=a', 'CN="a"', 'CN=a"b', 'x.1=y'],
  ])
    assert.equal(parseDistinguishedName(text), null, text);
});

test('what is no name of a certificate is told where it stands', () => {
  const notes = new Notes(function* () {
    yield;
    return 'none';
  });
  subjectTest([], true, ['empty'], notes);
  subjectTest(['CN=*.example', 'CN=a,', '*'], true, ['list'], notes);
  assert.deepEqual(
    notes.problems.map(({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`),
    [
      'warning empty: an empty list never holds',
      "error list[0]: 'CN=*.example': a distinguished name takes no star; hosts are written without CN=, as '*.example.com'",
      "error list[1]: 'CN=a,' is no distinguished name: CN=name or C=DE,O=Example,CN=name is wanted",
      "error list[2]: '*' would hold every domain",
    ],
  );
});
