// Random settings: a policy, and which of the features stand around it; and the configuration that says so to the product.
//
// Tests run on loopback, which the product does not trust with a relay right: hence `lost_address_guard: warn`, as in the
// corpus. Every connector says that it knows when it is open, so that no policy is turned away by the lint.

import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { serverPair } from '../helpers/certificates.ts';
import { DIALECTS } from '../helpers/dialects.ts';
import { REFUSING_PORT } from '../helpers/upstream-stand-in.ts';
import {
  type Below,
  type Conditions,
  type Connector,
  oneOf,
  type Policy,
  type Rule,
  type Senders,
  type Setting,
  someOf,
} from './case.ts';

export const CLIENTS = [
  '10.1.2.3',
  '10.1.9.9',
  '10.200.0.1',
  '203.0.113.7',
  '198.51.100.1',
  '2001:db8::7',
  '::ffff:10.1.2.3',
];
export const LOCALS = ['192.0.2.10', '192.0.2.11'];
export const USERS = ['alice', 'dave', 'carol', 'CORP\\erin', 'frank@own.example'];
/** What clients are called in DNS; null: it does not answer. Only a firewall in this process asks here. */
const NAMES: Readonly<Record<string, readonly string[] | null>> = {
  '10.1.2.3': ['laptop.corp.example'],
  '10.1.9.9': null,
  '10.200.0.1': [],
  '203.0.113.7': ['MX.friend.example', 'other.example'],
  '198.51.100.1': null,
  '2001:db8::7': ['corp.example'],
};

export const namesOf = (client: string): readonly string[] | null => (client in NAMES ? (NAMES[client] ?? null) : []);

/** The recipients that exist, where that is known. */
export const VALID = [
  'u@local.example',
  'second.one@local.example',
  'UPPER@local.example',
  'u@one.test',
  'u@wide.example',
  'u@[192.0.2.25]',
];

const RANGES = ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', '203.0.113.0/24', '2001:db8::/32', '10.1.9.0-10.1.9.255'];

const PTR = ['*.corp.example', 'mx.friend.example'];

const CONDITIONS: readonly ((below: Below) => Conditions)[] = [
  (below) => ({ sources: someOf(below, RANGES, 40) }),
  () => ({ authenticated: true }),
  (below) => ({ users: someOf(below, USERS, 50) }),
  () => ({ groups: ['staff'] }),
  (below) => ({ tls: below(2) === 0 }),
  (below) => ({ recipient_domains: someOf(below, ['foreign.example', '*.far.example', 'partner.example'], 60) }),
  () => ({ recipients: ['u@foreign.example', 'second@far.example'] }),
  (below) => ({ sender_domains: someOf(below, ['sender.example', '*.own.example'], 60) }),
  () => ({ senders: ['s@sender.example', '<>'] }),
  (below) => ({ helo: someOf(below, ['client.example', '*.trusted.example', 'pc'], 50) }),
  (below) => ({ local: someOf(below, ['192.0.2.10', '192.0.2.11:25', '192.0.2.10:587'], 50) }),
];

/** Those that only a firewall in this process can be asked about. */
const HERE: readonly ((below: Below) => Conditions)[] = [
  ...CONDITIONS,
  (below) => ({ ptr: someOf(below, PTR, 60) }),
  (below) => ({ ptr: someOf(below, PTR, 60) }),
];

function conditions(below: Below, here: boolean): Conditions {
  const known = here ? HERE : CONDITIONS;
  const some = Array.from({ length: 1 + below(2) }, () => oneOf(below, known)(below));
  const all = Object.assign({}, ...some) as Conditions;
  return below(5) === 0 ? { ...all, not: oneOf(below, known)(below) } : all;
}

function rules(below: Below, here: boolean): Rule[] {
  return Array.from({ length: below(4) }, (_, at) => {
    const what = below(12) === 0 ? {} : conditions(below, here);
    const until =
      below(10) === 0 && Object.keys(what).length > 0 ? { expires: oneOf(below, ['2020-01-31', '2999-12-31']) } : {};
    return { name: `r${at}`, ...(below(3) === 0 ? { deny: what } : { allow: what }), ...until };
  });
}

