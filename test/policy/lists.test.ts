// Lists as a policy writes them: what each entry means, what is said of one that means nothing, and who is then held.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '../../src/policy/ip.ts';
import {
  AddressSet,
  checkUsers,
  formatAddress,
  inRanges,
  Notes,
  parseEndpoint,
  readAddresses,
  readDomains,
  readRanges,
  SourceSet,
  warnOfEmpty,
} from '../../src/policy/lists.ts';
import { DEFAULT_OPTIONS } from '../../src/policy/options.ts';
import type { Path } from '../../src/policy/problem.ts';
import { toOctets } from '../../src/policy/spellings.ts';
import { atOnce } from '../../src/policy/steps.ts';
import type { Address } from '../../src/smtp/types.ts';

const { readList } = DEFAULT_OPTIONS;

/** What `read` notes, as `severity place: message`. */
function told(read: (notes: Notes) => void): string[] {
  const notes = new Notes(readList);
  read(notes);
  return notes.problems.map(({ severity, path, message }) => `${severity} ${path.join('.')}: ${message}`);
}

function setOf(...texts: string[]): AddressSet {
  const set = new AddressSet();
  for (const text of texts) assert.equal(set.add(text), null, text);
  return set;
}

const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** An address as the core reads it. */
function from(local: string, host: string): Address {
  const literal = /^\[(.*)\]$/.exec(host)?.[1] ?? null;
  return { local: octets(local), domain: literal === null ? octets(host) : null, literal };
}

test('an address is listed in any case, quoted or not, and found by its octets', () => {
  const set = setOf(
    'Steven@Example.com',
    '"two words"@example.com',
    '"a\\"b"@example.com',
    'müller@bücher.example',
    'x@[192.0.2.1]',
    "O'Neil@example.com",
  );
  for (const [local, host] of [
    ['STEVEN', 'example.com'],
    ['two words', 'example.com'],
    ['a"b', 'example.com'],
    ['müller', 'bücher.example'],
    ['müller', 'xn--bcher-kva.example'],
    ['x', '[192.0.2.1]'],
    ["o'neil", 'example.com'],
  ] as const)
    assert.ok(set.has(from(local, host)), local);
  for (const [local, host] of [
    ['steven', 'example.org'],
    ['stevens', 'example.com'],
    ['twowords', 'example.com'],
    ['MÜLLER', 'bücher.example'],
    ['x', '192.0.2.1'],
    ['x', '[192.0.2.2]'],
  ] as const)
    assert.ok(!set.has(from(local, host)), `${local}@${host}`);
  assert.equal(setOf('steven@[null]').has({ local: 'steven', domain: null, literal: null }), false);
  assert.equal(set.mayHave({ local: 'steven', domain: null, literal: null }), false);
  assert.equal(set.size, 7, 'bücher.example twice');
});

test('for a no an address is held in every spelling that somebody may read as one that is listed', () => {
  const set = setOf('müller@bücher.example', 'bad@example.com', 'x@[192.0.2.1]', 'y@[IPv6:2001:db8::1]', 'z@[odd]');
  for (const [local, host] of [
    ['MÜLLER', 'bücher.example'],
    ['Mu\u0308ller', 'BÜCHER.example'],
    ['ｂad', 'example.com'],
    [' bad ', 'example.com'],
    ['bad', 'ｅxample.com'],
    ['X', '[192.0.2.1]'],
    ['x', '[IPv6:::ffff:192.0.2.1]'],
    ['y', '[ipv6:2001:DB8:0::1]'],
  ] as const)
    assert.ok(set.mayHave(from(local, host)), `${local}@${host}`);
  for (const [local, host] of [
    ['moller', 'bücher.example'],
    ['bad', 'example.org'],
    ['x', '[192.0.2.2]'],
    ['y', '[odd]'],
    ['y', '[2001:IPv6:db8::1]'],
    ['z', '[other]'],
  ] as const)
    assert.ok(!set.mayHave(from(local, host)), `${local}@${host}`);
});

