// postern diff against random questions: what is answered otherwise stands in a row that names its source, login, recipient and sender.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare } from '../../src/moving-in/diff/compare.ts';
import { readCompared, type World } from '../../src/moving-in/diff/compared.ts';
import type { Meant } from '../../src/moving-in/diff/labels.ts';
import { parseIp } from '../../src/policy/ip.ts';
import { answerQuestion, type PolicyQuestion } from '../../src/policy/policy-question.ts';
import type { Span } from '../../src/policy/ranges.ts';
import { type Any, NOW, sound, written } from './diffing.ts';

function isIn(source: string, spans: readonly Span[]): boolean {
  const ip = parseIp(source) as Any;
  return spans.some(({ lo, hi }) => typeof lo === typeof ip && lo <= ip && ip <= hi);
}

/** `labels`: what the asked one may be called, the nearest first; null: no label of its own. */
function covers(meant: Meant | null, labels: readonly string[] | null): boolean {
  if (meant === null || labels === null) return true;
  const named = new Set(
    (meant.only ?? meant.all_but ?? []).flatMap((one) =>
      one.startsWith('*.') ? [one.slice(2), `below ${one.slice(2)}`] : [one],
    ),
  );
  if (meant.all_but !== undefined) return !named.has(labels[0] as string);
  // What goes without saying beside all others is not printed.
  return (
    labels.some((label) => named.has(label)) ||
    (/ without a domain$| of another /.test(labels[0] ?? '') && named.has('any other login'))
  );
}

/** `isNamed`: the address itself stands in one of the policies, where such addresses stand. */
function addressLabels(address: string, isNamed: boolean, domains: ReadonlySet<string>): string[] | null {
  if (address === '') return ['<>'];
  if (/[%!]|^@/.test(address)) return null; // several addresses in one, or a route
  if (address === 'postmaster') return ['postmaster alone'];
  const at = address.lastIndexOf('@');
  if (at === -1) return ['names without a domain'];
  const domain = address.slice(at + 1);
  if (domain.startsWith('[')) return [domain, 'any other address literal'];
  if (isNamed) return [address];
  if (domains.has(domain)) return [domain];
  const above = [...domains].filter((one) => domain.endsWith(`.${one}`)).sort((a, b) => b.length - a.length)[0];
  return [above === undefined ? 'any other domain' : `below ${above}`];
}

function loginLabels(login: string | null, text: string): string[] {
  if (login === null) return ['nobody (no login)'];
  if (login === '?') return ['logins whose name nobody sees'];
  if (text.includes(JSON.stringify(login))) return [login];
  const name = login.replace(/^.*\\|@.*$/g, '');
  const isNamed = new RegExp(`[\\\\"]${name}["@]`).test(text);
  if (!isNamed)
    return ['any other login', ...(login.includes('@') ? [`any other login of ${login.replace(/^.*@/, '')}`] : [])];
  if (login === name) return [`${name} without a domain`];
  return [login.startsWith('OTHER') ? `${name} of another Windows domain` : login];
}