function senders(below: Below): Senders {
  return {
    own_domains: oneOf(below, ['allow', 'authenticated', 'deny'] as const),
    ...(below(2) === 0
      ? { login_must_match: { alice: ['s@sender.example', 'alice@own.example'], 'CORP\\erin': [] } }
      : {}),
    own_address: oneOf(below, ['required', 'free'] as const),
    others: oneOf(below, ['allow', 'deny'] as const),
  };
}

/** What a reload may change below a session. */
function rights(below: Below, here: boolean): Partial<Connector> {
  const submit = oneOf(below, ['authenticated', { users: ['alice', 'CORP\\erin'] }, { groups: ['staff'] }] as const);
  return {
    rules: rules(below, here),
    ...(below(5) === 0 ? { submit } : {}),
    ...(below(4) === 0 ? { senders: senders(below) } : {}),
    ...(below(8) === 0 ? { mode: 'observe' as const } : {}),
  };
}

function connector(
  below: Below,
  name: string,
  range: string,
  { tls, proxied, here }: { readonly tls: boolean; readonly proxied: boolean; readonly here: boolean },
): Connector {
  const ptr = here ? [oneOf(below, PTR)] : [];
  return {
    name,
    remote_ip_ranges: [range],
    ...(proxied && below(6) === 0 ? { bindings: [`${oneOf(below, LOCALS)}:25`] } : {}),
    ...(below(8) === 0
      ? {
          connect: {
            allow: [oneOf(below, RANGES), ...ptr, 'any'].slice(below(3)),
            deny: someOf(below, [...ptr, '10.1.2.3'], 30),
          },
        }
      : {}),
    ...rights(below, here),
    ...(tls && below(5) === 0 ? { require_tls: true } : {}),
    starttls: tls ? 'terminate' : 'hide',
    auth: tls && below(5) === 0 ? 'require_tls' : 'offer',
    chunking: below(5) === 0 ? 'hide' : 'offer',
    hide_keywords: below(6) === 0 ? ['DSN'] : [],
    vrfy: below(4) === 0 ? 'refuse' : 'forward',
    bare_lf: below(4) === 0 ? 'normalize' : 'reject',
    unqualified_recipients: below(6) === 0 ? 'allow' : 'reject',
    upstream: below(4) === 0 ? 'other' : 'default',
    i_know_this_is_open: true,
  };
}

/** As a bare policy: only what is accepted may pass, for everybody. */
export const CLOSED: Policy = {
  version: 1,
  accepted_domains: ['local.example'],
  connectors: [{ name: 'internet', remote_ip_ranges: ['any'] }],
};

/** What holds for every connector. */
function domains(below: Below): Omit<Policy, 'connectors'> {
  return {
    version: 1,
    accepted_domains: ['local.example', ...someOf(below, ['*.wide.example', 'one.test', 'own.example'], 40)],
    relay_domains: someOf(below, ['partner.example', '*.far.example'], 30),
    blocked_domains: someOf(below, ['blocked.example', '*.bad.example', 'deep.wide.example'], 30),
    accepted_literals: someOf(below, ['192.0.2.25'], 70),
    groups: { staff: ['alice', 'dave'] },
    user_domains: { CORP: 'own.example' },
  };
}

function policy(below: Below, tls: boolean, proxied: boolean, here: boolean): Policy {
  const ranges = ['any', ...(proxied ? someOf(below, RANGES.slice(0, 5), 35) : [])];
  const about = { tls, proxied, here };
  return { ...domains(below), connectors: ranges.map((range, at) => connector(below, `c${at}`, range, about)) };
}

/** Other rights for the same clients; some of the narrower connectors are gone. */
function changed(below: Below, { connectors }: Policy, here: boolean): Policy {
  const left = connectors.filter((_, at) => at === 0 || below(4) > 0);
  const others = left.map(({ rules: _, submit: __, senders: ___, mode: ____, ...same }) => ({
    ...same,
    ...rights(below, here),
  }));
  return { ...domains(below), connectors: others };
}

