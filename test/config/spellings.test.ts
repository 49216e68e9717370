// Every key that there is, in every spelling that is not its own: the schema is walked, so that a key added later is asked the
// same. A list reads `file:` or refuses it; nothing, an empty text, a word of another language and the like are errors, or
// stand in a table here with what they mean.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatFinding } from '../../src/config/finding.ts';
import { type Loaded, loadAny } from '../../src/config/load.ts';
import { policySchema } from '../../src/config/policy-schema.ts';
import { configSchema, jsonSchema } from '../../src/config/schema.ts';
import { formatPath, type Path } from '../../src/policy/problem.ts';
import { makePair, serverPair } from '../helpers/certificates.ts';
import { writeSettled } from '../helpers/settled.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-spellings-'));
after(() => rmSync(folder, { recursive: true }));

const host = { ownAddresses: ['10.0.0.7'], gateways: [] };
const now = (): number => Date.UTC(2026, 10, 22, 12);
const authority = makePair({ subject: '/CN=Test CA' }).certFile;
const { certFile: cert, keyFile: key } = serverPair();

const conditions = {
  sources: ['192.0.2.0/28'],
  ptr: ['*.corp.example.com'],
  local: ['192.0.2.25:25'],
  authenticated: true,
  allow_unnamed: true,
  users: ['CORP\\alice'],
  groups: ['staff'],
  tls: true,
  tls_subject: ['mx.partner.example'],
  senders: ['boss@example.com'],
  sender_domains: ['*.example.org'],
  recipients: ['edi@supplier.example'],
  recipient_domains: ['*.supplier.example'],
  helo: ['mail.example.org'],
};

const limits = {
  session: {
    errors: 20,
    junk_commands: 100,
    recipients_per_message: 1000,
    messages: 10,
    auth_failures: 3,
    command_line: 2048,
  },
  source: {
    connections: 100,
    connections_percent: 100,
    connection_rate: '60/1m',
    message_rate: '120/1m',
    recipient_rate: '600/1m',
    byte_rate: '1GiB/1h',
    rejected_recipient_rate: '60/1m',
    auth_failure_rate: '10/10m',
    ipv4_prefix: 32,
    ipv6_prefix: 64,
  },
  login: { message_rate: '60/1h', recipient_rate: '500/1h', auth_failure_rate: '5/10m' },
  sender: { message_rate: '60/1h' },
  connector: { connections: 5000, message_rate: '1000/1m' },
  ban: { after: '5/10m', for: '10m', never_ban: ['192.0.2.25'] },
  tarpit: '5s',
};

/** Each key once, sound. */
const whole = {
  listeners: [
    {
      bind: ['192.0.2.25:25'],
      proxy_protocol: { from: ['10.0.0.5'] },
      certificates: [{ cert, key }],
      implicit_tls: false,
      tls_min_version: 'TLSv1.2',
      client_ca: authority,
    },
  ],
  upstream: {
    servers: ['10.0.0.10:25'],
    max_connections: 5000,
    max_wait: '2s',
    identity: 'none',
    tls: {
      mode: 'require',
      min_version: 'TLSv1.2',
      ca: authority,
      verify: true,
      pin: ['AB'.repeat(32)],
      name: 'mail.example.com',
    },
    dot_lines: 'pass',
    text_line: 1000,
  },
  upstreams: {},
  policy: {
    version: 1,
    accepted_domains: ['*.example.com'],
    relay_domains: ['partner.example'],
    blocked_domains: ['bad.example'],
    accepted_literals: ['192.0.2.25'],
    valid_recipients: { file: 'recipients.txt' },
    groups: { staff: ['CORP\\bob'] },
    user_domains: { CORP: 'corp.example.com' },
    connectors: [
      {
        name: 'lan',
        bindings: ['192.0.2.25:25'],
        remote_ip_ranges: ['192.0.2.0/24'],
        connect: { allow: ['any'], deny: ['192.0.2.66'] },
        submit: { users: ['CORP\\alice'], groups: ['staff'] },
        senders: {
          own_domains: 'allow',
          own_address: 'free',
          login_must_match: { 'CORP\\steven': ['s@example.com'] },
          others: 'allow',
        },
        upstream: 'default',
        rules: [
          { name: 'never', deny: { ...conditions, not: conditions }, owner: 'it@example.com', expires: '2027-11-30' },
          { name: 'some', allow: { ...conditions, tls_subject: ['CN=Gateway'], not: conditions } },
        ],
        auth: 'offer',
        require_tls: false,
        starttls: 'terminate',
        exchange_verbs: 'hide',
        chunking: 'offer',
        hide_keywords: ['DSN'],
        vrfy: 'forward',
        bare_lf: 'reject',
        early_talker: 'hold',
        unqualified_recipients: 'reject',
        max_message_size: '10MiB',
        limits,
        replies: {
          relay: '550 5.7.1 Unable to relay',
          submit: '530 5.7.1 Log in first',
          sender: '550 5.7.1 Not as this sender',
          recipient: '550 5.1.1 User unknown',
          connect: '554 Go away',
          connections: '421 4.7.0 Too many',
          rate: '450 4.7.1 Slow down',
        },
        mode: 'enforce',
        i_know_this_is_open: false,
      },
    ],
  },
  mode: 'enforce',
  limits,
  timeouts: {
    client_idle: '5m',
    command: '5m',
    data_idle: '3m',
    proxy_header: '3s',
    tls_handshake: '30s',
    no_mail: '30m',
    upstream_connect: '10s',
    upstream_greeting: '5m',
    upstream_reply: '5m',
    upstream_data: '2m',
    upstream_final: '10m',
    drain: '8s',
    min_data_rate: 0,
  },
  state: 'rediss://cache:6379/0',
  state_password_file: 'password.txt',
  state_ca: authority,
  workers: 1,
  admin: { listen: '127.0.0.1:9125', token_file: 'token.txt' },
  log: { level: 'info', pretty: false, messages: 'all', relayed_file: 'relayed.log' },
  lost_address_guard: 'refuse',
  watch: false,
};

