// Lists of any length: they mean what each entry means by itself, and reading them gives way often enough, counted in entries that
// are looked at, not in time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileInSteps } from '../../src/policy/compile.ts';
import type { ConnectorDocument, PolicyDocument } from '../../src/policy/document.ts';
import { DomainTable, parseDomainPattern } from '../../src/policy/domains.ts';
import { LAST_IPV6 } from '../../src/policy/ip.ts';
import { Notes } from '../../src/policy/lists.ts';
import { DEFAULT_OPTIONS } from '../../src/policy/options.ts';
import { RangeTable } from '../../src/policy/range-table.ts';
import type { Range, Span } from '../../src/policy/ranges.ts';
import { Selection } from '../../src/policy/selection.ts';
import { sorted } from '../../src/policy/sorted-ips.ts';
import { intersect, subtract, union } from '../../src/policy/spans.ts';
import { atOnce, STEP, type Steps } from '../../src/policy/steps.ts';
import { answer, connector, document, login, noon, rcpt, sound } from './build.ts';

/** The most that `count` grows between two pauses of the work. */
function mostAtOnce(steps: Steps<unknown>, count: () => number): number {
  let most = 0;
  for (let before = count(), done = false; !done; before = count()) {
    done = steps.next().done === true;
    most = Math.max(most, count() - before);
  }
  return most;
}

const LONG = 6_000;
const SHARE = 4 * STEP; // the ends of one loop and the beginnings of the next have no pause between them

function listOf(entry: (i: number) => string, count = LONG): string[] {
  return Array.from({ length: count }, (_, i) => entry(i));
}

function ruled(...rules: ConnectorDocument['rules'][number][]): Partial<PolicyDocument> {
  return { connectors: [connector({ rules })] };
}

/** `list` with every look at an entry counted. */
function counted<T extends object>(list: T): { list: T; looks: () => number } {
  let looks = 0;
  const proxy = new Proxy(list, {
    get(target, key) {
      if (typeof key === 'string' && /^[0-9]/.test(key)) looks++;
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' && key !== 'constructor' ? value.bind(proxy) : value;
    },
  });
  return { list: proxy, looks: () => looks };
}

const domain = (i: number): string => `d${i}.example`;
const address = (i: number): string => `u${i}@d${i % 10}.example`;
const user = (i: number): string => `CORP\\u${i}`;
const ip = (i: number): string => `198.${51 + (i >> 15)}.${(i >> 7) & 255}.${(i & 127) * 2}`;

const cases: [string, (i: number) => string, (list: string[]) => Partial<PolicyDocument>][] = [
  ['accepted_domains', domain, (accepted_domains) => ({ accepted_domains })],
  ['relay_domains', domain, (relay_domains) => ({ relay_domains })],
  ['blocked_domains', domain, (blocked_domains) => ({ blocked_domains })],
  ['recipient_domains', domain, (list) => ruled({ allow: { recipient_domains: list } })],
  ['recipient_domains of a deny', domain, (list) => ruled({ deny: { recipient_domains: list } })],
  ['ptr', domain, (ptr) => ruled({ allow: { ptr } }, { deny: { ptr } })],
  ['recipients', address, (recipients) => ruled({ allow: { recipients, authenticated: true } })],
  ['recipients of a deny', address, (recipients) => ruled({ deny: { recipients } }, { deny: { recipients } })],
  ['senders of a deny', address, (senders) => ruled({ deny: { senders } })],
  ['users', user, (users) => ruled({ allow: { users } })],
  ['users of a deny', user, (users) => ruled({ deny: { users } }, { deny: { users } })],
  ['groups', user, (list) => ({ groups: { all: list }, ...ruled({ deny: { groups: ['all'] } }) })],
  ['sources', ip, (sources) => ruled({ allow: { sources } }, { deny: { sources } })],
  ['connect.deny', ip, (deny) => ({ connectors: [connector({ connect: { allow: ['any'], deny } })] })],
  [
    'remote_ip_ranges',
    ip,
    (list) => ({ connectors: [connector({}), connector({ name: 'other', remote_ip_ranges: list })] }),
  ],
];

for (const [name, entry, make] of cases) {
  test(`a long list of ${name} is compiled a share at a time`, () => {
    const { list, looks } = counted(listOf(entry));
    const most = mostAtOnce(compileInSteps(document(make(list)), { now: () => noon }), looks);
    assert.ok(looks() >= LONG, 'the list was looked at');
    assert.ok(most <= SHARE, `${most} entries at once`);
  });
}

test('many short rules are compiled, and compared with each other, a share at a time', () => {
  let looks = 0;
  const rules = listOf(String, 400).map((_, i) => ({
    get allow() {
      looks++;
      return { sources: [ip(i)], recipient_domains: [domain(i)] };
    },
  }));
  const most = mostAtOnce(compileInSteps(document(ruled(...rules)), { now: () => noon }), () => looks);
  assert.ok(looks > 400 ** 2 / 2, 'each was compared with those before it');
  assert.ok(most <= 2 * SHARE, `${most} looks at once`);
});