/** `alone`: with settings too that want a process of their own. */
export function randomSetting(below: Below, alone: boolean): Setting {
  const proxied = below(3) > 0;
  const clientTls = oneOf(below, ['none', 'none', 'starttls', 'starttls', 'implicit'] as const);
  const first = below(6) === 0 ? CLOSED : policy(below, clientTls === 'starttls', proxied, !alone);
  return {
    policy: first,
    next: below(3) === 0 && first !== CLOSED ? changed(below, first, !alone) : null,
    observes: below(12) === 0,
    lists: below(5) === 0,
    dialect: oneOf(below, DIALECTS),
    proxied,
    clientTls,
    identity: oneOf(below, ['none', 'none', 'none', 'proxy-v1', 'proxy-v2', 'xclient', 'xforward'] as const),
    upstreamTls: oneOf(below, ['none', 'none', 'none', 'require', 'implicit'] as const),
    spare: below(8) === 0,
    tight: below(6) === 0,
    runs: alone ? oneOf(below, ['alone', 'workers', 'redis'] as const) : 'here',
  };
}

/** Where the servers of a setting listen on 127.0.0.1. */
export interface Ports {
  readonly servers: number;
  readonly other: number;
  readonly redis: number;
}

const TIGHT = {
  session: { errors: 6, junk_commands: 8, recipients_per_message: 3, messages: 3, auth_failures: 2 },
  source: { message_rate: '3/1m', recipient_rate: '8/1m', rejected_recipient_rate: '4/1m', connections: 4 },
  ban: { after: '3/10m', for: '1s' },
};

/** Beside the certificates, one file for all settings. */
function validFile(): string {
  const file = join(dirname(serverPair().certFile), 'valid.txt');
  if (!existsSync(file)) writeFileSync(file, VALID.join('\n'));
  return file;
}

/** The whole configuration, as JSON, which is YAML. `policy`: the one that is in force. */
export function configOf(setting: Setting, ports: Ports, policy = setting.policy): Record<string, unknown> {
  const { certFile: cert, keyFile: key } = serverPair();
  const { dialect, identity, upstreamTls, tight, runs } = setting;
  const behind = (port: number, spare: boolean): Record<string, unknown> => ({
    servers: [...(spare ? [`127.0.0.1:${REFUSING_PORT}`] : []), `127.0.0.1:${port}`],
    identity,
    ...(upstreamTls === 'none' ? {} : { tls: { mode: upstreamTls, verify: false } }),
    ...(dialect === 'dotany' ? { dot_lines: 'strict' } : {}),
  });
  const commandLine = dialect === 'cut512' ? { command_line: 512 } : {};
  return {
    listeners: [
      {
        bind: ['127.0.0.1:0'],
        ...(setting.proxied ? { proxy_protocol: { from: ['127.0.0.1/32'] } } : {}),
        ...(setting.clientTls === 'none' ? {} : { certificates: [{ cert, key }] }),
        implicit_tls: setting.clientTls === 'implicit',
      },
    ],
    upstream: behind(ports.servers, setting.spare),
    upstreams: { other: behind(ports.other, false) },
    policy: setting.lists ? { ...policy, valid_recipients: { file: validFile() } } : policy,
    mode: setting.observes ? 'observe' : 'enforce',
    lost_address_guard: 'warn',
    limits: {
      ...(tight ? TIGHT : { source: { connections: 10_000 } }),
      session: { ...(tight ? TIGHT.session : { errors: 1000, junk_commands: 1000 }), ...commandLine },
    },
    // Long enough for a machine that has other things to do.
    timeouts: { proxy_header: '2m', upstream_connect: '2m', upstream_data: '5m', drain: '1s' },
    ...(runs === 'workers' || runs === 'redis' ? { workers: 2 } : {}),
    ...(runs === 'redis' ? { state: `redis://127.0.0.1:${ports.redis}/0` } : {}),
    admin: null,
  };
}
