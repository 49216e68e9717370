import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatFinding } from '../../src/config/finding.ts';
import { configFile, type FlagValues } from '../../src/config/flags.ts';
import { ipv4Gateways, ipv6Gateways } from '../../src/config/host.ts';
import { type Loaded, loadAny, loadConfig, loadConfigWith, loadFlags } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { readOctets } from '../../src/config/source.ts';
import { nearest } from '../../src/config/suggest.ts';
import { atOnce } from '../../src/policy/steps.ts';
import { writeSettled } from '../helpers/settled.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-load-'));
after(() => rmSync(folder, { recursive: true }));

const host = { ownAddresses: ['10.0.0.7'], gateways: ['172.17.0.1'] };

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeSettled(file, text);
  return file;
}

function configOf(loaded: Loaded): Config {
  assert.deepEqual(problemsOf(loaded), []);
  assert.ok(loaded.config !== null && loaded.policy !== null);
  return loaded.config;
}

function problemsOf({ findings }: Loaded): string[] {
  return findings
    .filter(({ severity }) => severity === 'error')
    .map((finding) => formatFinding(finding).replaceAll(`${folder}/`, ''));
}

const inline = `
upstream: { servers: ['10.0.0.10:25', 'mail.example.com:2525', '[2001:db8::1]:25'] }
policy:
  version: 1
  accepted_domains: [example.com]
  connectors: [{ name: internet, remote_ip_ranges: [any] }]
`;

test('a short configuration has every default of the contract', () => {
  const config = configOf(loadConfig(write('short.yaml', inline), { host }));
  assert.deepEqual(config.upstream.servers, [
    { address: '10.0.0.10', port: 25 },
    { address: 'mail.example.com', port: 2525 },
    { address: '2001:db8::1', port: 25 },
  ]);
  assert.deepEqual(config.listeners[0]?.bind, [
    { address: '0.0.0.0', port: 25 },
    { address: '::', port: 25 },
  ]);
  assert.deepEqual(config.timeouts, {
    client_idle: 300_000,
    command: 300_000,
    data_idle: 180_000,
    proxy_header: 3_000,
    tls_handshake: 30_000,
    no_mail: 1_800_000,
    upstream_connect: 10_000,
    upstream_greeting: 300_000,
    upstream_reply: 300_000,
    upstream_data: 120_000,
    upstream_final: 600_000,
    drain: 8_000,
    min_data_rate: 10,
  });
  assert.deepEqual(config.limits.session, {
    errors: 20,
    junk_commands: 100,
    recipients_per_message: 1000,
    messages: Number.POSITIVE_INFINITY,
    auth_failures: 3,
    command_line: 2048,
  });
  assert.equal(config.limits.source.connections, 100);
  assert.equal(config.limits.source.message_rate, null);
  assert.equal(config.limits.connector.connections, 5000);
  assert.deepEqual(config.admin, { listen: { address: '127.0.0.1', port: 9125 } });
  assert.deepEqual(
    [config.mode, config.lost_address_guard, config.state, config.workers, config.watch, config.log.level],
    ['enforce', 'refuse', 'memory', 1, false, 'info'],
  );
});

test('JSON is read as the YAML that it is', () => {
  const file = write('short.json', '{"upstream":{"servers":["10.0.0.10:25"]},"policy":"inner.yaml","admin":null}');
  write(
    'inner.yaml',
    'version: 1\naccepted_domains: [example.com]\nconnectors: [{ name: a, remote_ip_ranges: [any] }]\n',
  );
  const loaded = loadConfig(file, { host });
  assert.equal(configOf(loaded).admin, null);
  assert.deepEqual(loaded.files, [file, join(folder, 'inner.yaml')]);
});

test('durations, sizes and counts come out as milliseconds, octets and numbers', () => {
  const config = configOf(
    loadConfig(
      write(
        'kinds.yaml',
        `${inline}timeouts: { client_idle: 300ms, command: 5s, data_idle: 10m, upstream_final: 1h }
limits: { session: { errors: unlimited, messages: 7 }, source: { connections: 0 } }`,
      ),
      { host },
    ),
  );
  const { client_idle, command, data_idle, upstream_final } = config.timeouts;
  assert.deepEqual([client_idle, command, data_idle, upstream_final], [300, 5_000, 600_000, 3_600_000]);
  const { errors, messages, junk_commands } = config.limits.session;
  assert.deepEqual([errors, messages, junk_commands], [Number.POSITIVE_INFINITY, 7, 100]);
  assert.equal(config.limits.source.connections, 0);
});

