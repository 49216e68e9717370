// postern diff: it finds every change that changes an answer, and nothing where nothing changes.
import assert from 'node:assert/strict';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { diff } from '../../src/commands/diff.ts';
import { type Comparison, compare } from '../../src/moving-in/diff/compare.ts';
import { type Compared, readCompared, type World } from '../../src/moving-in/diff/compared.ts';
import { formatSpan } from '../../src/moving-in/diff/report.ts';
import { parseIp } from '../../src/policy/ip.ts';
import { answerQuestion, type PolicyQuestion } from '../../src/policy/policy-question.ts';

const POLICIES = join(import.meta.dirname, '../../policies');
const PRESETS = globSync('*.yaml', { cwd: POLICIES }).filter((name) => name !== 'postern.yaml');
const NOW = Date.UTC(2026, 10, 1);

const folder = mkdtempSync(join(tmpdir(), 'postern-diff-'));
cpSync(POLICIES, folder, { recursive: true });
after(() => rmSync(folder, { recursive: true }));

// biome-ignore lint/suspicious/noExplicitAny: a policy as somebody wrote it, before its shape is checked
type Any = any;
type Tree = { [key: string]: Tree | unknown };

function written(policy: object, name = 'mutant'): string {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, JSON.stringify(policy));
  return file;
}

function sound(read: ReturnType<typeof readCompared>): read is Compared {
  return 'policy' in read;
}

async function compared(old: string, later: string): Promise<Comparison> {
  const world: World = { now: NOW, names: [] };
  const [one, other] = [readCompared(old, world), readCompared(later, world)];
  assert.ok(sound(one) && sound(other), JSON.stringify([one, other]));
  return compare(one, other, world);
}

/** The comparison of two policies that differ in `change`. */
async function changed(policy: object, change: (policy: Any) => void): Promise<Comparison> {
  const later = structuredClone(policy);
  change(later);
  return compared(written(policy, 'old'), written(later, 'new'));
}

const CLOSED = {
  version: 1,
  accepted_domains: ['*.example.com'],
  connectors: [{ name: 'internet', remote_ip_ranges: ['any'], rules: [] as object[] }],
};

async function run(...args: string[]): Promise<{ code: number; text: string; errors: string }> {
  let text = '';
  let errors = '';
  const out = { stdout: (more: string) => (text += more), stderr: (more: string) => (errors += more), isTTY: false };
  const code = await diff(args, out, () => NOW);
  return { code, text, errors };
}

for (const preset of PRESETS) {
  test(`${preset} and itself: no difference`, async () => {
    const file = join(POLICIES, preset);
    assert.deepEqual(await run(file, file), { code: 0, text: 'no difference\n', errors: '' });
  });
}

/** All policies that have one entry less, or one thing turned round; each with what was done. */
function* mutantsOf(policy: Tree): Generator<{ what: string; mutant: Tree }> {
  const at = (tree: Any, path: readonly (string | number)[]): Any => path.reduce((node, step) => node[step], tree);
  const walk = function* (path: (string | number)[]): Generator<{ what: string; mutant: Tree }> {
    const node = at(policy, path);
    const inRule = path.includes('rules');
    for (const [key, value] of Object.entries(node) as [string, Any][]) {
      const here = [...path, Array.isArray(node) ? Number(key) : key];
      const edit = (what: string, change: (parent: Any, last: string | number) => void) => {
        const mutant = structuredClone(policy);
        change(at(mutant, path), here.at(-1) as string | number);
        return { what: `${here.join('.')} ${what}`, mutant };
      };
      if (['limits', 'replies', 'starttls', 'name', 'owner', 'exchange_verbs', 'auth', 'version'].includes(key))
        continue;
      if (Array.isArray(node)) yield edit('taken out', (parent, last) => parent.splice(last, 1));
      if (key === 'allow' && inRule)
        yield edit('denies', (parent) => {
          parent.deny = parent.allow;
          delete parent.allow;
        });
      if (inRule && (key === 'allow' || key === 'deny'))
        yield edit('expires', (parent) => {
          parent.expires = '2026-12-31';
        });
      if (key === 'tls' || key === 'authenticated')
        yield edit('turned round', (parent, last) => (parent[last] = !value));
      if (key === 'submit' || key === 'own_domains' || key === 'others')
        yield edit('left out', (parent, last) => delete parent[last]);
      if (typeof value === 'object' && value !== null) yield* walk(here);
    }
  };
  yield* walk([]);
}

