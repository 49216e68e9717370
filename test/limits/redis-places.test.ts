// Where a Redis may stand: behind a password, behind TLS, behind Sentinels, in a cluster.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type RedisState, readState } from '../../src/config/state.ts';
import { RedisStore } from '../../src/limits/redis-store.ts';
import { freePort } from '../helpers/free-port.ts';
import { noRedis, startRedis } from '../real/redis-server.ts';
import { missing } from '../real/tools.ts';
import { asked, charge, HOUR } from './questions.ts';

const PATIENCE = 2_000; // ms that an answer may take: the machine may be busy

/** The store at this URL lets two of three pass; or the reason why it is away. */
async function asks(url: string, secrets = {}): Promise<string | number[]> {
  let why = '';
  const down = (said: string): void => {
    why = said;
  };
  const events = { up: () => {}, full: () => {}, down, banned: () => {} };
  const all = { password: null, ca: null, ...secrets };
  const store = new RedisStore(readState(url) as RedisState, all, events, undefined, undefined, PATIENCE);
  await store.opened(3_000);
  try {
    if (!store.isUp) return why;
    const question = asked([charge('a', 2, HOUR)]);
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push((await store.take(question, performance.now())).refused);
    return store.isUp ? answers : 'away again';
  } finally {
    await store.close();
  }
}

const TWO_OF_THREE = [-1, -1, 0];

test('a Redis with a password is asked with it, and one that was given another says so', {
  skip: noRedis,
}, async () => {
  const redis = await startRedis(['--requirepass', 'a long secret']);
  try {
    assert.deepEqual(await asks(`redis://127.0.0.1:${redis.port}/3`, { password: 'a long secret' }), TWO_OF_THREE);
    assert.match(String(await asks(`redis://127.0.0.1:${redis.port}`, { password: 'another' })), /WRONGPASS|NOAUTH/);
  } finally {
    await redis.stop();
  }
});

test('a Redis with TLS is asked over it, and only if its certificate is signed by who it should be', {
  skip: noRedis || missing(['openssl']),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-redis-tls-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const named = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', cert, '-keyout', key];
  execFileSync('openssl', [...request, ...named], { stdio: 'ignore' });
  const tlsPort = await freePort();
  const files = [
    '--tls-cert-file',
    cert,
    '--tls-key-file',
    key,
    '--tls-ca-cert-file',
    cert,
    '--tls-auth-clients',
    'no',
  ];
  const redis = await startRedis(['--tls-port', `${tlsPort}`, ...files]);
  try {
    assert.deepEqual(await asks(`rediss://127.0.0.1:${tlsPort}`, { ca: readFileSync(cert, 'utf8') }), TWO_OF_THREE);
    assert.match(String(await asks(`rediss://127.0.0.1:${tlsPort}`)), /self-signed certificate/);
  } finally {
    await redis.stop();
    rmSync(folder, { recursive: true });
  }
});

test('the master that a Sentinel names is asked', { skip: noRedis }, async () => {
  const redis = await startRedis();
  const folder = mkdtempSync(join(tmpdir(), 'postern-sentinel-'));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  writeFileSync(
    file,
    `port ${port}\nbind 127.0.0.1\ndir ${folder}\nsentinel monitor limits 127.0.0.1 ${redis.port} 1\n`,
  );
  const sentinel = await startRedis([file], 'redis-sentinel', port);
  try {
    assert.deepEqual(await asks(`redis+sentinel://127.0.0.1:${port}/limits/0`), TWO_OF_THREE);
    assert.match(String(await asks(`redis+sentinel://127.0.0.1:${port}/other/0`)), /./);
  } finally {
    await sentinel.stop();
    await redis.stop();
    rmSync(folder, { recursive: true });
  }
});

test('a cluster is asked', { skip: noRedis }, async () => {
  // Its bus would else be 10 000 above its port, among those of outgoing connections.
  const bus = ['--cluster-port', `${await freePort()}`];
  const redis = await startRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', ...bus]);
  try {
    await redis.ask('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    for (let waited = 0; waited < 100; waited++) {
      if ((await redis.ask('CLUSTER', 'INFO')).includes('cluster_state:ok')) break;
      await delay(100);
    }
    assert.deepEqual(await asks(`redis+cluster://127.0.0.1:${redis.port}`), TWO_OF_THREE);
  } finally {
    await redis.stop();
  }
});

for (const [url, read] of [
  ['redis://cache', { hosts: [{ host: 'cache', port: 6379 }], database: 0, tls: false, user: null }],
  [
    'rediss://postern@cache:6380/7',
    { hosts: [{ host: 'cache', port: 6380 }], database: 7, tls: true, user: 'postern' },
  ],
  ['redis://[2001:db8::1]:6379/0', { hosts: [{ host: '2001:db8::1', port: 6379 }] }],
  [
    'redis+sentinel://one,two:26380/limits/1',
    {
      kind: 'sentinel',
      hosts: [
        { host: 'one', port: 26379 },
        { host: 'two', port: 26380 },
      ],
      name: 'limits',
      database: 1,
    },
  ],
  ['rediss+cluster://one,two', { kind: 'cluster', tls: true }],
] as const) {
  test(`${url} is read`, () => {
    const found = readState(url) as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(read)) assert.deepEqual(found[key], value, key);
  });
}