test('a connector replaces the limits that it names and keeps the others', () => {
  const { policy } = loadConfig(
    write(
      'limits.yaml',
      `limits: { session: { errors: 5, messages: 9 } }
upstream: { servers: ['10.0.0.10:25'] }
policy:
  version: 1
  accepted_domains: [example.com]
  connectors:
    - { name: a, remote_ip_ranges: [any], limits: { session: { errors: 50 } } }
    - { name: b, remote_ip_ranges: [10.0.0.0/8] }
`,
    ),
    { host },
  );
  const [a, b] = policy?.connectors ?? [];
  assert.deepEqual(
    [a?.profile.limits.errors, a?.profile.limits.messages, a?.profile.limits.junkCommands],
    [50, 9, 100],
  );
  assert.deepEqual([b?.profile.limits.errors, b?.profile.limits.messages], [5, 9]);
});

test('a file is told to be a configuration or a policy by its keys', () => {
  const policyFile = write(
    'policy-alone.yaml',
    'version: 1\naccepted_domains: [example.com]\nconnectors: [{ name: a, remote_ip_ranges: [any] }]\n',
  );
  const loaded = loadAny(policyFile, { host });
  assert.equal(loaded.config, null);
  assert.equal(loaded.policy?.connectors[0]?.name, 'a');
  assert.notEqual(loadAny(write('config-alone.yaml', inline), { host }).config, null);
});

test('a file in UTF-16 or another character set is refused with what to do', () => {
  const utf16 = join(folder, 'utf16.yaml');
  writeFileSync(utf16, Buffer.from('\ufeffversion: 1', 'utf16le'));
  const latin = join(folder, 'latin1.yaml');
  writeFileSync(latin, Buffer.from('version: 1 # für', 'latin1'));
  assert.match(problemsOf(loadAny(utf16))[0] ?? '', /UTF-16: save it as UTF-8/);
  assert.match(problemsOf(loadAny(latin))[0] ?? '', /not UTF-8/);
  assert.match(problemsOf(loadAny(folder))[0] ?? '', /it is a folder/);
});

test('a file that was emptied a moment ago is waited for: half a list of what is denied lets more through', (t) => {
  const file = join(folder, 'denied.txt');
  writeFileSync(file, 'a.example\nb.example\n');
  const rewrite = (text: string): void => {
    writeFileSync(file, text);
    t.mock.timers.reset();
    t.mock.timers.enable({ apis: ['Date'], now: Math.ceil(statSync(file).mtimeMs) });
  };
  rewrite('');
  const reading = readOctets(file);
  const looked = (): boolean => reading.next().done === true;
  assert.equal(looked(), false, 'it is empty');
  rewrite('a.example\n');
  t.mock.timers.tick(5);
  assert.equal(looked(), false, 'it is half there');
  rewrite('a.example\nb.example\nc.example\n');
  t.mock.timers.tick(5);
  assert.equal(looked(), false, 'it has held still for five milliseconds');
  t.mock.timers.tick(50);
  const read = atOnce(reading);
  assert.equal('octets' in read && Buffer.from(read.octets).toString(), 'a.example\nb.example\nc.example\n');
});

test('a device or a pipe is no file, and nothing waits for its end', { skip: process.platform === 'win32' }, () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const file of [pipe, '/dev/zero', '/dev/null'])
    assert.deepEqual(atOnce(readOctets(file)), {
      problem: `cannot read ${file}: it is a device or a pipe, and a file is wanted`,
    });
});

test('a file that never holds still is refused', (t) => {
  const file = join(folder, 'restless.txt');
  writeFileSync(file, 'a.example\n');
  t.mock.timers.enable({ apis: ['Date'], now: Math.ceil(statSync(file).mtimeMs) });
  assert.deepEqual(atOnce(readOctets(file)), {
    problem: `cannot read ${file}: it is being written, try again when it is whole`,
  });
});

test('an alias bomb is refused and not unfolded', () => {
  const levels = Array.from({ length: 20 }, (_, i) => `l${i + 1}: &l${i + 1} [*l${i}, *l${i}, *l${i}, *l${i}]`);
  const said = problemsOf(loadAny(write('bomb.yaml', `l0: &l0 [a, a, a, a]\n${levels.join('\n')}\n`)));
  assert.match(said[0] ?? '', /cannot be unfolded/);
});

function flags(values: FlagValues, env: NodeJS.ProcessEnv = {}): Loaded {
  return loadFlags(values, env, { host });
}

test('flags alone make a configuration and a closed policy with one rule for those who may relay', async () => {
  const loaded = flags({
    listen: ['127.0.0.1:2525'],
    upstream: ['10.0.0.10:25'],
    acceptedDomain: ['example.com', '*.example.org'],
    relayFrom: ['10.1.0.0/16', '192.168.1.100-192.168.1.101'],
    mode: 'observe',
    admin: 'none',
    drainTimeout: '2s',
  });
  const config = configOf(loaded);
  assert.deepEqual(config.listeners[0]?.bind, [{ address: '127.0.0.1', port: 2525 }]);
  assert.deepEqual([config.mode, config.admin, config.timeouts.drain], ['observe', null, 2_000]);
  const client = (clientAddress: string) =>
    loaded.policy?.connectorFor({ clientAddress, localAddress: '192.0.2.1', localPort: 25 });
  assert.equal(client('203.0.113.1')?.name, 'default');
  assert.equal(client('10.1.0.1')?.rules[0]?.name, 'relay-from');
  assert.equal(client('127.0.0.1')?.name, 'default', 'a lost address still reaches the accepted domains');
});

