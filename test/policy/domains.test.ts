import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DomainTable, foldName, parseDomainPattern, patternAround, patternIn } from '../../src/policy/domains.ts';
import { atOnce } from '../../src/policy/steps.ts';

const RUNS = Number(process.env.POSTERN_RUNS ?? 1000);

function table(...patterns: string[]): DomainTable<string> {
  const made = new DomainTable<string>();
  for (const text of patterns) {
    const pattern = parseDomainPattern(text);
    assert.ok(typeof pattern !== 'string', String(pattern));
    made.add(pattern, text);
  }
  return made;
}

test('a domain alone holds itself and nothing below or beside it', () => {
  const found = table('example.com');
  assert.equal(found.find('example.com'), 'example.com');
  for (const other of ['www.example.com', 'notexample.com', 'example.com.evil.test', 'com', 'example', ''])
    assert.equal(found.find(other), null, other);
});

test('a pattern with a star holds the domain itself and everything below it', () => {
  const found = table('*.example.com');
  for (const domain of ['example.com', 'a.example.com', 'b.a.example.com'])
    assert.equal(found.find(domain), '*.example.com');
  for (const other of ['notexample.com', 'com', 'example.com.evil.test', '.com'])
    assert.equal(found.find(other), null, other);
});

test('the most specific pattern wins, wherever it stands in the list', () => {
  const found = table('*.example.com', 'www.example.com', '*.a.example.com', 'a.example.com', '*.com');
  assert.equal(found.find('www.example.com'), 'www.example.com');
  assert.equal(found.find('a.example.com'), 'a.example.com');
  assert.equal(found.find('b.a.example.com'), '*.a.example.com');
  assert.equal(found.find('x.www.example.com'), '*.example.com');
  assert.equal(found.find('other.com'), '*.com');
});

test('a name with letters beyond ASCII is found as A-label and as UTF-8 octets, and in no other form', () => {
  const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  for (const written of ['*.münchen.example', '*.xn--mnchen-3ya.example', '*.MÜNCHEN.example']) {
    const found = table(written);
    assert.equal(found.find('xn--mnchen-3ya.example'), written);
    assert.equal(found.find(octets('post.münchen.example')), written);
    assert.equal(found.find('münchen.example'), null, 'latin-1 is not UTF-8');
    assert.equal(found.find(octets('münchen。example')), null, 'an ideographic full stop is no dot');
    assert.equal(found.find(octets('mu\u0308nchen.example')), null, 'decomposed');
  }
});

test('only ASCII letters are folded when a pattern is read', () => {
  assert.equal(table('EXAMPLE.Com').find('example.com'), 'EXAMPLE.Com');
  assert.equal(table('example.com.').find('example.com'), 'example.com.', 'a trailing dot is dropped');
});

const label = fc.constantFrom('a', 'b', 'ab', 'example');
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const written = fc.tuple(fc.boolean(), name).map(([below, domain]) => (below ? `*.${domain}` : domain));
const asked = fc.oneof(
  name,
  fc.array(fc.oneof(label, fc.constant('')), { maxLength: 5 }).map((labels) => labels.join('.')),
);

/** One pattern after the other: the longest name wins, and of one name the pattern without a star. */
function naive(patterns: readonly string[], domain: string): string | null {
  const holding = patterns.filter((text) =>
    text.startsWith('*.') ? `.${domain}`.endsWith(text.slice(1)) : text === domain,
  );
  const length = (text: string): number => text.replace('*.', '').length * 2 + (text.startsWith('*.') ? 0 : 1);
  return holding.toSorted((a, b) => length(b) - length(a))[0] ?? null;
}

test('the table agrees with a walk through all patterns, also for what is no domain', () => {
  fc.assert(
    fc.property(
      fc.array(written, { maxLength: 12 }),
      fc.array(asked, { minLength: 8, maxLength: 8 }),
      (given, names) => {
        const found = table(...given);
        for (const domain of names) {
          assert.equal(found.find(domain), naive(given, domain), `${domain} in ${given}`);
          assert.equal(found.patternFor(domain), found.find(domain));
          assert.equal(found.holds(domain), found.find(domain) !== null);
        }
      },
    ),
    { numRuns: RUNS },
  );
});

test('a pattern that is given again is told, and the first one stays', () => {
  const found = new DomainTable<number>();
  const add = (text: string, value: number) => {
    const pattern = parseDomainPattern(text);
    return typeof pattern === 'string' ? pattern : found.add(pattern, value);
  };
  assert.equal(add('www.Example.com', 1), undefined);
  assert.equal(add('www.example.com.', 2), 1);
  assert.equal(add('*.www.example.com', 3), undefined, 'another pattern of the same name');
  assert.equal(add('example.com', 4), undefined, 'a suffix is no pattern');
  assert.equal(found.find('www.example.com'), 1);
  assert.equal(found.patternFor('www.example.com'), 'www.Example.com');
  assert.equal(found.find('a.www.example.com'), 3);
});

