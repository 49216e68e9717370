// From a document to a policy: what its lists mean to a client, and what is said of entries that mean nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyDocument } from '../../src/policy/document.ts';
import { parseDomainPattern } from '../../src/policy/domains.ts';
import type { ListFile, ReadList } from '../../src/policy/lists.ts';
import type { PolicyOptions } from '../../src/policy/options.ts';
import { answer, compile, complaints, connector, login, rcpt, sound } from './build.ts';

const client = '198.51.100.1';

/** Where problems are, and how they begin. */
function told(given: Partial<PolicyDocument>, options: Partial<PolicyOptions> = {}): string[] {
  return compile(given, options).problems.map(
    ({ severity, path, message, place }) =>
      `${severity} ${path.join('.')}${place === undefined ? '' : `:${place.line}:${place.column}`}: ${message}`,
  );
}

function says(lines: readonly string[], ...hints: string[]): void {
  for (const hint of hints)
    assert.ok(
      lines.some((line) => line.includes(hint)),
      `${hint}: ${lines.join('\n')}`,
    );
}

test('a policy with an error is none, and one with warnings is one', () => {
  assert.equal(compile({ accepted_domains: ['.x'] }).policy, null);
  assert.notEqual(compile({ accepted_domains: ['a.example', 'a.example'] }).policy, null);
});

test('mail for accepted and relay domains is taken, for blocked ones and all others it is not', async () => {
  const policy = sound({
    accepted_domains: ['a.example'],
    relay_domains: ['*.r.example'],
    blocked_domains: ['b.r.example'],
  });
  const hears = (domain: string): Promise<string> => answer(policy, client, rcpt(`x@${domain}`));
  assert.deepEqual(
    await Promise.all(['a.example', 'r.example', 'c.r.example', 'b.r.example', 'f.example'].map(hears)),
    ['proceed', 'proceed', 'proceed', '554 blocked_domain', '554 no_rule'],
  );
});

test('of accepted and relay domains what is wrong, double or wide is told with its place', () => {
  says(
    told({
      accepted_domains: ['a.example', '*', '*.com', 'A.example', '.x'],
      relay_domains: ['r.example', 'r.example', 'a.example', '*.org'],
    }),
    "error accepted_domains.1: '*' would hold every domain: every domain would be relayed for everyone, an open relay",
    "warning accepted_domains.2: '*.com' holds every domain below a top-level name",
    "warning accepted_domains.3: 'A.example' is listed twice",
    "error accepted_domains.4: '.x' begins with a dot",
    "warning relay_domains.1: 'r.example' is listed twice",
    "warning relay_domains.2: 'a.example' is an accepted domain already",
    "warning relay_domains.3: '*.org' holds every domain",
  );
  const lines = told({ accepted_domains: ['.x', '*.b.example', 'localhost', 'c.example'] });
  assert.deepEqual(lines.filter((line) => / accepted_domains\./.test(line)).length, 1, lines.join('\n'));
  says(told({ blocked_domains: ['a.example', '.x'] }), 'error blocked_domains.1: ');
  says(told({ connectors: [connector({ remote_ip_ranges: ['x'] })] }), 'error connectors.0.remote_ip_ranges.0: ');
  assert.ok(lines.includes(`error accepted_domains.0: ${parseDomainPattern('.x')}`));
});

test('an accepted domain that is a relay domain as well stays an accepted one', () => {
  const policy = sound({ accepted_domains: ['a.example'], relay_domains: ['a.example'] });
  assert.equal(policy.isLocal('x@a.example'), true);
});

test('literals of ours are taken in every spelling, and what is none is told', async () => {
  const policy = sound({ accepted_literals: ['192.0.2.25', '[192.0.2.26]', '2001:db8::25', '[IPv6:2001:db8::26]'] });
  for (const literal of ['192.0.2.25', '192.0.2.26', 'IPv6:2001:db8::25', 'IPv6:2001:db8::26'])
    assert.equal(await answer(policy, client, rcpt(`postmaster@[${literal}]`)), 'proceed', literal);
  assert.match(await answer(policy, client, rcpt('postmaster@[192.0.2.27]')), /^5/);
  says(
    told({ accepted_literals: ['192.0.2.25', 'x', '192.0.2.1, 192.0.2.2', '1[92.0.2.1]', '[192.0.2.1]5'] }),
    "error accepted_literals.1: 'x' is not an address of ours",
    "error accepted_literals.2: '192.0.2.1, 192.0.2.2' is several in one text",
    'error accepted_literals.3',
    'error accepted_literals.4',
  );
});

test('people of a Windows domain are those of its mail domain', async () => {
  const rules = [{ allow: { users: ['CORP\\alice'] } }];
  const policy = sound({ user_domains: { CORP: 'corp.example.com' }, connectors: [connector({ rules })] });
  const hears = (name: string): Promise<string> => answer(policy, client, rcpt('x@f.example', { login: login(name) }));
  assert.equal(await hears('alice@corp.example.com'), 'proceed');
  assert.equal(await hears('alice@other.example.com'), '554 no_rule');
});