test('for a no a name without its domain is held where it is listed at a domain of ours', () => {
  const set = new AddressSet((domain) => domain === 'local.example');
  for (const text of ['Steven@LOCAL.example', 'müller@local.example', 'root@other.example', 'eve@[192.0.2.9]'])
    assert.equal(set.add(text), null, text);
  const bare = (local: string): boolean => set.mayHave({ local: toOctets(local), domain: null, literal: null });
  for (const local of ['steven', 'STEVEN', ' steven', 'MÜLLER']) assert.ok(bare(local), local);
  for (const local of ['root', 'eve', 'steve', '']) assert.ok(!bare(local), local);
  assert.ok(!set.has({ local: 'steven', domain: null, literal: null }), 'a yes wants the whole address');
  assert.ok(!set.mayHave({ local: 'steven', domain: null, literal: '192.0.2.9' }));
  assert.ok(set.mayHave({ local: 'eve', domain: null, literal: '192.0.2.9' }));
});

test('the null reverse-path is listed as <>, and by nothing else', () => {
  assert.equal(setOf('a@example.com').hasNullPath(), false);
  assert.equal(setOf('<>').hasNullPath(), true);
});

test('what is no address is told with what was meant', () => {
  for (const [text, hint] of [
    ['example', 'user@example.com is wanted'],
    ['@example.com', 'user@example.com is wanted'],
    [' a@example.com', 'has a blank at its end'],
    ['a@ ', "'a@ ' has a blank at its end"],
    ['a@b]', "'b]' is not a domain name"],
    ['a@[b', "'[b' is not a domain name"],
    ['x'.repeat(16_000), 'user@example.com is wanted'],
    ['a@b.example, c@d.example', "['a@b.example', 'c@d.example']"],
    ['<a@b.example>', 'write the address alone'],
    ['a@<b.example>', 'write the address alone'],
    ['*@b.example', 'a star or question mark is only that'],
    ['a?@b.example', 'a star or question mark is only that'],
    ['a@b@c.example', "'a@b@c.example' is not an address"],
    ['a:b@c.example', 'is not an address'],
    ['a"b@c.example', 'is not an address'],
    ['ａ@c.example', "did you mean 'a'?"],
    ['two words@c.example', "has a blank in it: did you mean 'twowords@c.example'?"],
    ['a@*.example', 'a pattern of domains is no address'],
    ['a@-.example', "'-.example' is not a domain name"],
    ['müller@b+c', "'b+c' is not a domain name"],
    ['x'.repeat(16_001), 'an address of 16001 characters'],
  ] as const) {
    const said = new AddressSet().add(text);
    assert.ok(said?.includes(hint), `${text}: ${said}`);
  }
  const add = (text: string): string | null => new AddressSet().add(text, 'recipient_domains');
  assert.match(add('example.com') ?? '', /is wanted; everybody of a domain goes under recipient_domains$/);
  assert.match(add('example') ?? '', /user@example\.com is wanted$/);
  assert.match(add('*@b.example') ?? '', /is only that; everybody of b\.example goes under recipient_domains$/);
  assert.match(new AddressSet().add('*@b.example') ?? '', /is only that$/);
  assert.match(new AddressSet().add('example.com') ?? '', /user@example\.com is wanted$/);
  assert.match(add('a@*.example') ?? '', /: a pattern of domains goes under recipient_domains$/);
});

test('a quoted local part may hold what no other may', () => {
  for (const text of [
    '"a@b"@example.com',
    '"a*"@example.com',
    '"a, b"@example.com',
    '"a b"@example.com',
    '"a\\\\"@example.com',
    '"ａ"@example.com',
  ])
    assert.equal(new AddressSet().add(text), null, text);
  for (const text of ['"a"b"@example.com', '"a\\"@example.com', 'x"a"@example.com', '"a"x@example.com']) {
    const said = new AddressSet().add(text);
    assert.match(said ?? '', /is not an address/, text);
  }
  assert.equal(formatAddress(from('müller', 'bücher.example')), 'müller@bücher.example');
  assert.equal(formatAddress(from('x', '[192.0.2.1]')), 'x@[192.0.2.1]');
  assert.equal(formatAddress({ local: 'postmaster', domain: null, literal: null }), 'postmaster');
});

