// One example of every log line: an observer that is told everything that can happen, at a fixed time.

import { createObserver, type Observer } from '../../src/observe/events.ts';
import { fill, LINES } from '../../src/observe/lines.ts';
import * as replies from '../../src/smtp/replies.ts';
import type { ConnectionEnds, HeaderResult, SessionEvent } from '../../src/smtp/types.ts';

/** A line of the log. */
export type Entry = Readonly<Record<string, unknown>>;

const TIME = '2027-01-31T12:00:00.000Z';
const SERVER = '10.0.0.10:25';
const BALANCER: ConnectionEnds = {
  clientAddress: '10.0.0.5',
  clientPort: 40001,
  localAddress: '10.0.0.2',
  localPort: 25,
};
const CLIENT: ConnectionEnds = { ...BALANCER, clientAddress: '203.0.113.7' };

/** The lines that an observer writes while `tell` tells it things. */
export function linesOf(tell: (observer: Observer, wait: (ms: number) => void) => void): Entry[] {
  const lines: string[] = [];
  let now = 0;
  const sink = {
    write: (line: string) => void lines.push(line),
    flush: async () => {},
    lost: 0,
    onLost: (_: number) => {},
  };
  const relayed = { ...sink, write: () => {} };
  const observer = createObserver({
    level: 'debug',
    pretty: false,
    mode: 'enforce',
    connectors: ['internet'],
    servers: [SERVER],
    isInside: (address) => address.startsWith('10.'),
    sink,
    relayed,
    now: () => now,
  });
  tell(observer, (ms) => {
    now += ms;
  });
  sink.onLost(12);
  relayed.onLost(3);
  void observer.flush();
  return lines.map((line) => ({ ...(JSON.parse(line) as Entry), time: TIME }));
}

export function everyLine(): Entry[] {
  return linesOf((observer, wait) => {
    observer.policyLoaded('3f1c9a0be2d4');
    observer.listening(['0.0.0.0:25', '[::]:25'], '127.0.0.1:9125');
    observer.warn('no_ipv6', { addresses: ['[::]:25'] });
    observer.warn('finding', {}, 'office.yaml:7:5: warning: connectors[1].rules[2]: rule never matches');
    const few = fill(LINES.few_descriptors.text, { sessions: 5000, wanted: 10100, limit: 1024 });
    observer.warn('few_descriptors', { key: 'upstream.max_connections' }, few);
    observer.warn('lost_address', { client_address: '172.17.0.1' });
    tellOfServers(observer, wait);
    tellOfDoor(observer);
    tellOfSession(observer, wait);
    tellOfFloods(observer);
    tellOfOperation(observer);
  });
}

function tellOfServers(observer: Observer, wait: (ms: number) => void): void {
  observer.upstreamUp(SERVER, true);
  observer.upstreamConnected(SERVER, 0.0004);
  observer.upstreamSilent(SERVER, false);
  wait(600_000);
  observer.upstreamSilent(SERVER, true);
  observer.upstreamUp(SERVER, false, 'connect ECONNREFUSED 10.0.0.10:25', 1);
  observer.upstreamUp(SERVER, true);
  observer.upstreamFull(SERVER, 20, 'closed without a greeting');
  observer.upstreamInClear(SERVER, 'STARTTLS is not offered');
  observer.upstreamUnidentified(SERVER, 'xclient');
  observer.warn('upstream_421', {});
  observer.shortOf('EMFILE', 'accept');
}

function tellOfDoor(observer: Observer): void {
  observer.connectionRefused(CLIENT, 'internet', 'connections', replies.TOO_MANY_CONNECTIONS);
  observer.connectionWouldBeRefused(CLIENT, 'internet', 'connect', replies.CONNECTION_REFUSED);
  for (const result of ['not_listed', 'none', 'bad', 'too_long', 'late', 'hung_up'] satisfies HeaderResult[])
    observer.proxyHeader(BALANCER, result, 'PROXY TCP4 203.0.113.7');
  observer.handshakeFailed(CLIENT, 'internet', { result: 'timeout', why: 'no whole handshake came in time' });
}