test('among tens of thousands of names each is found and no other', () => {
  const found = new DomainTable<number>();
  const nameOf = (n: number): string => `d${(Math.imul(n, 0x9e3779b1) >>> 0).toString(36).padStart(7, '0')}.example`;
  const half = 20 * RUNS;
  for (let n = 0; n < half; n++) {
    const text = nameOf(n);
    found.add({ text, below: n % 2 === 1, forms: [text] }, n);
  }
  for (let n = 0; n < half; n++) {
    if (found.find(nameOf(n)) !== n) assert.fail(`${nameOf(n)}: ${found.find(nameOf(n))}`);
    if (found.find(`x.${nameOf(n)}`) !== (n % 2 === 1 ? n : null)) assert.fail(`below ${nameOf(n)}`);
    if (found.holds(nameOf(half + n)))
      assert.fail(`${nameOf(half + n)} is taken for ${found.patternFor(nameOf(half + n))}`);
  }
});

// The hash of these octets, from the last to the first, is the hash of none: whatever stands before them keeps its own.
const UNHASHED = 't48ug5c.example';

test('names of one hash are told apart', () => {
  // Of one length, found among 300 000 names; what is hashed is all 32 bits.
  for (const [one, other] of [
    ['d1w0eank.example', 'd13srg4i.example'],
    ['d0uncb7w.example', 'd0svg3s8.example'],
  ] as const) {
    const alone = table(one);
    assert.deepEqual([alone.find(one), alone.find(other)], [one, null]);
    const both = table(one, other);
    assert.deepEqual([both.find(one), both.find(other)], [one, other]);
  }
  assert.equal(table(`${UNHASHED}${UNHASHED}`).find(UNHASHED), null, 'nor is one that begins as another');
  const found = table(`d1${UNHASHED}`, `d2${UNHASHED}${UNHASHED}`, 'd2');
  assert.equal(found.find(`d1${UNHASHED}`), `d1${UNHASHED}`);
  assert.equal(found.find(`d2${UNHASHED}${UNHASHED}`), `d2${UNHASHED}${UNHASHED}`);
  assert.equal(found.find('d2'), 'd2');
  for (const other of ['d1', `d2${UNHASHED}`, `d1${UNHASHED}${UNHASHED}`, `d3${UNHASHED}`])
    assert.equal(found.find(other), null, other);
});

test('a name as long as can be is found, and of a longer one what is known of its end', () => {
  const name = `${new Array(4).fill('中'.repeat(50)).join('.')}.example`;
  const octets = Buffer.from(name).toString('latin1');
  assert.equal(octets.length, 611);
  const found = table(name, '*.example');
  assert.equal(found.find(octets), name);
  assert.equal(found.find(`x.${octets}`), '*.example');
  for (const length of [1014, 1015, 1016, 1017, 5000]) {
    assert.equal(found.find(`${'x'.repeat(length)}.example`), '*.example');
    assert.equal(found.find('x'.repeat(length)), null);
  }
});

test('what is no domain is refused with a word about what was meant', () => {
  for (const [text, hint] of [
    ['.example.com', "'*.example.com'"],
    ['#example.com', "'example.com'"],
    ['@example.com', "'example.com'"],
    ['bob@example.com', "'example.com'"],
    ['*', 'every domain'],
    ['a.*.b', 'only at the start'],
    ['192.0.2.1', 'accepted_literals'],
    ['example.0x7f', 'ends in a number'],
    ['ex ample.com', 'not a domain'],
    ['example..com', 'not a domain'],
    ['', 'not a domain'],
    ['-example.com', 'not a domain'],
    [`${'a'.repeat(64)}.example`, 'not a domain'],
  ] as const) {
    const said = parseDomainPattern(text);
    assert.ok(typeof said === 'string' && said.includes(hint), `${text}: ${JSON.stringify(said)}`);
  }
  assert.equal(typeof parseDomainPattern(`${'a'.repeat(63)}.example`), 'object');
  assert.equal(typeof parseDomainPattern('163.com'), 'object');
  assert.equal(typeof parseDomainPattern('localhost'), 'object');
});

test('more of what is no domain, each with its own word', () => {
  for (const [text, hint] of [
    ['a.example b.example', 'is several in one text'],
    ['@example.com', "'@example.com': did you mean 'example.com'?"],
    ['anyone', "'anyone' would be a domain of that name"],
    ['*.', "'*.' would hold every domain"],
    ['.', "'.' would hold every domain"],
    ['a@b@example.com', "did you mean 'example.com'"],
    ['ex?mple.com', 'd and *.d are known'],
    ['%.example', 'd and *.d are known'],
    ['*a.example', 'a star stands only at the start'],
    ['example.12', 'ends in a number'],
    ['12', 'ends in a number'],
    ['example.0x', 'ends in a number'],
    ['a+b.example', 'is not a domain name'],
    ['a.b+c', 'is not a domain name'],
    ['a-.example', 'is not a domain name'],
    ['a.-b', 'is not a domain name'],
    ['a.b-', 'is not a domain name'],
    ['a.example/', 'is not a domain name'],
    ['ä/b.example', 'is not a domain name'],
    ['example.com..', 'is not a domain name'],
    [`a.${'b'.repeat(64)}`, 'is not a domain name'],
    [`${'ab.'.repeat(84)}ab`, 'is not a domain name'],
  ] as const) {
    const said = parseDomainPattern(text);
    assert.ok(typeof said === 'string' && said.includes(hint), `${text}: ${JSON.stringify(said)}`);
  }
});

