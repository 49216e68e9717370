// Names as lists write them: what is nobody's name is told with a word about what was meant, and every other one is taken.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { several, whyNoName, whyNoUser, whyNoWindowsDomain, whyTooWide } from '../../src/policy/names.ts';

type Why = (text: string) => string | null;

function refuses(why: Why, faults: Readonly<Record<string, string>>): void {
  for (const [text, hint] of Object.entries(faults)) {
    const said = why(text);
    assert.ok(said?.includes(text.trim()) && said.includes(hint), `${text}: ${said}`);
  }
}

function takes(why: Why, ...texts: string[]): void {
  for (const text of texts) assert.equal(why(text), null, text);
}

test('what is no name of any kind is told, and what looks like it alone is one', () => {
  refuses(whyNoName, {
    '': 'is empty',
    ' ': 'is empty',
    ' steven': "blank at its end, and nothing else has: did you mean 'steven'?",
    "'steven'": "quotes inside its quotes: did you mean 'steven'?",
    '"steven"': "did you mean 'steven'?",
    yes: 'would be a name here',
    No: 'would be a name here',
    unlimited: 'would be a name here',
    '!steven': 'exclamation mark',
    '- steven': "the mark of a list item: did you mean 'steven'?",
    '*  steven': "did you mean 'steven'?",
    '• steven': "did you mean 'steven'?",
  });
  takes(whyNoName, 'steven', "o'b'", "'a'b", `'a"`, "''", 'nobody', 'casino', 'steven!', '-steven', 'a - steven', '-');
});

test('several entries in one text are told apart from a name with blanks in it', () => {
  const shown = (text: string, separator?: RegExp): string | null =>
    /as (\[.*\])$/.exec(several(text, separator) ?? '')?.[1] ?? null;
  assert.equal(shown('a,b'), "['a', 'b']");
  assert.equal(shown('a; b'), "['a', 'b']");
  assert.equal(shown('a.example b.example'), "['a.example', 'b.example']");
  assert.equal(shown('a:1\tb:2'), "['a:1', 'b:2']");
  assert.equal(shown('a,b,c'), "['a', 'b', 'c']");
  assert.equal(shown('a,b,c,d'), "['a', 'b', 'c', …]");
  assert.equal(shown('Steven A, Ben B', /[,;]/), "['Steven A', 'Ben B']");
  assert.match(several('a,b') ?? '', /^'a,b' is several in one text/);
  for (const one of ['a', 'a.example', 'a.example,', ', a.example', 'a.example b', 'two words', ' a.example '])
    assert.equal(several(one), null, one);
});

test('letters of East Asian width are told with those that were meant', () => {
  assert.equal(whyTooWide('ｓteven'), "'ｓteven' has 'ｓ' in it, which is not 's': did you mean 'steven'?");
  assert.equal(
    whyTooWide('a@b。example｡com'),
    "'a@b。example｡com' has '。' in it, which is not '.': did you mean 'a@b.example.com'?",
  );
  assert.equal(whyTooWide('b｡c'), "'b｡c' has '｡' in it, which is not '.': did you mean 'b.c'?");
  takes(whyTooWide, 'steven', 'stéven', '\uff00', '\uff5f', '漢字');
});