/** Mutants of the presets that answer everybody as before, each with its reason. */
const EQUAL: Readonly<Record<string, string>> = {
  'exchange-2007: connectors.7.submit left out': 'anyone is the default',
  'postfix: connectors.0.senders.login_must_match.alice.1 taken out': 'the null path passes always',
  'exchange-5.5: connectors.0.rules.1.allow.sources.3 taken out': 'the rule before it forbids that address',
};

for (const preset of PRESETS) {
  test(`each single entry of ${preset}, changed, is found`, async () => {
    const policy = parse(readFileSync(join(POLICIES, preset), 'utf8'));
    const old = join(folder, preset);
    const unfound: string[] = [];
    let count = 0;
    for (const { what, mutant } of mutantsOf(policy)) {
      const world: World = { now: NOW, names: [] };
      const [one, other] = [readCompared(old, world), readCompared(written(mutant), world)];
      if (!sound(one) || !sound(other)) continue; // no policy any more
      count++;
      const { rows, leftOut } = await compare(one, other, world);
      assert.deepEqual(leftOut, []);
      if (rows.length === 0) unfound.push(`${basename(preset, '.yaml')}: ${what}`);
    }
    const equal = Object.keys(EQUAL).filter((one) => one.startsWith(`${basename(preset, '.yaml')}: `));
    assert.deepEqual(unfound, equal);
    assert.ok(count >= 1, `${count} mutants`);
  });
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
      const answers = [await answerQuestion(one.policy, asked), await answerQuestion(other.policy, asked)].map(
        ({ answer }) => answer,
      );
      if (answers[0] === answers[1]) continue;
      differing++;
      const told = rows.some(({ sources }) =>
        sources.some(
          ({ lo, hi }) =>
            typeof lo === typeof parseIp(asked.source) &&
            lo <= (parseIp(asked.source) as Any) &&
            (parseIp(asked.source) as Any) <= hi,
        ),
      );
      assert.ok(told, `${JSON.stringify([first, second, asked, world.names])}: ${answers}`);
    }
    if (rows.length === 0) equal++;
  }
  assert.ok(
    pairs > rounds / 2 && differing > 6 * rounds && equal > rounds / 30,
    `${pairs} pairs, ${differing} answers differ, ${equal} pairs are equal`,
  );
});

test('a rule is told with whom it lets in, and an example that explain answers alike', async () => {
  const { rows } = await changed(CLOSED, ({ connectors }) => {
    connectors[0].rules.push({
      name: 'printers',
      allow: { sources: ['10.1.2.0/24'], recipient_domains: ['*.bank.example'] },
    });
  });
  assert.equal(rows.length, 1);
  const [row] = rows;
  assert.deepEqual(row?.sources.map(formatSpan), ['10.1.2.0/24']);
  assert.deepEqual(row?.recipients, { only: ['*.bank.example'] });
  assert.deepEqual(
    [row?.logins, row?.tls, row?.ptr, row?.helo, row?.senders, row?.local, row?.times],
    Array(7).fill(null),
  );
  assert.deepEqual([row?.change, row?.old.reason, row?.new.rule], ['gains', 'no_rule', 'printers']);
});

test('a rule that expires is a difference from that day on', async () => {
  const rule = { name: 'for a while', allow: { sources: ['10.1.2.3'] } };
  const { rows } = await changed(
    { ...CLOSED, connectors: [{ ...CLOSED.connectors[0], rules: [rule] }] },
    ({ connectors }) => {
      connectors[0].rules[0].expires = '2026-12-31';
    },
  );
  assert.deepEqual(
    rows.map(({ change, times }) => [change, times]),
    [['loses', [{ from: Date.UTC(2027, 0, 1), until: null }]]],
  );
});

test('observe is a difference of its own, and what would be refused is still compared', async () => {
  const { rows, modes } = await changed(CLOSED, ({ connectors }) => {
    connectors[0].mode = 'observe';
  });
  assert.deepEqual(rows, []);
  assert.match(modes.join(), /'internet' says mode: enforce, .* mode: observe, which refuses nothing/);
});

