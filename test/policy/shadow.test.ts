// Whether check says that a rule can never match, or comes too late, for the one before it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConditionsDocument, RuleDocument } from '../../src/policy/document.ts';
import { complaints, connector } from './build.ts';

type Said = 'never' | 'late' | 'lives';

/** What is said of the second. */
function of(earlier: RuleDocument, later: RuleDocument): Said {
  const rules = [
    { name: 'a', ...earlier },
    { name: 'b', ...later },
  ];
  const text = complaints({
    connectors: [connector({ rules, starttls: 'terminate' })],
    groups: { staff: ['x'] },
  }).join();
  if (text.includes("rule 'b' can never match: 'a' before it matches all that it would")) return 'never';
  return text.includes("rule 'b' comes too late: 'a' before it lets pass all that it names") ? 'late' : 'lives';
}

const allows = (wide: ConditionsDocument, narrow: ConditionsDocument): Said => of({ allow: wide }, { allow: narrow });
const denials = (wide: ConditionsDocument, narrow: ConditionsDocument): Said => of({ allow: wide }, { deny: narrow });

for (const [wide, narrow, said] of [
  [{}, { tls: true }, 'never'],
  [{ users: undefined }, { tls: true }, 'never'],
  [{ tls: true }, {}, 'lives'],
  [{ tls: true }, { tls: true, users: ['x'] }, 'never'],
  [{ tls: true }, { tls: false }, 'lives'],
  [{ not: { users: ['x'] } }, { not: { users: ['x'] }, tls: true }, 'never'],
  [{ not: { users: ['x'] } }, { not: { users: ['y'] } }, 'lives'],
  [{ users: ['x', 'y'] }, { users: ['Y'] }, 'never'],
  [{ users: ['x'] }, { users: ['x', 'y'] }, 'lives'],
  [{ users: ['x'] }, { senders: ['x@a.example'] }, 'lives'],
  [{ senders: ['x@a.example', '<>'] }, { senders: ['<>'] }, 'never'],
  [{ recipients: ['x@a.example'] }, { recipients: ['x@A.example'] }, 'never'],
  [{ recipients: ['x@a.example'] }, { recipient_domains: ['a.example'] }, 'lives'],
  [{ groups: ['staff'] }, { groups: ['staff'], tls: true }, 'never'],
  [{ local: ['192.0.2.25'] }, { local: ['192.0.2.25'], tls: true }, 'never'],
  [{ sources: ['192.0.2.0/28'] }, { sources: ['192.0.2.1'] }, 'never'],
  [{ sources: ['192.0.2.0/28'] }, { sources: ['192.0.2.1', '192.0.2.16'] }, 'lives'],
  [{ sources: ['192.0.2.0/28'] }, { sources: [] }, 'never'],
  [{ sources: ['192.0.2.0/28'] }, { tls: true }, 'lives'],
  [{ sources: ['any'] }, { tls: true }, 'never'],
  [{ sources: ['192.0.2.1;255.255.255.9'] }, { sources: ['192.0.2.1;255.255.255.13'] }, 'never'],
  [{ sources: ['192.0.2.1;255.255.255.13'] }, { sources: ['192.0.2.1;255.255.255.9'] }, 'lives'],
  [{ sources: ['192.0.2.0/24'] }, { sources: ['192.0.2.1;255.255.255.9'] }, 'never'],
  [{ recipient_domains: ['a.example'] }, { recipient_domains: ['b.example'] }, 'lives'],
  [{ recipient_domains: ['a.example', 'b.example'] }, { recipient_domains: ['b.example'] }, 'never'],
  [{ recipient_domains: ['*.a.example'] }, { recipient_domains: ['a.example', '*.x.a.example'] }, 'never'],
  [{ recipient_domains: ['a.example', 'x.a.example'] }, { recipient_domains: ['*.a.example'] }, 'lives'],
  [{ recipient_domains: ['.wrong', 'b.example'] }, { recipient_domains: ['b.example'] }, 'never'],
  [{ recipient_domains: ['b.example'] }, { recipient_domains: ['.wrong'] }, 'lives'],
  [{ recipient_domains: ['bücher.example'] }, { recipient_domains: ['xn--bcher-kva.example'] }, 'never'],
  [{ recipient_domains: ['a.example'] }, {}, 'lives'],
  [{ sender_domains: ['*.a.example'] }, { sender_domains: ['x.a.example'] }, 'never'],
  [{ ptr: ['*.a.example'] }, { ptr: ['x.a.example'] }, 'never'],
  [{ helo: ['*.a.example'] }, { helo: ['x.a.example'] }, 'never'],
  [{ authenticated: true }, { authenticated: true, tls: true }, 'never'],
  [{ authenticated: true }, { authenticated: true, allow_unnamed: true }, 'lives'],
  [{ authenticated: true, allow_unnamed: true }, { authenticated: true, allow_unnamed: true }, 'never'],
  [{ authenticated: true, allow_unnamed: true }, { authenticated: true }, 'never'],
  [{ authenticated: true, allow_unnamed: false }, { authenticated: true, allow_unnamed: false }, 'never'],
  [{ authenticated: true, allow_unnamed: false }, { authenticated: true, allow_unnamed: true }, 'lives'],
  [{ authenticated: true }, { users: ['x'] }, 'never'],
  [{ authenticated: true }, { groups: ['staff'] }, 'never'],
  [{ authenticated: true }, { tls: true }, 'lives'],
  [{ authenticated: false }, { authenticated: false, tls: true }, 'never'],
  [{ authenticated: false }, { authenticated: true }, 'lives'],
  [{ authenticated: false }, { tls: true }, 'lives'],
  [{ authenticated: false }, { users: ['x'] }, 'lives'],
] as const satisfies [ConditionsDocument, ConditionsDocument, Said][])
  test(`behind ${JSON.stringify(wide)} is ${JSON.stringify(narrow)}: ${said}`, () => {
    assert.equal(allows(wide, narrow), said);
    assert.equal(of({ deny: wide }, { deny: narrow }), said, 'a denial behind a denial is dead as it is');
    assert.equal(of({ deny: wide }, { allow: narrow }), said);
  });