const around = { ...whole, policy: 'closed.yaml' };

for (const [name, text] of Object.entries({
  'recipients.txt': 'user@example.com\n',
  'password.txt': 'secret\n',
  'token.txt': 'secret\n',
  'empty.txt': '# nobody\n',
  'closed.yaml':
    'version: 1\naccepted_domains: [example.com]\nconnectors: [{ name: lan, remote_ip_ranges: [10.0.0.0/24] }]\n',
}))
  writeSettled(join(folder, name), text);

function load(data: unknown): Loaded {
  const file = join(folder, 'postern.yaml');
  writeSettled(file, JSON.stringify(data));
  return loadAny(file, { host, now });
}

/** The whole configuration with `value` at `path`; of a path into the policy that alone, which is quicker. */
function loadWith(path: Path, value: Json | undefined): Loaded {
  const [first, ...rest] = path;
  return first === 'policy' && rest.length > 0
    ? load(withAt(whole.policy as unknown as Json, rest, value))
    : load(withAt(around as unknown as Json, path, value));
}

/** Whether the schema alone takes `value` there. */
function fits(path: Path, value: Json): boolean {
  const [first, ...rest] = path;
  return first === 'policy' && rest.length > 0
    ? policySchema.safeParse(withAt(whole.policy as unknown as Json, rest, value)).success
    : configSchema.safeParse(withAt(whole as unknown as Json, path, value)).success;
}

function errorsOf({ findings }: Loaded): string[] {
  return findings.filter(({ severity }) => severity === 'error').map(formatFinding);
}

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null;

/** The data with `value` at `path`, or without it where that is undefined. */
function withAt(data: Json, path: Path, value: Json | undefined): Json {
  const [step, ...rest] = path;
  if (step === undefined) return value as Json;
  if (Array.isArray(data)) return data.map((one, i) => (i === step ? withAt(one, rest, value) : one));
  const inner = withAt((data as { [key: string]: Json })[step] as Json, rest, value);
  const entries = Object.entries({ ...(data as object), [step]: inner }).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries) as Json;
}

