// The rooms put together: config gives values, policy the judges, limits the counts, proxy the sockets, observe the log
// and metrics. None of them knows another; this is the one place that knows them all.

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { beside } from '../config/beside.ts';
import { thisHost } from '../config/host.ts';
import type { Config } from '../config/schema.ts';
import { Connections } from '../limits/connections.ts';
import { type Admin, startAdmin } from '../observe/admin.ts';
import { createObserver, type Observer } from '../observe/events.ts';
import type { LogSink } from '../observe/log.ts';
import { explain, type PlaceOf } from '../policy/explain.ts';
import { type InquiryWords, readInquiry } from '../policy/inquiry.ts';
import { inRanges } from '../policy/lists.ts';
import type { Policy } from '../policy/policy.ts';
import { isPrivate } from '../policy/spans.ts';
import { type Endpoint, formatEndpoint } from '../proxy/address.ts';
import type { Credentials } from '../proxy/client-tls.ts';
import { Firewall, type FirewallObserver } from '../proxy/firewall.ts';
import { whyNot } from '../proxy/listener.ts';
import { NameResolver } from '../proxy/resolver.ts';
import type { CloseReason, Door, SessionEvent } from '../smtp/types.ts';
import { Gate } from './gate.ts';
import { fullHostName, upstreamTls } from './upstream-settings.ts';

export interface FirewallSettings {
  /** The configuration file, from which relative paths are meant; null when there is none. */
  readonly file?: string | null;
  /** Of each listener, in the order of the configuration; none when left out. */
  readonly credentials?: readonly Credentials[];
  /** Which version of the policy this is, and where its paths stand: for the log and for GET /explain. */
  readonly version?: string;
  readonly place?: PlaceOf;
  /** The names of an address that DNS gave last; null when it gave none. */
  readonly names?: (address: string) => readonly string[] | null;
  /** Finds the names of an address; DNS is asked when left out. */
  readonly resolve?: (address: string) => Promise<readonly string[] | null>;
  /** Where log lines go; standard output when left out. */
  readonly sink?: LogSink;
  /** Beside the log: every event of every session. */
  readonly onEvent?: (event: SessionEvent, door: Door) => void;
}

export interface RunningFirewall {
  /** As bound: port 0 has become a port. */
  readonly addresses: readonly Endpoint[];
  readonly adminAddress: Endpoint | null;
  readonly observer: Observer;
  /** Puts another policy in the place of the one in force. */
  replacePolicy(policy: Policy, version: string, place: PlaceOf): void;
  /** What each listener shows to its clients from now on. */
  replaceCredentials(credentials: readonly Credentials[]): void;
  /** Stops listening, waits for transactions in flight for `patience` ms, then cuts off. */
  drain(patience: number): Promise<void>;
  /** Ends every session now. */
  cutOff(): void;
  /** Ends everything now. */
  close(): Promise<void>;
}

/** Opens the doors; rejects with a sentence that names the address that cannot be bound. */
export async function startFirewall(
  config: Config,
  policy: Policy,
  settings: FirewallSettings = {},
): Promise<RunningFirewall> {
  const { ownAddresses, gateways } = thisHost();
  const observer = createObserver({
    level: config.log.level,
    pretty: config.log.pretty,
    mode: config.mode,
    observing: observingIn(policy),
    connectors: policy.connectors.map(({ name }) => name),
    servers: config.upstream.servers.map(formatEndpoint),
    isInside: (address) => isPrivate(address) || ownAddresses.includes(address) || gateways.includes(address),
    ...(settings.sink === undefined ? {} : { sink: settings.sink }),
  });
  const gate = new Gate(policy, new Connections());
  const firewall = new Firewall({
    listeners: config.listeners.map(({ bind, proxy_protocol, implicit_tls }, i) => ({
      bind,
      proxyPeers: proxy_protocol === undefined ? null : inRanges(proxy_protocol.from),
      credentials: settings.credentials?.[i],
      implicitTls: implicit_tls,
    })),
    servers: config.upstream.servers,
    maxConnections: config.upstream.max_connections,
    maxWait: config.upstream.max_wait,
    tls: upstreamTls(config, settings.file ?? null),
    identity: config.upstream.identity,
    ourName: fullHostName(),
    names: settings.resolve ?? namesFromDns(),
    timeouts: config.timeouts,
    admit: (door) => {
      observer.arrived(door);
      return gate.admit(door);
    },
    observer: watching(observer, settings.onEvent),
  });
  await firewall.listen();
  let place: PlaceOf = settings.place ?? (() => ({ file: 'policy', line: 0, column: 0 }));
  const explainQuery = async (query: URLSearchParams): Promise<object | string> => {
    const inquiry = readInquiry(wordsOf(query), (word) => word);
    if (typeof inquiry === 'string') return inquiry;
    return explain(gate.policy, inquiry, () => settings.names?.(inquiry.source) ?? null, place);
  };
  const admin = await openAdmin(config, settings.file ?? null, observer, firewall, explainQuery).catch(
    (error: Error) => {
      firewall.stopListening();
      throw error;
    },
  );
  const adminAddress = admin === null ? null : { address: admin.host, port: admin.port };
  observer.listening(firewall.addresses.map(formatEndpoint), adminAddress && formatEndpoint(adminAddress));
  observer.policyLoaded(settings.version ?? 'none');
  const end = async (patience: number): Promise<void> => {
    observer.draining(firewall.sessions);
    observer.drained(await firewall.drain(patience));
    await admin?.close();
    await observer.flush();
  };
  return {
    addresses: firewall.addresses,
    adminAddress,
    observer,
    replacePolicy: (next, version, at) => {
      gate.policy = next;
      place = at;
      observer.policyLoaded(version);
    },
    replaceCredentials: (credentials) => firewall.replaceCredentials(credentials),
    drain: end,
    cutOff: () => {
      firewall.cutOff();
    },
    close: () => end(0),
  };
}