test('a pattern has the name in small letters, and its U-labels where it has any', () => {
  const forms = (text: string): readonly string[] => {
    const pattern = parseDomainPattern(text);
    assert.ok(typeof pattern !== 'string', String(pattern));
    return pattern.forms;
  };
  for (const name of [
    'a',
    'c0m',
    'a1',
    'a.0x7g',
    'x0x7',
    '_dmarc.a_b.example',
    `a.${'b'.repeat(63)}`,
    'a--b.c',
    'xn--a.example',
  ])
    assert.deepEqual(forms(name), [name]);
  assert.deepEqual(forms(`*.${'ab.'.repeat(84)}a`), [`${'ab.'.repeat(84)}a`], '253 octets');
  const both = ['xn--mnchen-3ya.example', Buffer.from('münchen.example').toString('latin1')];
  assert.deepEqual(forms('MÜNCHEN.example.'), both);
  assert.deepEqual(forms('*.XN--mnchen-3ya.example'), both);
});

test('a name is compared without the case of its letters and the one dot at its end', () => {
  assert.deepEqual(['A.Example.', 'a.example', 'a..', '.a'].map(foldName), ['a.example', 'a.example', 'a.', '.a']);
});

test('for a no a domain is found in whatever spelling it may be read', () => {
  const found = table('*.bücher.example', 'bad.example');
  const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  assert.equal(patternIn(found, 'bad.example'), 'bad.example');
  assert.equal(patternIn(found, octets('ｂad.example')), 'bad.example');
  assert.equal(patternIn(found, octets('a.bu\u0308cher.example')), '*.bücher.example');
  assert.equal(patternIn(found, octets('bächer.example')), null);
  assert.equal(
    patternIn(table('strasse.example'), octets('straße.example')),
    'strasse.example',
    'not as it is read first',
  );
  assert.equal(patternIn(new DomainTable(), 'bad.example'), null);
});

test('a table is empty until something is put into it, and room that is made changes nothing', () => {
  const found = new DomainTable<number>();
  assert.equal(found.isEmpty, true);
  const nameOf = (i: number): string => `n${i}.${'long'.repeat(i % 9)}x.example`;
  for (let i = 0; i < 3_000; i++) {
    if (i % 256 === 0) atOnce(found.makeRoom());
    const text = nameOf(i);
    assert.equal(found.add({ text, below: i % 3 === 0, forms: [text] }, i), undefined);
  }
  assert.equal(found.isEmpty, false);
  for (let i = 0; i < 3_000; i++) {
    assert.deepEqual([found.find(nameOf(i)), found.patternFor(nameOf(i))], [i, nameOf(i)]);
    assert.equal(found.find(`a.${nameOf(i)}`), i % 3 === 0 ? i : null);
    assert.equal(found.find(nameOf(i + 3_000)), null);
  }
});

test('room is made in good time, and no more than will be needed', () => {
  const found = new DomainTable();
  // One step to begin with; one for each array that is made twice as long, names, patterns and slots; more for many slots.
  const steps = Array.from({ length: 9 }, () => [...found.makeRoom()].length);
  assert.deepEqual(steps, [4, 4, 4, 4, 4, 5, 5, 1, 1]);
});

test('room that is made for names that never come is room enough for those that do', () => {
  const found = new DomainTable<number>();
  for (let i = 0; i < 100; i++) {
    atOnce(found.makeRoom());
    found.add({ text: `${i}.x`, below: false, forms: [`${i}.x`] }, i);
  }
  for (let i = 0; i < 100; i++) assert.deepEqual([found.find(`${i}.x`), found.holds(`${i + 100}.x`)], [i, false]);
});

test('one pattern is around another where it holds all that this one does', () => {
  const around = (wide: string, text: string): string | null => patternAround(table(wide), text);
  assert.equal(around('a.example', 'A.example.'), 'a.example');
  assert.equal(around('*.a.example', '*.A.example'), '*.a.example');
  assert.equal(around('*.a.example', 'a.example'), '*.a.example');
  assert.equal(around('*.a.example', '*.x.a.example'), '*.a.example');
  assert.equal(around('bücher.example', 'xn--bcher-kva.example'), 'bücher.example');
  assert.equal(around('a.example', '*.a.example'), null);
  assert.equal(around('x.a.example', '*.a.example'), null);
  assert.equal(around('*.x.a.example', 'a.example'), null);
  assert.equal(around('a.example', '.a.example'), null, 'what is no pattern is held by none');
});