function tellOfSession(observer: Observer, wait: (ms: number) => void): void {
  const session = observer.sessionOpened(CLIENT, 'internet');
  session.heloName = 'client.example.net';
  session.server = SERVER;
  const reply = '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied';
  const sender = 'someone@elsewhere.example';
  const command = (verb: string, said: string) =>
    session.event({ name: 'refused', verb, said, reply: '500 5.5.1 Command unrecognized', key: null });
  const recipient = (decision: 'proceed' | 'reject' | 'would_reject', reason: 'no_rule' | 'accepted_domain') => {
    const to = reason === 'no_rule' ? 'x@foreign.example' : 'user@example.com';
    const trace = () => 'roaming: authenticated';
    const said = decision === 'proceed' ? '' : reply;
    const event = { name: 'recipient', transaction: 1, decision, reason, rule: null, sender, recipient: to } as const;
    session.event({ ...event, reply: said, trace });
  };
  session.handshake({
    ...{ result: 'ok', protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', names: [], subject: null },
    unverified: 'self-signed certificate',
  });
  command('PROXY', 'PROXY TCP4 198.51.100.3 10.0.0.2 40001 25');
  command('XCLIENT', 'XCLIENT ADDR=198.51.100.3');
  command('XFORWARD', 'XFORWARD ADDR=198.51.100.3');
  command('', 'HELLO');
  const tried = { mechanism: 'LOGIN', name: 'alice' };
  for (const decision of ['reject', 'would_reject'] as const) {
    const rule = 'limits.source.auth_failure_rate';
    session.event({
      name: 'login_refused',
      decision,
      login: tried,
      rule,
      reply: '454 4.7.0 Too many failed logins, try again later',
    });
    const no = '550 5.7.1 Client does not have permissions to send as this sender';
    session.event({ name: 'sender', decision, reason: 'sender', rule: null, sender: 'boss@example.com', reply: no });
    recipient(decision, 'no_rule');
  }
  session.event({ name: 'login', login: tried });
  for (const [code, said] of [
    [451, '451 4.7.1 Greylisted'],
    [550, '550 5.1.1 User unknown'],
    [250, '250 2.1.5 Ok'],
  ] as const) {
    session.event({ name: 'answered', code, reply: said });
    if (code === 451) recipient('proceed', 'accepted_domain');
    if (code === 550) recipient('proceed', 'accepted_domain');
  }
  const taken = '250 2.0.0 Ok: queued as 4cQ2Tz1mXzz9s';
  session.event({ name: 'message', transaction: 1, sender, octets: 1208, code: 250, reply: taken });
  const states = ['MAIL', 'END-OF-MESSAGE'] as const;
  for (const protocolState of states)
    for (const [code, said] of [
      [452, '452 4.3.1 Insufficient system resources'],
      [554, '554 5.6.0 Refused'],
    ] as const)
      session.event({ name: 'upstream_refused', protocolState, transaction: 2, sender, octets: 0, code, reply: said });
  const last = { name: 'recipient', transaction: 3, sender, recipient: 'user@example.com', reply: '' } as const;
  session.event({ ...last, decision: 'proceed', reason: 'accepted_domain', rule: null });
  session.event({ name: 'answered', code: 250, reply: '250 2.1.5 Ok' });
  session.event({ name: 'limited', kind: 'session', key: 'errors', observed: true });
  for (const key of ['bare_lf', 'upstream.dot_lines'])
    session.event({ name: 'ambiguous_end', octets: '\n.\r\n', offset: 812, key } satisfies SessionEvent);
  session.event({ name: 'opaque' });
  session.octetsFromClient = 1412;
  session.octetsFromUpstream = 633;
  wait(1_234);
  session.closed({ origin: 'client', what: 'quit' });
}

function tellOfFloods(observer: Observer): void {
  for (let i = 0; i < 400; i++)
    observer.connectionRefused({ ...CLIENT, clientAddress: '198.51.100.9' }, 'internet', 'banned', replies.BANNED);
  for (let i = 0; i < 60; i++) observer.broughtMail({ ...BALANCER, clientAddress: '10.0.0.1' });
}

function tellOfOperation(observer: Observer): void {
  observer.reloaded('postern.yaml', 'enforce', ['old-applications']);
  observer.reloaded('postern.yaml', 'observe');
  observer.reloadRefused('postern.yaml', [
    'office.yaml:3:1: error: accepted_domain: unknown key: did you mean accepted_domains?',
  ]);
  observer.warn('needs_restart', { keys: 'workers, admin' });
  observer.serverDrained(SERVER, true);
  observer.serverDrained(SERVER, false);
  observer.banned('203.0.113.7/32', 600_000, 'limits');
  observer.banLifted('203.0.113.7/32');
  observer.stateUp(false, 'no answer within 75 ms');
  observer.stateUp(true);
  observer.warn('share_is_full', { kind: 'senders' });
  observer.workerDied(2, 'out of memory', 100);
  observer.workerStarted(2);
  observer.warn('worker_not_started', { worker: 2, why: 'listen EADDRINUSE' });
  observer.warn('not_watched', {
    file: '/etc/postern',
    why: "ENOSPC: System limit for number of file watchers reached, watch '/etc/postern'",
  });
  observer.warn('relayed_file_not_opened', {
    file: 'relayed.log',
    why: "EACCES: permission denied, open 'relayed.log'",
  });
  observer.defect('a fault that was made up', 'awaiting a command');
  observer.draining(3);
  observer.drained(0);
}