test('limits and replies are named, and are no difference', async () => {
  const { rows, modes, settings } = await changed(CLOSED, ({ connectors }) => {
    connectors[0].limits = { session: { errors: 5 } };
    connectors[0].replies = { relay: '550 5.7.1 no' };
  });
  assert.deepEqual([rows, modes, settings], [[], [], ["connector 'internet': replies, limits"]]);
});

test('one valid recipient more is found among fifty thousand', async () => {
  const list = (count: number): string => Array.from({ length: count }, (_, i) => `user${i}@example.com\n`).join('');
  writeFileSync(join(folder, 'few.txt'), list(50_000));
  writeFileSync(join(folder, 'more.txt'), list(50_001));
  const { rows } = await changed({ ...CLOSED, valid_recipients: { file: 'few.txt' } }, (policy) => {
    policy.valid_recipients = { file: 'more.txt' };
  });
  assert.deepEqual(
    rows.map(({ change, recipients }) => [change, recipients]),
    [['gains', { only: ['user50000@example.com'] }]],
  );
});

test('one range is found among twenty thousand', async () => {
  const sources = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.8/30`);
  const rule = { name: 'many', allow: { sources, recipient_domains: ['bank.example'] } };
  const { rows } = await changed(
    { ...CLOSED, connectors: [{ ...CLOSED.connectors[0], rules: [rule] }] },
    ({ connectors }) => {
      connectors[0].rules[0].allow.sources[12_345] = '10.48.57.8/31';
    },
  );
  assert.deepEqual(
    rows.map((row) => [row.change, row.sources.map(formatSpan)]),
    [['loses', ['10.48.57.10/31']]],
  );
});

test('who is named where a sender must match is compared with each sender', async () => {
  const owners = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`CORP\\user${i}`, [`user${i}@example.com`]]));
  const policy = {
    ...CLOSED,
    user_domains: { CORP: 'example.com' },
    connectors: [{ ...CLOSED.connectors[0], senders: { login_must_match: owners } }],
  };
  const { rows, leftOut } = await changed(policy, ({ connectors }) => {
    connectors[0].senders.login_must_match['CORP\\user7'].push('sales@example.com');
  });
  assert.deepEqual(leftOut, []);
  assert.ok(rows.length > 0 && rows.every(({ change }) => change !== 'loses'));
  assert.match(JSON.stringify(rows.map(({ senders }) => senders)), /^(\[|,|\{"only":\["sales@example.com"\]\}|\])*$/);
});

test('says what is wrong: one file, three, none there, a faulty policy', async () => {
  const file = join(folder, 'closed.yaml');
  assert.equal((await run(file)).code, 64);
  assert.equal((await run(file, file, file)).code, 64);
  assert.equal((await run(file, join(folder, 'nowhere.yaml'))).code, 78);
  const { code, text } = await run(file, join(folder, 'appliance.yaml'), '--json');
  assert.equal(code, 1);
  assert.equal(JSON.parse(text).different, true);
});

test('that everybody sends as themselves is a difference for each login and every other sender', async () => {
  const policy = { ...CLOSED, user_domains: { CORP: 'example.com' } };
  const { rows } = await changed(policy, ({ connectors }) => {
    connectors[0].senders = { own_address: 'required' };
  });
  assert.ok(rows.length > 0 && rows.every(({ change }) => change !== 'gains'));
});

test('what is too much to be asked in every way is said, and is no "no difference"', async () => {
  const names = Array.from({ length: 30 }, (_, i) => `host${i}.example.com`);
  const rules = [
    { name: 'named', allow: { ptr: names } },
    ...names.map((ptr, i) => ({ name: `n${i}`, deny: { ptr: [ptr] } })),
  ];
  const many = { ...CLOSED, connectors: [{ name: 'internet', remote_ip_ranges: ['any'], rules }] };
  const file = written(many, 'many-names');
  const { code, text } = await run(file, file);
  assert.match(
    text,
    /^not compared: \d+ kinds of names in DNS: clients with two of them at once were not asked about$/m,
  );
  assert.match(text, /^no difference in what was compared$/m);
  assert.equal(code, 1);
  const user_domains = Object.fromEntries(names.map((name, i) => [`W${i}`, name]));
  const realms = written({ ...CLOSED, user_domains }, 'many-realms');
  assert.match(
    (await run(realms, realms)).text,
    /^not compared: 60 Windows and mail domains of logins: names in those behind the first 16/m,
  );
});