test('the key that takes a whole domain is named as the list has it', () => {
  const say = (path: Path): string[] =>
    told((notes) => atOnce(readAddresses(['a@b.example', 'b.example'], path, notes)));
  assert.match(
    say(['rules', 0, 'allow', 'senders'])[0] ?? '',
    /^error rules\.0\.allow\.senders\.1: 'b\.example' is not .* goes under sender_domains$/,
  );
  assert.match(say(['allow', 'recipients'])[0] ?? '', / goes under recipient_domains$/);
  assert.match(say(['other'])[0] ?? '', / is wanted$/);
});

test('an endpoint is an address, a port of it, or a port of any', () => {
  const shown = (text: string): unknown => {
    const end = parseEndpoint(text);
    return typeof end === 'string' ? end : [end.ip, end.port];
  };
  const ip = parseIp('192.0.2.1');
  for (const [text, means] of [
    ['192.0.2.1', [ip, null]],
    ['[192.0.2.1]', [ip, null]],
    ['192.0.2.1:25', [ip, 25]],
    ['*:25', [null, 25]],
    ['2001:db8::1', [parseIp('2001:db8::1'), null]],
    ['[2001:db8::1]', [parseIp('2001:db8::1'), null]],
    ['[2001:db8::1]:65535', [parseIp('2001:db8::1'), 65535]],
    ['192.0.2.1:1', [ip, 1]],
  ] as const)
    assert.deepEqual(shown(text), means, text);
  for (const [text, hint] of [
    ['192.0.2.1, 192.0.2.2', 'is several in one text'],
    ['', 'written *:25'],
    ['*', 'written *:25'],
    [':25', 'written *:25'],
    ['mail:25', 'is not a local address'],
    ['x*:25', 'is not a local address'],
    ['*:25x', 'is not a local address'],
    ['[x]y', 'is not a local address'],
    ['2[1.2.3.4]', 'is not a local address'],
    ['[1.2.3.4]5', 'is not a local address'],
    ['0.0.0.0', '0.0.0.0; every address of ours is written *:25'],
    ['[::]:587', 'no client connects to ::; every address of ours is written *:587'],
    ['192.0.2.1:0', 'a port is a number from 1 to 65535'],
    ['192.0.2.1:65536', 'a port is a number from 1 to 65535'],
  ] as const) {
    const said = parseEndpoint(text);
    assert.ok(typeof said === 'string' && said.includes(hint), `${text}: ${JSON.stringify(said)}`);
  }
});

test('a list of ranges has an entry for each, knows its place, and tells what is wrong with one', () => {
  const notes = new Notes(readList);
  const list = ['10.0.0.0/8', 'mail.example', '10.0.0.9/8', 'any', '10.1.0.0;255.255.0.123', '10.0.0.1', '10.0.0.256'];
  const others: string[] = [];
  const entries = atOnce(
    readRanges(list, ['sources'], notes, (text, path) => {
      if (text !== 'mail.example') return false;
      others.push(path().join('.'));
      return true;
    }),
  );
  assert.deepEqual(others, ['sources.1']);
  assert.deepEqual(
    entries.map(({ text, path }) => `${text} ${path.join('.')}`),
    [
      '10.0.0.0/8 sources.0',
      '10.0.0.9/8 sources.2',
      'any sources.3',
      'any sources.3',
      '10.1.0.0;255.255.0.123 sources.4',
      '10.0.0.1 sources.5',
    ],
  );
  assert.deepEqual(
    notes.problems.map(({ severity, path }) => `${severity} ${path.join('.')}`),
    ['warning sources.2', 'warning sources.4', 'error sources.6'],
  );
  const set = atOnce(SourceSet.inSteps(entries));
  const at = (text: string): number => parseIp(text) as number;
  assert.equal(set.entryFor(at('10.0.0.1'))?.text, '10.0.0.0/8', 'the first');
  assert.equal(set.entryFor(at('::1'))?.text, 'any');
  assert.deepEqual([set.names(at('10.0.0.1')), set.names(at('10.0.0.2')), set.holds(at('::1'))], [true, false, true]);
  assert.deepEqual(
    set.masked.map(({ text }) => text),
    ['10.1.0.0;255.255.0.123'],
  );
  const none = atOnce(SourceSet.inSteps([]));
  assert.deepEqual([none.names(1), none.holds(1), none.entryFor(1)], [false, false, null]);
});