test('what nobody logs in as is refused with a word about what was meant', () => {
  refuses(whyNoUser, {
    ' steven': 'blank at its end',
    ｓteven: "did you mean 'steven'?",
    anyone: 'authenticated: true, and no condition',
    'CORP\\*': 'a star or question mark is only that',
    'steve?': 'a star or question mark is only that',
    '*@example.com': 'and who sends as somebody of a domain is sender_domains',
    'a@*.example': 'a star or question mark',
    'a@example.*': 'a star or question mark',
    'CN=Steven,OU=Staff': 'is a distinguished name',
    'cn  = Steven,OU=Staff': 'is a distinguished name',
    '1cn=Steven,OU=Staff': 'is several in one text',
    'S-1-5-21-7': 'is a SID',
    's-1-5': 'is a SID',
    'NT AUTHORITY\\SYSTEM': 'is a group of Windows',
    'BUILTIN\\users': 'is a group of Windows',
    'Domain Users': 'is a group of Windows',
    'CORP\\domain admins': 'is a group of Windows',
    'authenticated users': 'is a group of Windows',
    'CORP\\a, CORP\\b': "as ['CORP\\a', 'CORP\\b']",
    'CORP\\a;b': "as ['CORP\\a', 'b']",
    'steven,': 'the name alone is wanted',
    'steven;': 'the name alone is wanted',
    'Steven <a@example.com>': 'the name alone is wanted',
    'a|b': 'the name alone is wanted',
    'say "steven"': 'the name alone is wanted',
    'smtp:a@example.com': "begins with 'smtp:': did you mean 'a@example.com'?",
    '%user': 'nothing is put in the place of a variable',
    'user%': 'nothing is put in the place of a variable',
    '${user}': 'nothing is put in the place of a variable',
    '%{user}': 'nothing is put in the place of a variable',
    '{{user}}': 'nothing is put in the place of a variable',
    'CORP/': "has a slash: did you mean 'CORP'?",
    '/CORP': "has a slash: did you mean 'CORP'?",
    '//CORP//': "has a slash: did you mean 'CORP'?",
    '/a/b/': "has a slash: did you mean 'a/b'?",
    'CORP/a': "logins have a backslash: did you mean 'CORP\\a'?",
    'a/b/': "logins have a backslash: did you mean 'a\\b\\'?",
    'x/CORP\\a': 'logins have a backslash',
    'CORP\\a/b': 'logins have a backslash',
    'a./@example.com': 'logins have a backslash',
    'CORP\\\\a': "two backslashes: in single quotes and in files one is one, did you mean 'CORP\\a'?",
    '\\a': 'DOMAIN\\name is wanted',
    'CORP\\': 'DOMAIN\\name is wanted',
    'a\\bb\\c': 'DOMAIN\\name is wanted',
    '.\\steven': "did you mean 'steven', or DOMAIN\\steven?",
    'steven.': "ends in a dot: did you mean 'steven'?",
    'a.b..': "ends in a dot: did you mean 'a.b'?",
    'CORP\\.': "ends in a dot: did you mean 'CORP\\'?",
    'a@b@c': 'the name alone is wanted, as steven@example.com',
    'a@bb@c': 'the name alone is wanted, as steven@example.com',
    'a@@c': 'the name alone is wanted, as steven@example.com',
    'a@b..c': 'the name alone is wanted, as steven@example.com',
    'a@bb..c': 'the name alone is wanted, as steven@example.com',
    'a@.c': 'the name alone is wanted, as steven@example.com',
    '@example.com': 'names nobody',
    'steven@': 'names nobody',
  });
});

test('who sends as somebody of a domain is told where it is a domain that is meant', () => {
  assert.match(whyNoUser('CORP\\*') ?? '', /who has logged in is authenticated: true$/);
});

test('whoever may log in is taken, however odd the name', () => {
  takes(whyNoUser, 'steven', 'CORP\\steven', 'steven@example.com', 'st.even_1@mail-1.example.com', 'Steven Müller');
  takes(
    whyNoUser,
    'my corp\\steven',
    'a@b',
    'company',
    'allison',
    'xS-1-5',
    'S-1-5x',
    'S-1-',
    'MY BUILTIN\\x',
    'a..b@c',
  );
  takes(
    whyNoUser,
    'my domain users',
    'domain users2',
    'the authenticated users',
    '1a:b',
    'a%b',
    'x{y',
    '{user}',
    'cn = x',
  );
});

test('a Windows domain is a word by itself', () => {
  takes(whyNoWindowsDomain, 'CORP', 'corp-1', 'Größe');
  refuses(whyNoWindowsDomain, { '': 'is empty', ＣORP: "did you mean 'CORP'?" });
  for (const sign of ['\\', '/', '@', '*', '?', ',', ';', ':', '<', '>', '"', '|', '%', '=', '[', ']', ' '])
    refuses(whyNoWindowsDomain, { [`CO${sign}RP`]: "the domain alone is wanted, as CORP for 'CORP\\steven'" });
});