test('every flag has a twin in the environment, and beats it', () => {
  const env = {
    POSTERN_UPSTREAM: '10.0.0.10:25, 10.0.0.11:25',
    POSTERN_ACCEPTED_DOMAIN: 'example.com',
    POSTERN_RELAY_FROM: '10.1.0.0/16,10.2.0.0/16',
    POSTERN_LISTEN: '127.0.0.1:1,127.0.0.1:2',
    POSTERN_MODE: 'enforce',
    POSTERN_ADMIN: '127.0.0.1:9999',
    POSTERN_DRAIN_TIMEOUT: '3s',
    POSTERN_LOG_LEVEL: 'warn',
    POSTERN_LOST_ADDRESS_GUARD: 'warn',
    POSTERN_PORT: 'tcp://10.0.0.1:25',
    UNRELATED: 'x',
  };
  const config = configOf(flags({}, env));
  assert.equal(config.upstream.servers.length, 2);
  assert.equal(config.listeners[0]?.bind.length, 2);
  assert.deepEqual([config.timeouts.drain, config.log.level, config.lost_address_guard], [3_000, 'warn', 'warn']);
  assert.deepEqual(config.admin?.listen, { address: '127.0.0.1', port: 9999 });
  assert.equal(configOf(flags({ upstream: ['10.0.0.12:25'] }, env)).upstream.servers.length, 1);
  assert.equal(configFile({}, { POSTERN_CONFIG: 'a.yaml' }), 'a.yaml');
  assert.equal(configFile({ config: 'b.yaml' }, { POSTERN_CONFIG: 'a.yaml' }), 'b.yaml');
  assert.equal(configFile({}, {}), null);
});

test('a fault of a flag or variable is said in its name', () => {
  const base: FlagValues = { upstream: ['10.0.0.10:25'], acceptedDomain: ['example.com'] };
  const said = (values: FlagValues, env: NodeJS.ProcessEnv = {}): string =>
    problemsOf(flags({ ...base, ...values }, env))[0] ?? '';
  assert.match(
    said({ listen: ['0.0.0.0'] }),
    /^--listen: error: listeners\[0\]\.bind\[0\]: '0\.0\.0\.0' is not HOST:PORT/,
  );
  assert.match(said({ upstream: ['mail'] }), /^--upstream: error: /);
  assert.match(said({ acceptedDomain: ['*'] }), /^--accepted-domain: error: .*open relay/);
  assert.match(said({ relayFrom: ['10.0.0.0/8'] }), /^--relay-from: error: .*10\.0\.0\.7 \(an address of this host\)/);
  assert.match(said({ relayFrom: ['any'] }), /^--relay-from: error: .*an open relay/);
  assert.match(
    said({ mode: 'observer' }),
    /^--mode: error: mode: 'observer' is not known here: did you mean observe\?/,
  );
  assert.match(
    said({ drainTimeout: '5' }),
    /^--drain-timeout: error: timeouts\.drain: '5' is not a duration: it needs a unit, as 5s/,
  );
  assert.match(said({}, { POSTERN_MODE: 'on' }), /^POSTERN_MODE: error: mode:/);
  assert.match(
    said({}, { POSTERN_ACCEPTED_DOMAINS: 'x.example' }),
    /^POSTERN_ACCEPTED_DOMAINS: error: unknown variable: did you mean POSTERN_ACCEPTED_DOMAIN\?/,
  );
});

test('what flags leave out is asked for by name', () => {
  assert.deepEqual(
    problemsOf(flags({})).map((line) => line.replace(/: --.*/, '')),
    [
      'command line: error: upstream: the mail server behind is wanted',
      'command line: error: policy: no mail would pass',
    ],
  );
});

test('what is wrong with the flags that are there is said beside what they leave out', () => {
  assert.deepEqual(
    problemsOf(flags({ upstream: ['foo'], listen: ['x'] })).map((line) => line.replace(/: (--|192).*/, '')),
    [
      'command line: error: policy: no mail would pass',
      "--listen: error: listeners[0].bind[0]: 'x' is not HOST:PORT",
      "--upstream: error: upstream.servers[0]: 'foo' is not HOST:PORT",
    ],
  );
});