function namesFromDns(): (address: string) => Promise<readonly string[] | null> {
  const resolver = new NameResolver();
  return (address) => resolver.names(address);
}

/** The words of GET /explain. */
function wordsOf(query: URLSearchParams): InquiryWords {
  return { ...Object.fromEntries(query), tls: query.has('tls'), tlsSubject: query.getAll('tls_subject') };
}

/** Connectors that do not enforce. */
export function observingIn(policy: Policy): string[] {
  return policy.connectors.filter(({ mode }) => mode === 'observe').map(({ name }) => name);
}

function openAdmin(
  config: Config,
  file: string | null,
  observer: Observer,
  firewall: Firewall,
  explainQuery: (query: URLSearchParams) => Promise<object | string>,
): Promise<Admin | null> {
  if (config.admin === null) return Promise.resolve(null);
  const { listen, token_file } = config.admin;
  return startAdmin({
    host: listen.address,
    port: listen.port,
    token: token_file === undefined ? null : readFileSync(beside(file, token_file), 'utf8').trim(),
    hostNames: [hostname().toLowerCase()],
    observer,
    askUpstream: () => firewall.upstream.greets(),
    servers: () => firewall.upstream.states,
    explain: explainQuery,
  }).catch((error: Error) => {
    throw new Error(`cannot listen on ${formatEndpoint(listen)} (admin): ${whyNot(error)}`);
  });
}

const UPSTREAM_LIMIT =
  'the upstream answered 421: if it counts connections by source, it counts all of ours as one. Give Postern a receive ' +
  'connector of its own there with these limits raised';
const REMIND_AFTER = 600_000; // ms

/** The observer as the proxy sees it, with an ear for the upstream that takes all clients for one. */
function watching(observer: Observer, onEvent: FirewallSettings['onEvent']): FirewallObserver {
  let remindedAt = Number.NEGATIVE_INFINITY;
  const closed = (reason: CloseReason): void => {
    if (reason.origin !== 'upstream' || !reason.what.includes('421')) return;
    const now = performance.now();
    if (now - remindedAt < REMIND_AFTER) return;
    remindedAt = now;
    observer.warn(UPSTREAM_LIMIT);
  };
  return {
    upstreamUp: (server, up, why, nextProbe) => observer.upstreamUp(server, up, why, nextProbe),
    upstreamConnected: (server, seconds) => observer.upstreamConnected(server, seconds),
    refusedAtDoor: (door, connector, reason, reply) => observer.refusedAtDoor(door, connector, reason, reply),
    observedAtDoor: (door, connector, reason, reply) => observer.observedAtDoor(door, connector, reason, reply),
    upstreamInClear: (server, why) => observer.upstreamInClear(server, why),
    upstreamUnidentified: (server, identity) => observer.upstreamUnidentified(server, identity),
    handshakeFailed: (door, connector, handshake) => observer.handshakeFailed(door, connector, handshake),
    defect: (error, doing) => observer.defect(error, doing),
    sessionOpened: (door, connector) => {
      const session = observer.sessionOpened(door, connector);
      const close = session.closed.bind(session);
      session.closed = (reason) => {
        close(reason);
        closed(reason);
      };
      if (onEvent !== undefined) {
        const event = session.event.bind(session);
        session.event = (one) => {
          event(one);
          onEvent(one, door);
        };
      }
      return session;
    },
  };
}