interface Schema {
  readonly [word: string]: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

/** Each place of the schema that the whole configuration names, with what may stand there. */
function* placesOf(
  schema: Schema,
  data: Json,
  path: Path,
  root: Schema,
): Generator<{ path: Path; forms: Schema[]; data: Json }> {
  const forms = formsOf(schema, root);
  if (path.length > 0) yield { path, forms, data };
  if (Array.isArray(data)) {
    const items = forms.find(({ items }) => items !== undefined)?.items;
    for (const [i, one] of data.entries()) if (items !== undefined) yield* placesOf(items, one, [...path, i], root);
  } else if (typeof data === 'object' && data !== null) {
    for (const [name, one] of Object.entries(data)) {
      const found = forms.map(({ properties, additionalProperties }) => properties?.[name] ?? additionalProperties);
      const inner = found.find((form) => form !== undefined && form !== false);
      assert.ok(inner, `${formatPath([...path, name])} is not in the schema`);
      yield* placesOf(inner as Schema, one, [...path, name], root);
    }
    const named = forms.flatMap(({ properties }) => Object.keys(properties ?? {}));
    // Under `not` once is enough.
    const missing = named.filter((name) => !(name in data) && !(name === 'not' && path.includes('not')));
    const rule = path.at(-2) === 'rules' ? ['allow', 'deny', 'owner', 'expires'] : [];
    assert.deepEqual(
      missing.filter((name) => !rule.includes(name)),
      [],
      `${formatPath(path)} lacks keys of the schema: add them to the whole configuration above`,
    );
  }
}

function formsOf(schema: Schema, root: Schema): Schema[] {
  const { $ref } = schema;
  if (typeof $ref === 'string') return formsOf(root.$defs?.[$ref.split('/').at(-1) ?? ''] as Schema, root);
  const inner = [schema.anyOf, schema.oneOf, schema.allOf].flatMap((list) => (list as Schema[] | undefined) ?? []);
  return [schema, ...inner.flatMap((one) => formsOf(one, root))];
}

const root = jsonSchema('config') as Schema;
const places = [...placesOf(root, whole as unknown as Json, [], root)];
const lists = places.filter(({ data }) => Array.isArray(data) && data.every((one) => typeof one === 'string'));
const blocks = places.filter(({ data }) => Array.isArray(data) && !data.every((one) => typeof one === 'string'));

test('the whole configuration is sound', () => {
  assert.deepEqual(errorsOf(load(whole)), []);
  assert.ok(lists.length > 60 && blocks.length >= 4, `${lists.length} lists, ${blocks.length} of blocks`);
});

for (const { path, data } of lists) {
  const at = formatPath(path);
  test(`${at} takes the entries of a file, and refuses what is none`, () => {
    const entries = data as string[];
    const key = at.replace(/^policy\./, ''); // it is loaded by itself
    mkdirSync(join(folder, 'lists'), { recursive: true });
    writeSettled(join(folder, 'lists', 'entries.txt'), `# why\r\n\r\n  ${entries.join(' # who\r\n')}\t\r\n`);
    const expected = loadWith(path, data);
    const read = loadWith(path, ['file:lists/entries.txt']);
    assert.deepEqual(errorsOf(read), []);
    assert.deepEqual([read.config, read.document], [expected.config, expected.document]);
    assert.ok(read.files.includes(join(folder, 'lists', 'entries.txt')), 'it is watched');
    assert.ok(read.world.texts.has(join(folder, 'lists', 'entries.txt')), 'workers get it');
    const again = loadAny(join(folder, 'postern.yaml'), { ...read.world, now });
    assert.deepEqual(again.document, expected.document);

    writeSettled(join(folder, 'lists', 'entries.txt'), `${entries[0]}\n\tfile:other.txt\nb\0d\n`);
    const faulty = errorsOf(loadWith(path, ['file:lists/entries.txt']));
    const file = join(folder, 'lists', 'entries.txt');
    assert.deepEqual(
      faulty.map((line) => line.slice(0, line.indexOf(' error'))),
      [`${file}:2:2:`, `${file}:3:1:`],
    );
    assert.ok(
      faulty.every((line) => line.includes(`: ${key}[0]: `)),
      faulty.join('\n'),
    );

    for (const wrong of [
      'file:lists/entries.txt',
      { file: 'lists/entries.txt' },
      [{ file: 'lists/entries.txt' }],
      ['file:'],
      ['file:none.txt'],
      ['file:lists'],
      [['file:lists/entries.txt']],
    ] as Json[]) {
      const findings = errorsOf(loadWith(path, wrong));
      assert.notEqual(findings.length, 0, `${JSON.stringify(wrong)} was taken`);
      assert.ok(
        findings.some((line) => line.includes(`: ${key}`)),
        findings.join('\n'),
      );
    }
  });
}

for (const { path } of blocks) {
  test(`${formatPath(path)}, a list of blocks, takes no file`, () => {
    writeSettled(join(folder, 'blocks.txt'), 'name: x\n');
    for (const name of ['blocks.txt', 'empty.txt']) {
      const findings = errorsOf(loadWith(path, [`file:${name}`]));
      assert.match(findings.join('\n'), /are blocks of keys, which no list file holds/);
    }
  });
}

/** What is no value of any key. */
const NOWHERE: readonly Json[] = [null, '', ' ', 'file:empty.txt', -1, '-5s', 1.5, 'maybe'];
/** What is a value of some keys only. */
const SOMEWHERE: readonly Json[] = [{}, [], true, 'yes', 0, '*', [null]];

const DOMAIN = /(_domains|ptr|helo|tls_subject)\[0\]$|user_domains\.CORP$/;
const RANGE = /(ranges|sources|local|allow|deny|never_ban)\[0\]$/;
const LOGIN = /(users|staff)\[0\]$/;
const WORDS: readonly Json[] = ['maybe', 'yes', 'no', 'off', 'true', '0', '1', '*', 'any', '-5s', '5 s'];

/** Spellings that are taken, by key, and why. */
const TAKEN: readonly (readonly [keys: RegExp, values: readonly Json[], why: string])[] = [
  [
    /\[0\]$/,
    ['file:empty.txt', 'File: empty.txt'],
    'an entry of a list: the file is read, and check says that it is empty',
  ],
  [/(name|owner|tls\.name)$/, WORDS, 'free text, and names of hosts'],
  [/connectors\[0\]\.upstream$/, WORDS, 'a policy by itself knows no names of servers'],
  [DOMAIN, ['maybe'], 'a domain of one label'],
  [LOGIN, ['maybe', '0', '1', '-5s', '5 s'], 'logins may be called so'],
  [RANGE, ['any'], 'every address'],
  [
    /(listeners\[0\]|tls|connect|senders|allow|deny|limits|session|source|login|sender|connector|ban|timeouts|admin|log|replies)$/,
    [{}],
    'every key has its default',
  ],
  [/hide_keywords\[0\]$/, WORDS.filter((word) => word !== 'any'), 'hides what never passes, with a warning'],
  [/(login_must_match|user_domains|groups)$/, [{}], 'nobody is named'],
  [/allow\.not$/, [{}], 'never holds, with a warning'],
  [/^admin$/, [null], 'no admin port'],
  [/relayed_file$/, [null], 'no such file, as by default'],
  [
    /(certificates|rules|bindings|hide_keywords|never_ban|relay_domains|blocked_domains|accepted_literals|connect\.deny)$/,
    [[]],
    'none, as by default',
  ],
  [
    /(errors|junk_commands|recipients_per_message|messages|auth_failures|connections|min_data_rate)$/,
    [0],
    'counts; check warns where nothing would pass',
  ],
];

/** Empty lists that hold nobody, each with a word from check. */
const WARNED =
  /(remote_ip_ranges|accepted_domains|connect\.allow|users|groups|CORP\\steven|staff|sources|ptr|local|tls_subject|senders|sender_domains|recipients|recipient_domains|helo)$/;

function isTaken(at: string, value: Json): boolean {
  const same = (one: Json): boolean => JSON.stringify(one) === JSON.stringify(value);
  return TAKEN.some(([keys, values]) => keys.test(at) && values.some(same));
}

test('no key takes nothing, an empty text, or a word that it does not know', () => {
  const taken: string[] = [];
  for (const { path, data } of places) {
    if (path.includes('not') && path.includes('allow')) continue; // the same schema, in the other rule
    for (const value of [...NOWHERE, ...SOMEWHERE]) {
      if (JSON.stringify(value) === JSON.stringify(data) || (typeof value === 'boolean' && typeof data === 'boolean'))
        continue;
      if (!fits(path, value)) continue; // most of them, and reading a whole file takes longer
      const changed = loadWith(path, value);
      if (errorsOf(changed).length > 0) continue;
      const at = formatPath(path);
      if (Array.isArray(value) && value.length === 0 && WARNED.test(at))
        assert.ok(
          changed.findings.some(({ key }) => at.endsWith(key)),
          `${at}: [] without a word`,
        );
      else if (!isTaken(at, value)) taken.push(`${at}: ${JSON.stringify(value)}`);
    }
  }
  assert.equal(taken.join('\n'), '');
});