test('flags take the place of what a file says, but never of its policy', () => {
  const file = write('with-flags.yaml', `${inline}mode: enforce\nlisteners: [{ bind: ['127.0.0.1:25'] }]\n`);
  const loaded = loadConfigWith(
    file,
    { mode: 'observe', listen: ['127.0.0.1:0'] },
    { POSTERN_UPSTREAM: '10.9.9.9:25' },
    { host },
  );
  const config = configOf(loaded);
  assert.equal(config.mode, 'observe');
  assert.deepEqual(config.listeners[0]?.bind, [{ address: '127.0.0.1', port: 0 }]);
  assert.deepEqual(config.upstream.servers, [{ address: '10.9.9.9', port: 25 }]);
  const refused = loadConfigWith(file, { relayFrom: ['10.1.0.0/16'] }, {}, { host });
  assert.deepEqual(problemsOf(refused), [
    '--relay-from: error: policy: the policy of with-flags.yaml decides: say it there',
  ]);
  assert.equal(refused.config, null);
});

test('a flag takes the place of one key, and what stands beside that in the file stays', () => {
  const token = write('token', 'secret-of-the-admin-port\n');
  const others = `proxy_protocol: { from: [10.0.0.5] }, tls_min_version: TLSv1.3`;
  const file = write(
    'beside-flags.yaml',
    `${inline}listeners: [{ bind: ['127.0.0.1:25'], ${others} }]\nadmin: { listen: '127.0.0.1:9125', token_file: ${token} }\n`,
  );
  const env = { POSTERN_LISTEN: '127.0.0.1:2525', POSTERN_ADMIN: '127.0.0.1:9999' };
  const { listeners, admin } = configOf(loadConfigWith(file, {}, env, { host }));
  assert.deepEqual(listeners[0]?.bind, [{ address: '127.0.0.1', port: 2525 }]);
  assert.deepEqual(listeners[0]?.proxy_protocol, { from: ['10.0.0.5'] });
  assert.equal(listeners[0]?.tls_min_version, 'TLSv1.3');
  assert.deepEqual(admin?.listen, { address: '127.0.0.1', port: 9999 });
  assert.ok(admin?.token_file !== undefined);
  const two = write(
    'two-listeners.yaml',
    `${inline}listeners: [{ bind: ['127.0.0.1:25'] }, { bind: ['127.0.0.1:26'] }]\n`,
  );
  assert.deepEqual(problemsOf(loadConfigWith(two, {}, env, { host })), [
    'POSTERN_LISTEN: error: listeners: two-listeners.yaml has several listeners, each of its own kind: say it there',
  ]);
});

test('a flag does not take the place of what is wrong in the file beside it', () => {
  for (const [name, text, fault] of [
    [
      'block',
      'listeners: { bind: [x], proxy_protocol: { from: [10.0.0.5] } }',
      'listeners: a block of keys stands where a list is wanted',
    ],
    ['word', 'listeners: [here]', `listeners[0]: 'here' stands where a block of keys is wanted`],
    ['admin', 'admin: [{ token_file: token }]', 'admin: a list stands where a block of keys is wanted'],
    ['log', 'log: quiet', `log: 'quiet' stands where a block of keys is wanted`],
  ] as const) {
    const file = write(`wrong-${name}.yaml`, `${inline}${text}\n`);
    const env = { POSTERN_LISTEN: '127.0.0.1:2525', POSTERN_ADMIN: '127.0.0.1:9999', POSTERN_LOG_LEVEL: 'info' };
    const [problem = ''] = problemsOf(loadConfigWith(file, {}, env, { host }));
    assert.ok(problem.includes(fault), problem);
  }
});

test('default gateways are read from the routing tables of Linux', () => {
  const ipv4 = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    'eth1\t0000000A\t0101A8C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0',
    '',
  ].join('\n');
  assert.deepEqual(ipv4Gateways(ipv4), ['172.17.0.1']);
  const zero = '0'.repeat(32);
  const ipv6 = [
    `${zero} 00 ${zero} 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0`,
    `fd000000000000000000000000000000 40 ${zero} 00 ${zero} 00000100 00000001 00000000 00000001     eth0`,
    `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo`,
  ].join('\n');
  assert.deepEqual(ipv6Gateways(ipv6), ['fd00:0000:0000:0000:0000:0000:0000:0001']);
  assert.deepEqual([...ipv4Gateways(''), ...ipv6Gateways('')], []);
});

test('suggests the word that was meant and none that was not', () => {
  const words = ['accepted_domains', 'relay_domains', 'connectors', 'mode'];
  for (const [written, meant] of [
    ['acepted_domains', 'accepted_domains'],
    ['accepted-domains', 'accepted_domains'],
    ['acceptedDomains', 'accepted_domains'],
    ['conectros', 'connectors'],
    ['mdoe', 'mode'],
    ['frobnicate', null],
    ['x', null],
  ] as const)
    assert.equal(nearest(written, words), meant, written);
});
