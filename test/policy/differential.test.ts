// Random policies and random questions: src/policy and the naive evaluator give the same answer, or it is a bug.
//
// Addresses, domains and users come from a small world, so that ranges overlap, patterns nest and rules shadow each other
// all the time. POSTERN_RUNS=100000 for a long run; the seed is printed by fast-check when it fails.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePolicy } from '../../src/policy/compile.ts';
import type { ConditionsDocument, ConnectorDocument, PolicyDocument, RuleDocument } from '../../src/policy/document.ts';
import { toOctets } from '../../src/policy/spellings.ts';
import type { Decision } from '../../src/smtp/types.ts';
import { connector, document, login, noon, rcpt } from './build.ts';
import { naiveAnswer, naiveConnector, rangeOf, type World } from './naive.ts';

const runs = Number(process.env.POSTERN_RUNS ?? 1500);

const clients = [
  ...Array.from({ length: 16 }, (_, i) => `10.0.0.${i}`),
  '10.0.1.0',
  '127.0.0.1',
  '192.0.2.25',
  '203.0.113.9',
  '::1',
  '2001:db8::1',
  '2001:db8::2',
  '2001:db8:1::1',
];
const lost = ['10.0.0.1', '10.0.0.5', '2001:db8::1'];
const ranges = [
  'any',
  '10.0.0.0/8',
  '10.0.0.0/28',
  '10.0.0.0/29',
  '10.0.0.4/30',
  '10.0.0.8/30',
  '10.0.0.2-10.0.0.5',
  '10.0.0.3-10.0.0.9',
  '10.0.0.1',
  '10.0.0.5',
  '10.0.0.12/32',
  '10.0.0.0;255.255.255.250',
  '10.0.0.1;255.255.255.245',
  '10.0.0.4;255.0.255.255',
  '127.0.0.0/8',
  '192.0.2.0/24',
  '127.0.0.1',
  '::/0',
  '::1',
  '2001:db8::/32',
  '2001:db8::/64',
  '2001:db8::1-2001:db8::2',
];
const domains = [
  'a.example',
  'b.a.example',
  'c.b.a.example',
  'ba.example',
  'z.example',
  'example',
  'foreign.test',
  'bücher.example',
];
/** As they come from the wire. */
const spelled = [
  ...domains,
  'ｚ.example',
  'b.a。example',
  'foreign\u00ad.test',
  'BÜCHER.example',
  'xn--bcher-kva.example',
].map(toOctets);
const patterns = domains.flatMap((domain) => [domain, `*.${domain}`]);
const users = ['CORP\\alice', 'alice@corp.example', 'bob', 'BOB', 'carol@corp.example', 'OTHER\\carol'];
const logins = [
  ...users,
  'corp.example\\alice',
  'alice@CORP',
  'alice',
  ' CORP\\Alice',
  'carol@elsewhere.example',
  'OTHER\\bob',
  'bob@corp.example.',
  '.\\bob',
];
const names = ['host.corp.example', 'corp.example', 'dsl.isp.test'];

function some<T>(values: readonly T[], most = 3): fc.Arbitrary<T[]> {
  return fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: most });
}

function maybe<T>(value: fc.Arbitrary<T>, weight = 4): fc.Arbitrary<T | undefined> {
  return fc.option(value, { nil: undefined, freq: weight });
}