// The other direction: whatever somebody asks at random, the answers differ only where a row says so.
// POSTERN_DIFF_ROUNDS plays more of them.
test('random questions to random policies are answered otherwise only where a row is', async () => {
  let seed = 20261101;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const some = <T>(list: readonly T[]): T[] => list.filter(() => random(2) === 0);
  const RANGES = [
    '10.1.0.0/16',
    '10.1.2.0/24',
    '10.1.2.3',
    '10.1.2.5-10.1.2.9',
    '10.9.0.0;255.255.0.123',
    '2001:db8::/32',
    '2001:db8::7',
  ];
  const DOMAINS = ['*.example.com', 'example.com', 'partner.example', '*.partner.example', 'a.partner.example'];
  const USERS = ['CORP\\alice', 'bob@example.com', 'carol'];
  const NAMES = ['printer.example.com', '*.dyn.example'];
  const conditions = (depth = 0): object => ({
    ...(random(2) === 0 ? { sources: some(RANGES) } : {}),
    ...(random(3) === 0 ? { recipient_domains: some(DOMAINS) } : {}),
    ...(random(5) === 0 ? { recipients: ['x@partner.example'] } : {}),
    ...(random(4) === 0 ? { users: some(USERS) } : {}),
    ...(random(6) === 0 ? { authenticated: random(2) === 0 } : {}),
    ...(random(6) === 0 ? { tls: random(2) === 0 } : {}),
    ...(random(6) === 0 ? { ptr: some(NAMES) } : {}),
    ...(random(6) === 0 ? { helo: ['mail.example.com'] } : {}),
    ...(random(6) === 0 ? { sender_domains: some(DOMAINS) } : {}),
    ...(random(6) === 0 ? { local: ['10.0.0.25:25'] } : {}),
    ...(depth === 0 && random(5) === 0
      ? { not: { sources: some(RANGES), ...(random(2) === 0 ? { users: some(USERS) } : {}) } }
      : {}),
  });
  const policy = (): object => ({
    version: 1,
    accepted_domains: ['*.example.com'],
    blocked_domains: random(3) === 0 ? ['b.partner.example'] : [],
    user_domains: { CORP: 'example.com' },
    connectors: [
      { name: 'all', remote_ip_ranges: ['any'], connect: random(3) === 0 ? { deny: [pick(RANGES)] } : {} },
      { name: 'inside', remote_ip_ranges: ['10.0.0.0/8', '2001:db8::/32'], submit: pick(['anyone', 'authenticated']) },
    ].map((connector) => ({
      ...connector,
      i_know_this_is_open: true,
      senders: {
        own_domains: pick(['allow', 'authenticated', 'deny']),
        login_must_match: random(3) === 0 ? { 'CORP\\alice': ['alice@example.com'] } : {},
      },
      rules: [0, 1, 2]
        .slice(random(4))
        .map((i) => ({ name: `r${i}`, [pick(['allow', 'allow', 'deny'])]: conditions() })),
    })),
  });
  let pairs = 0;
  let differing = 0;
  let equal = 0;
  const rounds = Number(process.env.POSTERN_DIFF_ROUNDS ?? 40);
  for (let round = 0; round < rounds; round++) {
    const first = policy() as Any;
    const second = structuredClone(random(4) === 0 ? (policy() as Any) : first);
    const rules = second.connectors[random(2)].rules;
    if (random(2) === 0) rules.pop();
    else rules.push({ name: 'more', allow: conditions() });
    const world: World = { now: NOW, names: [] };
    const [one, other] = [readCompared(written(first, 'a'), world), readCompared(written(second, 'b'), world)];
    if (!sound(one) || !sound(other)) continue;
    pairs++;
    const { rows } = await compare(one, other, world);
    for (let i = 0; i < 200; i++) {
      const source = pick([
        '10.1.2.3',
        '10.1.2.4',
        '10.1.2.7',
        '10.1.9.9',
        '10.9.0.4',
        '10.9.0.3',
        '192.0.2.1',
        '2001:db8::7',
        '2001:db8::8',
        '2001:db9::1',
        '127.0.0.1',
      ]);
      const address = source.includes(':') ? '2001:db8::25' : pick(['10.0.0.25', '10.0.0.26']);
      const asked: PolicyQuestion = {
        source,
        local: { address, port: pick([25, 587]) },
        helo: pick(['mail.example.com', 'x']),
        login: pick([
          null,
          '?',
          'CORP\\alice',
          'alice@example.com',
          'alice',
          'OTHER\\alice',
          'bob@example.com',
          'carol',
          'dave',
        ]),
        tls: random(2) === 0,
        tlsSubject: [],
        sender: pick([
          '',
          'alice@example.com',
          'x@example.com',
          'x@partner.example',
          'x@a.partner.example',
          'x',
          '@a,@b:x@c.example',
        ]),
        recipient: pick([
          'x@example.com',
          'x@partner.example',
          'y@a.partner.example',
          'y@b.partner.example',
          'z@foreign.example',
          'postmaster',
          'x',
          'x@[192.0.2.9]',
          'p%foreign.example@example.com',
        ]),
      };
      world.names = pick([
        [],
        ['printer.example.com'],
        ['q.dyn.example'],
        ['printer.example.com', 'q.dyn.example'],
        null,
      ]);
      world.now = NOW;
      const answers: string[] = [
        await answerQuestion(one.policy, asked),
        await answerQuestion(other.policy, asked),
      ].map(({ answer }) => answer);
      if (answers[0] === answers[1]) continue;
      differing++;
      const change = answers[1] === 'proceed' ? 'gains' : answers[0] === 'proceed' ? 'loses' : 'otherwise';
      const domains = new Set(JSON.stringify([first, second]).match(/[a-z][a-z.]*\.(?:com|example)\b/g));
      const text = JSON.stringify([first, second]);
      const told = rows.some(
        (row) =>
          row.change === change &&
          isIn(asked.source, row.sources) &&
          covers(row.logins, loginLabels(asked.login, text)) &&
          covers(
            row.recipients,
            addressLabels(asked.recipient, text.includes(`"recipients":["${asked.recipient}"]`), domains),
          ) &&
          covers(
            row.senders,
            addressLabels(
              asked.sender,
              text.includes(asked.sender.replace(/@.*/, '')) && asked.sender.startsWith('alice@'),
              domains,
            ),
          ) &&
          covers(row.tls, [asked.tls ? 'TLS' : 'not encrypted']),
      );
      if (told) continue;
      const named = rows
        .filter((row) => row.change === change && isIn(asked.source, row.sources))
        .map(({ logins, recipients, senders, tls }) => ({ logins, recipients, senders, tls }));
      assert.fail(`round ${round}, ${JSON.stringify([asked, world.names, named, [...domains]])}: ${answers}`);
    }
    if (rows.length === 0) equal++;
  }
  assert.ok(
    pairs > rounds / 2 && differing > 6 * rounds && equal > rounds / 30,
    `${pairs} pairs, ${differing} answers differ, ${equal} pairs are equal`,
  );
});