test('of user_domains what is wrong or double is told', () => {
  says(
    told({
      user_domains: {
        'A\\B': 'a.example',
        CORP: 'c.example',
        corp: 'd.example',
        X: '.x',
        Y: '*.y.example',
        Z: 'c.example',
      },
    }),
    "error user_domains.A\\B: 'A\\B': the domain alone is wanted",
    "error user_domains.corp: 'corp' stands there already in another case",
    "error user_domains.X: '.x' begins with a dot",
    "error user_domains.Y: '*.y.example': one domain is wanted, without a star",
    "warning user_domains.Z: 'c.example' stands for CORP already",
  );
  assert.deepEqual(complaints({ user_domains: { CORP: 'c.example', OTHER: 'o.example' } }), []);
});

test('members of a group may what its rule allows', async () => {
  const rules = [{ allow: { groups: ['staff'] } }];
  const policy = sound({ groups: { staff: ['CORP\\alice'] }, connectors: [connector({ rules })] });
  const hears = (name: string): Promise<string> => answer(policy, client, rcpt('x@f.example', { login: login(name) }));
  assert.deepEqual([await hears('CORP\\alice'), await hears('CORP\\bob')], ['proceed', '554 no_rule']);
});

test('who may relay by his address may not where that was lost, but where that is only warned of', async () => {
  const rules = [{ allow: { sources: ['10.0.0.0/8'] } }];
  const hears = (lostAddressGuard: 'refuse' | 'warn', local: string): Promise<string> =>
    answer(sound({ connectors: [connector({ rules })] }, { lostAddressGuard }), '10.0.0.8', rcpt('x@f.example'), local);
  assert.equal(await hears('refuse', '10.0.0.9'), 'proceed');
  assert.match(await hears('refuse', '10.0.0.8'), /^[45]/);
  assert.equal(await hears('warn', '10.0.0.8'), 'proceed');
});

test('a group without members, and members who are nobody, are told', () => {
  says(
    told({ groups: { none: [], staff: ['CORP\\alice', 'anyone'] } }),
    "warning groups.none: nobody is in group 'none', so it never holds",
    "error groups.staff.1: 'anyone' would be a login",
  );
  assert.ok(!told({ groups: { staff: ['CORP\\alice'] } }).some((line) => line.includes('nobody is in')));
});

const reads = (list: ListFile | string): ReadList =>
  // biome-ignore lint/correctness/useYield: there is nothing to wait for
  function* () {
    return list;
  };
const lines = (...texts: (string | null)[]): ListFile => ({
  file: 'valid.txt',
  lines: texts.map((text, i) => ({
    text: text ?? '',
    place: { file: 'valid.txt', line: i + 1, column: 9 },
    fault: text === null ? 'is no text' : null,
  })),
});

test('of accepted domains with valid recipients those alone are taken', async () => {
  const given = { valid_recipients: { file: 'valid.txt' } };
  const hears = (list: ListFile | string, local: string): Promise<string> =>
    answer(sound(given, { readList: reads(list) }), client, rcpt(`${local}@local.example`));
  const many = lines('Alice@local.example', ...Array.from({ length: 600 }, (_, i) => `u${i}@local.example`));
  assert.deepEqual(await Promise.all(['alice', 'u599', 'bob'].map((local) => hears(many, local))), [
    'proceed',
    'proceed',
    '550 unknown_recipient',
  ]);
  assert.equal(await hears(lines(), 'alice'), '550 unknown_recipient');
  assert.equal(await answer(sound({}), client, rcpt('bob@local.example')), 'proceed');
});

test('of the file of valid recipients what cannot be read is told with its line, and an empty one as well', () => {
  const say = (list: ListFile | string): string[] =>
    told({ valid_recipients: { file: 'valid.txt' } }, { readList: reads(list) });
  says(say('valid.txt is not there'), 'error valid_recipients.file: valid.txt is not there');
  says(
    say(lines('alice@local.example', 'bob', null)),
    "error valid_recipients.file:2:1: 'bob' is not an address",
    'error valid_recipients.file:3:1: is no text',
  );
  says(say(lines()), 'warning valid_recipients.file: valid.txt lists nothing, so no recipient is valid');
  assert.ok(!say(lines('alice@local.example')).some((line) => line.includes('lists nothing')));
});

test('a sender without a domain may be of each accepted domain, and of no other', async () => {
  const asked = (denied: string): Promise<string> => {
    const rules = [{ deny: { sender_domains: [denied] } }, { allow: {} }];
    const policy = sound({
      accepted_domains: ['local.example', '*.corp.example'],
      relay_domains: ['partner.example'],
      connectors: [connector({ rules, i_know_this_is_open: true })],
    });
    const senderAddress = { local: 'root', domain: null, literal: null };
    return answer(policy, client, rcpt('x@foreign.example', { sender: 'root', senderAddress }));
  };
  for (const ours of ['local.example', 'pc.corp.example', '*.example'])
    assert.equal(await asked(ours), '554 rule', ours);
  for (const other of ['partner.example', 'foreign.example']) assert.equal(await asked(other), 'proceed', other);
});