const conditions = fc.letrec<{ block: ConditionsDocument }>((tie) => ({
  block: fc
    .tuple(
      fc.constantFrom(
        ...([
          'sources',
          'sources',
          'ptr',
          'login',
          'groups',
          'tls',
          'recipient_domains',
          'not',
          'other',
          'none',
        ] as const),
      ),
      fc.constantFrom(
        ...(['sources', 'ptr', 'login', 'local', 'sender', 'recipient_domains', 'none', 'none'] as const),
      ),
      fc.record({
        sources: some(ranges),
        ptr: some(['*.corp.example', 'corp.example', '*.isp.test'], 2),
        local: some(['192.0.2.25', '192.0.2.26:25', '*:587', '192.0.2.0/24'], 2),
        authenticated: fc.boolean(),
        allow_unnamed: fc.boolean(),
        users: some(users),
        groups: some(['staff', 'others'], 2),
        tls: fc.boolean(),
        senders: some(['a@a.example', '<>', 'B@z.example'], 2),
        sender_domains: some(patterns),
        recipients: some(['x@foreign.test', 'X@z.example'], 2),
        recipient_domains: some(patterns),
        helo: some(['*.corp.example', 'client.example'], 2),
        not: fc.option(tie('block'), { nil: {}, maxDepth: 2 }),
      }),
      fc.boolean(),
    )
    .map(([first, second, all, flip]): ConditionsDocument => {
      const picked: Record<string, unknown> = {};
      for (const kind of [first, second]) {
        if (kind === 'login' && flip) picked.users = all.users;
        else if (kind === 'login') {
          picked.authenticated = all.authenticated;
          if (all.allow_unnamed) picked.allow_unnamed = true;
        } else if (kind === 'sender')
          Object.assign(picked, flip ? { senders: all.senders } : { sender_domains: all.sender_domains });
        else if (kind === 'other') Object.assign(picked, flip ? { recipients: all.recipients } : { helo: all.helo });
        else if (kind !== 'none') picked[kind] = all[kind];
      }
      return picked as ConditionsDocument;
    }),
})).block;

const rule: fc.Arbitrary<RuleDocument> = fc
  .tuple(fc.boolean(), conditions, maybe(fc.constantFrom('2026-11-21', '2026-11-22', '2027-01-31'), 6))
  .map(([deny, block, expires]) => ({
    ...(deny ? { deny: block } : { allow: block }),
    ...(expires ? { expires } : {}),
  }));

const receiveConnector: fc.Arbitrary<Partial<ConnectorDocument>> = fc.record({
  remote_ip_ranges: fc.oneof({ weight: 2, arbitrary: fc.constant(['any']) }, { weight: 3, arbitrary: some(ranges, 2) }),
  bindings: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: some(['192.0.2.25:25', '192.0.2.26', '*:587'], 2) },
  ),
  rules: fc.array(rule, { maxLength: 4 }),
});

const policy: fc.Arbitrary<PolicyDocument> = fc
  .record({
    accepted_domains: some(patterns, 3),
    relay_domains: fc.array(fc.constantFrom(...patterns), { maxLength: 2 }),
    blocked_domains: fc.array(fc.constantFrom(...patterns), { maxLength: 1 }),
    connectors: fc.array(receiveConnector, { minLength: 1, maxLength: 3, size: 'small' }),
  })
  .map(({ connectors, ...domainLists }) =>
    document({
      ...domainLists,
      groups: { staff: ['CORP\\alice', 'bob'], others: ['carol@corp.example'] },
      user_domains: { CORP: 'corp.example' },
      connectors: connectors.map((given, i) => connector({ name: `c${i}`, i_know_this_is_open: true, ...given })),
    }),
  );

const question = fc
  .record({
    recipients: fc.array(fc.constantFrom(...spelled), { minLength: 1, maxLength: 2 }),
    login: fc.constantFrom(null, null, login(null), ...logins.map(login)),
    tls: fc.boolean(),
    sender: fc.constantFrom(
      '',
      'a@a.example',
      'a',
      'B',
      'b@z.example',
      'c@foreign.test',
      ...['b@ｚ.example', 'c@BÜCHER.example'].map(toOctets),
    ),
    helo: fc.constantFrom('client.example', 'PC.corp.example', 'x'),
  })
  .map(({ recipients, ...given }) =>
    rcpt(
      recipients.map((domain) => `x@${domain}`),
      given,
    ),
  );