test('a list of many names is compared as one of few is', () => {
  const users = (count: number): string[] => Array.from({ length: count }, (_, i) => `u${i}`);
  for (const few of [8, 9]) {
    for (const many of [8, 9]) {
      const [wide, narrow] = [users(many), users(few).map((name) => name.toUpperCase())];
      assert.equal(allows({ users: wide }, { users: narrow }), few <= many ? 'never' : 'lives', `${few} of ${many}`);
      assert.equal(allows({ users: wide }, { users: [...narrow, 'x'] }), 'lives', `${few} of ${many}, and another`);
      assert.equal(allows({ users: wide }, { users: ['x'] }), 'lives', `another than ${many}`);
    }
  }
});

test('a denial behind an allow is dead where it is one of no spelling, and else too late', () => {
  assert.equal(denials({}, { users: ['x'] }), 'never');
  assert.equal(denials({ authenticated: undefined, users: undefined }, { users: ['x'] }), 'never');
  assert.equal(denials({ tls: true }, { tls: true, users: ['x'] }), 'never');
  assert.equal(denials({ local: ['192.0.2.25'] }, { local: ['192.0.2.25'] }), 'never');
  assert.equal(denials({ users: ['x'] }, { users: ['x'] }), 'late');
  assert.equal(denials({ users: ['x'] }, { users: ['x'], senders: [] }), 'never', 'it never holds');
  assert.equal(denials({ authenticated: true }, { users: ['x'] }), 'late', 'a login without a name may be x');
  assert.equal(denials({ authenticated: true, allow_unnamed: false }, { users: ['x'] }), 'late');
  assert.equal(denials({ authenticated: true, allow_unnamed: true }, { users: ['x'] }), 'never');
  assert.equal(denials({ authenticated: true }, { authenticated: true, users: ['x'] }), 'never');
});

test('a rule that ends leaves what comes after its end', () => {
  const [soon, late] = ['2027-06-30', '2027-12-31'];
  assert.equal(of({ deny: {}, expires: soon }, { allow: {} }), 'lives');
  assert.equal(of({ deny: {}, expires: soon }, { allow: {}, expires: late }), 'lives');
  assert.equal(of({ deny: {}, expires: late }, { allow: {}, expires: soon }), 'never');
  assert.equal(of({ deny: {}, expires: late }, { allow: {}, expires: late }), 'never');
});
