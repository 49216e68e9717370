// Nothing of one session ends up in another: not an octet, a name, a right or a field of the log. POSTERN_CROWD_SEED plays one run
// again, POSTERN_CROWD says how many sessions there are.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makePair, serverPair } from '../helpers/certificates.ts';
import { numbers } from '../helpers/numbers.ts';
import { openFirewall, startPostern } from '../helpers/postern.ts';
import { BY_LOGIN, BY_NAME, isOf, MarkedCrowd, MarkedServer, markOf, NUMBERS, numberOf } from './crowd-of-markers.ts';

const SESSIONS = Number(process.env.POSTERN_CROWD ?? 40);
const AT_ONCE = 30;

const authorities = [makePair({ subject: '/CN=One CA' }), makePair({ subject: '/CN=Another CA' })] as const;
const certificate = makePair({ subject: '/CN=Partner', names: 'DNS:partner.example.com', by: authorities[0] });
const logins = Array.from({ length: NUMBERS / BY_LOGIN }, (_, i) => `u${markOf(i * BY_LOGIN)}`);

const names = async (address: string): Promise<readonly string[]> => {
  await delay(numberOf(address) % 7);
  return numberOf(address) % BY_NAME === 0 ? ['good.example.com'] : ['bad.example.com'];
};

/** `version`: each is another policy, and so many have another authority. */
function configOf(port: number, version: number, tls: boolean): Record<string, unknown> {
  const { certFile: cert, keyFile: key } = serverPair();
  const client_ca = authorities[version % 5 === 4 ? 1 : 0].certFile;
  const only = (domain: string) => ({ recipient_domains: [`${domain}.example`] });
  return {
    listeners: [
      { bind: ['127.0.0.1:0'], proxy_protocol: { from: ['127.0.0.1'] }, certificates: [{ cert, key }], client_ca },
    ],
    upstream: {
      servers: [`127.0.0.1:${port}`],
      identity: 'proxy-v1',
      ...(tls ? { tls: { mode: 'implicit', verify: false } } : {}),
      max_connections: 24,
    },
    policy: {
      version: 1,
      accepted_domains: ['local.example', `v${version % 2}.example`],
      connectors: [
        {
          name: 'internet',
          remote_ip_ranges: ['any'],
          starttls: 'terminate',
          rules: [
            { name: 'name', allow: { ptr: ['good.example.com'], ...only('name') } },
            { name: 'login', allow: { users: logins, ...only('login') } },
            { name: 'certificate', allow: { tls_subject: ['partner.example.com'], ...only('certificate') } },
          ],
        },
      ],
    },
    admin: null,
    lost_address_guard: 'warn',
  };
}

interface Running {
  readonly port: number;
  readonly logs: readonly string[];
  reload(config: Record<string, unknown>): Promise<void>;
  close(): Promise<void>;
}

async function play(
  t: TestContext,
  tls: boolean,
  sessions: number,
  start: (config: Record<string, unknown>) => Promise<Running>,
): Promise<void> {
  const seed = Number(process.env.POSTERN_CROWD_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`POSTERN_CROWD_SEED=${seed}`);
  const below = numbers(seed);
  const server = new MarkedServer(below, tls ? serverPair() : null);
  const port = await server.listen();
  t.after(() => server.close());
  const firewall = await start(configOf(port, 0, tls));
  let version = 0;
  let reloading: Promise<void> | null = null;
  const reload = async (): Promise<void> => {
    reloading ??= firewall.reload(configOf(port, ++version, tls)).finally(() => {
      reloading = null;
    });
    await reloading;
  };
  const crowd = new MarkedCrowd(firewall.port, below, server, certificate, reload);
  try {
    await crowd.play(sessions, AT_ONCE);
    await reloading;
  } finally {
    await firewall.close();
  }
  const lines = firewall.logs.map((line) => JSON.parse(line)).filter(({ client_address }) => client_address);
  const mixed = lines.filter((line) => !isOf(numberOf(line.client_address), JSON.stringify(line)));
  t.diagnostic(
    `${crowd.whole} of ${sessions} to their end, ${server.messages} messages, ${crowd.granted} rights, ${version} reloads`,
  );
  assert.deepEqual([...server.faults, ...crowd.faults, ...mixed].slice(0, 10), []);
  assert.ok(crowd.whole > sessions / 10 && server.messages > sessions / 10 && crowd.granted > 0 && lines.length > 0);
}

const withNames = (config: Record<string, unknown>): Promise<Running> => openFirewall(config, { resolve: names });

test('what a session says and hears, and what it may, is its own', (t) => play(t, false, SESSIONS, withNames));

test('the same with TLS towards the server', (t) => play(t, true, SESSIONS, withNames));

test('the same with two threads', (t) =>
  play(t, false, SESSIONS, (config) => {
    const started = startPostern({ ...config, workers: 2 });
    return started.then((postern) => ({
      ...{ port: postern.port, logs: postern.logs },
      reload: (other) => postern.reload({ ...other, workers: 2 }),
      close: () => postern.close(),
    }));
  }));