const world: fc.Arbitrary<World> = fc.record({
  client: fc.constantFrom(...clients),
  localAddress: fc.constantFrom('192.0.2.25', '192.0.2.26', '192.0.2.27'),
  localPort: fc.constantFrom(25, 587),
  lost: fc.constant(lost),
  guard: fc.boolean(),
  names: fc.constantFrom(null, null, [], ...names.map((name) => [name]), names),
  now: fc.constant(noon),
});

/** Two ranges of the small world conflict when some address is in both, and neither lies wholly inside the other. */
function conflict(a: string, b: string): boolean {
  const one = rangeOf(a);
  const other = rangeOf(b);
  const points = [...clients, '10.0.2.0', '10.5.0.4', '2001:db8:0:1::1', '2001:db8::9', '192.0.2.1', '127.0.0.2']
    .map((text) => rangeOf(text))
    .map(({ lo, family }) => ({ family: family ?? 4, value: lo }));
  const inBoth = points.some((ip) => one.holds(ip) && other.holds(ip));
  if (!inBoth) return false;
  const onlyOne = points.some((ip) => one.holds(ip) && !other.holds(ip));
  const onlyOther = points.some((ip) => other.holds(ip) && !one.holds(ip));
  return onlyOne === onlyOther;
}

test('every decision is that of the naive evaluator', async () => {
  const compared = { guarded: 0, unguarded: 0, refused: 0, proceed: 0, reject: 0, defer: 0 };
  await fc.assert(
    fc.asyncProperty(
      policy,
      fc.array(fc.tuple(world, question), { minLength: 4, maxLength: 12 }),
      async (doc, asked) => {
        for (const guard of [true, false]) {
          let resolved: readonly string[] | null = null;
          const { policy: compiled, problems } = compilePolicy(doc, {
            now: () => noon,
            lostAddressGuard: guard ? 'refuse' : 'warn',
            ownAddresses: lost,
            resolve: async () => resolved,
          });
          if (compiled === null) {
            // The guard's lint has its own tests; here only crossing and equal ranges may stop a policy.
            assert.ok(problems.some(({ severity }) => severity === 'error'));
            continue;
          }
          for (const [where, what] of asked) {
            const place = { ...where, guard };
            resolved = place.names;
            const ends = { clientAddress: place.client, localAddress: place.localAddress, localPort: place.localPort };
            const chosen = compiled.connectorFor(ends);
            assert.equal(chosen?.name ?? null, naiveConnector(doc, place)?.name ?? null);
            const decision: Decision | undefined = await chosen?.judge({ address: place.client, ...ends }, what);
            const answer = short(decision);
            assert.equal(answer, naiveAnswer(doc, place, what), JSON.stringify({ place, what }));
            compared[answer]++;
            compared[guard ? 'guarded' : 'unguarded']++;
          }
        }
      },
    ),
    { numRuns: runs },
  );

  // Every kind of answer must have come up often enough to mean something.
  for (const [kind, count] of Object.entries(compared)) assert.ok(count > runs / 20, `${kind}: ${count}`);
});

function short(decision: Decision | undefined): 'refused' | 'proceed' | 'reject' | 'defer' {
  if (decision === undefined) return 'refused';
  if (decision.action === 'proceed') return 'proceed';
  return decision.reason === 'cannot_tell' ? 'defer' : 'reject';
}

test('ranges of competing connectors are an error exactly when they are equal or cross', () => {
  fc.assert(
    fc.property(some(ranges, 3), some(ranges, 3), (first, second) => {
      const { problems } = compilePolicy(
        document({
          connectors: [
            connector({ name: 'a', remote_ip_ranges: first }),
            connector({ name: 'b', remote_ip_ranges: second }),
          ],
        }),
        { now: () => noon },
      );
      const reported = problems.some(({ message }) => / (equals|crosses) /.test(message));
      const expected = first.some((a) => second.some((b) => conflict(a, b)));
      assert.equal(reported, expected, `${first} | ${second}`);
    }),
    { numRuns: Math.min(runs, 2000) },
  );
});
