// postern diff: it finds every change that changes an answer, and nothing where nothing changes.
import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { diff } from '../../src/commands/diff.ts';
import { type Comparison, compare } from '../../src/moving-in/diff/compare.ts';
import { readCompared, type World } from '../../src/moving-in/diff/compared.ts';
import { formatSpan } from '../../src/moving-in/diff/report.ts';
import { type Any, folder, NOW, POLICIES, sound, written } from './diffing.ts';

const PRESETS = globSync('*.yaml', { cwd: POLICIES }).filter((name) => name !== 'postern.yaml');

type Tree = { [key: string]: Tree | unknown };

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
    const world: World = { now: NOW, names: [] };
    const one = readCompared(join(folder, preset), world);
    const unfound: string[] = [];
    let count = 0;
    for (const { what, mutant } of mutantsOf(policy)) {
      const other = readCompared(written(mutant), world);
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

test('who has not logged in is named, and is not "all but any other login"', async () => {
  const logins = {
    ...CLOSED,
    connectors: [{ ...CLOSED.connectors[0], rules: [{ name: 'in', allow: { authenticated: true } }] }],
  };
  const { rows } = await changed(logins, (policy) =>
    policy.connectors[0].rules.push({ name: 'printers', allow: { sources: ['10.0.0.0/8'] }, owner: 'it@example.com' }),
  );
  assert.deepEqual(
    rows.map(({ logins: meant }) => meant),
    [{ only: ['nobody (no login)', 'logins whose name nobody sees'] }],
  );
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