test('a list is surely what its spans hold, and at most the hull of each wide mask with holes beside them', () => {
  const set = (...list: string[]): SourceSet =>
    atOnce(SourceSet.inSteps(atOnce(readRanges(list, [], new Notes(readList)))));
  const span = (lo: string, hi: string): unknown => ({ lo: parseIp(lo), hi: parseIp(hi) });
  const wide = set('192.0.2.1', '10.0.0.0;255.0.0.1', '10.1.0.0;255.255.0.123');
  assert.deepEqual(atOnce(wide.surest()), [span('192.0.2.1', '192.0.2.1')]);
  assert.deepEqual(atOnce(wide.widest()), [span('10.0.0.0', '10.255.255.254'), span('192.0.2.1', '192.0.2.1')]);
  assert.deepEqual(atOnce(set('10.1.0.0;255.255.0.123').widest()), [], 'it holds 1024 addresses');
});

test('a checked list of ranges is asked by text', () => {
  const holds = inRanges(['10.0.0.0/8']);
  assert.deepEqual(['10.0.0.1', '11.0.0.1', 'x'].map(holds), [true, false, false]);
});

test('domains that are none, and those that stand there twice, are told with their places', () => {
  assert.deepEqual(
    told((notes) => {
      const table = atOnce(readDomains(['a.example', '.b.example', 'A.example.'], ['list'], notes));
      assert.ok(table.holds('a.example') && !table.holds('b.example'));
    }).map((line) => line.slice(0, 40)),
    ["error list.1: '.b.example' begins with a", "warning list.2: 'A.example.' is listed t"],
  );
});

test('logins that are nobody are told with their places', () => {
  assert.deepEqual(
    told((notes) => atOnce(checkUsers(['CORP\\a', 'anyone'], ['users'], notes))).map((line) => line.slice(0, 24)),
    ["error users.1: 'anyone' "],
  );
});

test('an empty list is told, and what it means under not, and under not twice', () => {
  const say = (list: readonly string[] | undefined, ...path: string[]): string[] =>
    told((notes) => warnOfEmpty(list, path, notes));
  assert.deepEqual(say(undefined, 'allow', 'users'), []);
  assert.deepEqual(say(['a'], 'allow', 'users'), []);
  assert.deepEqual(say([], 'allow', 'users'), ['warning allow.users: an empty list never holds']);
  const turned = 'an empty list never holds, and what stands under not always does';
  assert.deepEqual(say([], 'allow', 'not', 'users'), [`warning allow.not.users: ${turned}`]);
  assert.deepEqual(say([], 'not', 'not', 'users'), ['warning not.not.users: an empty list never holds']);
});

test('a note, a warning and an error are told apart, with their place in a file where they have one', () => {
  const notes = new Notes(readList);
  const place = { file: 'list', line: 2, column: 1 };
  assert.equal(notes.readList, readList);
  notes.error(['a'], 'wrong', place);
  notes.warn(['b'], 'odd');
  notes.note(['c'], 'so it is');
  assert.deepEqual(notes.problems, [
    { severity: 'error', path: ['a'], message: 'wrong', place },
    { severity: 'warning', path: ['b'], message: 'odd', place: undefined },
    { severity: 'note', path: ['c'], message: 'so it is', place: undefined },
  ]);
});