test('which of many connectors answers at which address is worked out a share at a time', () => {
  let looks = 0;
  const candidates = listOf(String, 250).map((name, i) => ({
    ...{ connector: name, name, ranges: [], grantsRelay: () => false },
    get bindings() {
      looks++;
      return [{ ip: i, port: i }];
    },
  }));
  const notes = new Notes(DEFAULT_OPTIONS.readList);
  const most = mostAtOnce(Selection.inSteps(candidates, true, notes), () => looks);
  assert.ok(looks > 250 ** 2 && most <= SHARE, `${most} bindings at once`);
});

test('a table of ranges is built a share at a time', () => {
  let looks = 0;
  const holders = listOf(String).map((_, i) => ({
    get range() {
      looks++;
      const lo = Math.imul(i, 0x9e3779b1) >>> 0;
      return i % 2 === 0 ? { lo, hi: lo } : { lo: BigInt(lo) << 70n, hi: LAST_IPV6 };
    },
  }));
  const most = mostAtOnce(RangeTable.inSteps(holders), () => looks);
  assert.ok(looks > LONG && most <= SHARE, `${most} ranges at once`);
});

test('keys are sorted a share at a time', () => {
  const { list: keys, looks } = counted(Uint32Array.from({ length: LONG }, (_, i) => Math.imul(i, 0x9e3779b1)));
  const most = mostAtOnce(sorted(new Int32Array(LONG), keys, 1), looks);
  assert.ok(looks() > LONG && most <= SHARE, `${most} keys at once`);
});

const small = fc.integer({ min: 0, max: 3_000 });
const spans = fc.array(
  fc.tuple(small, fc.integer({ min: 0, max: 4 })).map(([lo, more]): Span => ({ lo, hi: lo + more })),
  { maxLength: 800 },
);

test('of long lists the spans that a table covers are their union, and sets of them are exact', () => {
  fc.assert(
    fc.property(spans, spans, (first, second) => {
      const [a, b] = [first, second].map((list) => atOnce(RangeTable.of(list as Range[]).covered())) as [
        Span[],
        Span[],
      ];
      assert.deepEqual(a, union(first));
      const held = (list: readonly Span[]): boolean[] => {
        const all = new Array<boolean>(3_010).fill(false);
        for (const { lo, hi } of list) all.fill(true, Number(lo), Number(hi) + 1);
        return all;
      };
      const [inA, inB] = [held(first), held(second)];
      assert.deepEqual(
        held(intersect(a, b)),
        inA.map((is, i) => is && inB[i] === true),
      );
      assert.deepEqual(
        held(subtract(a, b)),
        inA.map((is, i) => is && inB[i] !== true),
      );
    }),
    { numRuns: 60 },
  );
});

test('a table of domains finds the same whether room is made for it or it makes its own', () => {
  const labels = fc.array(fc.constantFrom('a', 'b', 'c', 'mail', 'x1'), { minLength: 1, maxLength: 12 });
  const texts = fc.array(
    fc.tuple(fc.boolean(), labels, fc.nat(400)).map(([star, list, n]) => `${star ? '*.' : ''}n${n}.${list.join('.')}`),
    { maxLength: 900 },
  );
  fc.assert(
    fc.property(texts, (list) => {
      const [made, own] = [new DomainTable<number>(), new DomainTable<number>()];
      const patternOf = new Map<string, number>();
      for (const [i, text] of list.entries()) {
        const pattern = parseDomainPattern(text);
        if (typeof pattern === 'string') throw new Error(pattern);
        if (i % STEP === 0) atOnce(made.makeRoom());
        assert.equal(made.add(pattern, i), patternOf.get(text));
        own.add(pattern, i);
        if (!patternOf.has(text)) patternOf.set(text, i);
      }
      for (const text of list) {
        for (const asked of [text.replace('*.', ''), text.replace('*.', 'deep.er.')]) {
          const suffixes = asked.split('.').map((_, i, parts) => `*.${parts.slice(i).join('.')}`);
          const wanted = [asked, ...suffixes].find((one) => patternOf.has(one));
          const place = wanted === undefined ? null : (patternOf.get(wanted) as number);
          assert.equal(made.find(asked), place, asked);
          assert.equal(own.find(asked), place, asked);
          assert.equal(made.patternFor(asked), wanted ?? null);
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('a question about a login is the same one in whatever order its list is written, and no other where an entry is', async () => {
  const list = listOf(user, 600);
  const partners = { recipient_domains: ['partner.example'] };
  const hears = (others: string[]): Promise<string> => {
    const rules = [{ allow: { users: list, ...partners } }, { allow: { not: { users: others }, ...partners } }];
    return answer(sound(ruled(...rules)), '198.51.100.1', rcpt('a@partner.example', { login: login(null) }));
  };
  assert.equal(await hears(list.toReversed()), 'proceed', 'he is one of them or not, and may either way');
  assert.equal(await hears([...list.slice(1), 'CORP\\other']), '451 cannot_tell');
});
