// What a thread needs to serve clients: the policy's gate, the counts, the sockets and the log, put together.
//
// `Doors` are those of one thread, or of several (crew.ts). A thread beside others tells what is one for the whole process
// to the thread that keeps it (`Shared`). Not here: the admin port, signals, and what a reload reads (firewall.ts, run.ts).

import type { Config } from '../config/schema.ts';
import type { Ban } from '../limits/store.ts';
import { createObserver, type Observer } from '../observe/events.ts';
import type { LogSink } from '../observe/log-sink.ts';
import { inRanges } from '../policy/lists.ts';
import { isWithin } from '../policy/networks.ts';
import type { Policy } from '../policy/policy.ts';
import { type Endpoint, formatEndpoint } from '../proxy/address.ts';
import type { Credentials } from '../proxy/client-tls.ts';
import { Firewall, type FirewallObserver } from '../proxy/firewall.ts';
import { type PlaceKeeper, Places } from '../proxy/places.ts';
import { NameResolver } from '../proxy/resolver.ts';
import type { ServerState } from '../proxy/upstream.ts';
import { BANNED } from '../smtp/replies.ts';
import type { CloseReason, Door, SessionEvent } from '../smtp/types.ts';
import type { LoadOrder } from './crew.ts';
import { Gate } from './gate.ts';
import type { Limiter } from './limits/limiter.ts';
import { fullHostName, upstreamTls } from './upstream-settings.ts';

/** A thread that serves clients beside others: what is one for the process, it asks and tells the one that keeps it. */
export interface Shared {
  /** Of this thread; its log lines say it. */
  readonly number: number;
  readonly places: PlaceKeeper;
  /** For TLS session tickets that all threads can read. */
  readonly ticketKeys: Uint8Array;
  upstreamUp(server: string, up: boolean, why?: string, nextProbe?: number): void;
  upstreamSilent(server: string, greeted: boolean): void;
  upstreamFull(server: string, sessions: number, why: string): void;
  /** Whether other threads have sessions at this server. */
  servedElsewhere(server: string): Promise<boolean>;
  broughtMail(door: Door): void;
}

export interface DoorSettings {
  /** The configuration file, from which relative paths are meant; null when there is none. */
  readonly file?: string | null;
  /** Of each listener, in the order of the configuration; none when left out. */
  readonly credentials?: readonly Credentials[];
  /** The names of an address that DNS gave last; null when it gave none. */
  readonly names?: (address: string) => readonly string[] | null;
  /** Finds the names of an address; DNS is asked when left out. */
  readonly resolve?: (address: string) => Promise<readonly string[] | null>;
  /** Ends what is still asked of DNS: it cannot be told. */
  readonly endNames?: () => void;
  /** What was read, for a thread that is not to read it again. */
  readonly order?: LoadOrder;
  readonly shared?: Shared;
  /** How many networks are banned now. */
  readonly bans?: () => number;
  /** Whether an address is private, ours, or a gateway. */
  readonly isInside?: (address: string) => boolean;
  /** Where log lines go; standard output when left out. */
  readonly sink?: LogSink;
  /** Beside the log: every event of every session. */
  readonly onEvent?: (event: SessionEvent, door: Door) => void;
}

/** What a reload puts in force. */
export interface InForce {
  readonly policy: Policy;
  /** Of each listener, in the order of the configuration; null where they stay as they are. */
  readonly credentials: readonly Credentials[] | null;
}

/** Where clients come in. */
export interface Doors {
  readonly addresses: readonly Endpoint[];
  /** False while one of several threads is down. */
  readonly isOpen: boolean;
  /** The exposition text. */
  metrics(): Promise<string>;
  /** Whether an upstream server greets. */
  greets(): Promise<boolean>;
  /** How each of them is doing. */
  servers(): Promise<readonly ServerState[]> | readonly ServerState[];
  /** How many sessions of this thread a server has. */
  serving(server: string): Promise<number> | number;
  /** The names of an address that DNS gave last; null when it gave none. */
  names(address: string): Promise<readonly string[] | null> | readonly string[] | null;
  putInForce(next: InForce, order: LoadOrder | undefined): Promise<void> | void;
  /** Stops listening; how many sessions there are still. */
  stopListening(): Promise<number> | number;
  /** How many sessions had to be cut off. */
  drain(patience: number): Promise<number>;
  /** Ends the sessions of who is banned, each at its next boundary between transactions. */
  endSessions(ban: Ban): void;
  cutOff(): void;
}

/** What a thread that serves clients tells its log and metrics. */
export function observerFor(config: Config, policy: Policy, settings: DoorSettings): Observer {
  const { bans, isInside, sink, shared } = settings;
  return createObserver({
    level: config.log.level,
    pretty: config.log.pretty,
    mode: config.mode,
    observing: observingIn(policy),
    connectors: namesIn(policy),
    servers: config.upstream.servers.map(formatEndpoint),
    ...(bans === undefined ? {} : { bans }),
    ...(isInside === undefined ? {} : { isInside }),
    ...(sink === undefined ? {} : { sink }),
    ...(shared === undefined ? {} : { worker: shared.number }),
  });
}

/** Opens the doors of this thread; rejects with a sentence that names the address that cannot be bound. */
export async function openDoors(
  config: Config,
  policy: Policy,
  observer: Observer,
  limiter: Limiter,
  settings: DoorSettings = {},
): Promise<Doors> {
  const { shared, order } = settings;
  const { max_connections, max_wait } = config.upstream;
  const gate = new Gate(policy, limiter, (door) => (shared ?? observer).broughtMail(door));
  const firewall = new Firewall({
    listeners: config.listeners.map(({ bind, proxy_protocol, implicit_tls }, i) => ({
      bind,
      proxyPeers: proxy_protocol === undefined ? null : inRanges(proxy_protocol.from),
      credentials: settings.credentials?.[i],
      implicitTls: implicit_tls,
    })),
    sharePorts: shared !== undefined,
    ticketKeys: shared?.ticketKeys,
    servers: config.upstream.servers,
    places: shared?.places ?? new Places(max_connections, max_wait),
    tls: upstreamTls(config, settings.file ?? null, order?.world.texts),
    identity: config.upstream.identity,
    ...(shared === undefined ? {} : { servedElsewhere: (server: string) => shared.servedElsewhere(server) }),
    ourName: fullHostName(),
    names: settings.resolve ?? namesFromDns(),
    timeouts: config.timeouts,
    admit: (door) => gate.admit(door),
    observer: watching(observer, settings),
  });
  await firewall.listen();
  return {
    addresses: firewall.addresses,
    isOpen: true,
    metrics: () => observer.metrics(),
    greets: () => firewall.upstream.greets(),
    servers: () => firewall.upstream.states,
    serving: (server) => firewall.upstream.serving(server),
    names: (address) => settings.names?.(address) ?? null,
    putInForce: (next) => {
      if (next.credentials !== null) firewall.replaceCredentials(next.credentials);
      gate.policy = next.policy;
      observer.inForce(namesIn(next.policy), observingIn(next.policy));
    },
    stopListening: () => {
      firewall.stopListening();
      return firewall.sessions;
    },
    drain: async (patience) => {
      const timer = setTimeout(() => settings.endNames?.(), DNS_AT_DRAIN);
      const cut = await firewall.drain(patience);
      clearTimeout(timer);
      return cut;
    },
    endSessions: ({ network }) => {
      // What a ban ends may be under way at this very moment: so it ends a moment later.
      const isMeant = (address: string): boolean => isWithin(address, network) && !gate.neverBans(address);
      setImmediate(() => firewall.end(isMeant, BANNED, BAN));
    },
    cutOff: () => {
      firewall.cutOff();
    },
  };
}

/** The listeners without what they show to clients, which a reload does change. */
export function listenersOf({ listeners }: Config): unknown {
  return listeners.map(({ bind, proxy_protocol, implicit_tls }) => ({ bind, proxy_protocol, implicit_tls }));
}

function namesFromDns(): (address: string) => Promise<readonly string[] | null> {
  const resolver = new NameResolver();
  return (address) => resolver.names(address);
}

function namesIn(policy: Policy): string[] {
  return policy.connectors.map(({ name }) => name);
}

/** Connectors that do not enforce. */
export function observingIn(policy: Policy): string[] {
  return policy.connectors.filter(({ mode }) => mode === 'observe').map(({ name }) => name);
}

const DNS_AT_DRAIN = 1_000; // ms that DNS has for a session that is to end

const BAN: CloseReason = { origin: 'policy', what: 'banned', key: 'limits.ban' };

const REMIND_AFTER = 600_000; // ms

/** The observer as the proxy sees it, with an ear for the upstream that takes all clients for one. */
function watching(observer: Observer, { onEvent, shared }: DoorSettings): FirewallObserver {
  let remindedAt = Number.NEGATIVE_INFINITY;
  const closed = (reason: CloseReason): void => {
    if (reason.origin !== 'upstream' || !reason.what.includes('421')) return;
    const now = performance.now();
    if (now - remindedAt < REMIND_AFTER) return;
    remindedAt = now;
    observer.warn('upstream_421', {});
  };
  return {
    upstreamUp: (server, up, why, nextProbe) => (shared ?? observer).upstreamUp(server, up, why, nextProbe),
    upstreamSilent: (server, greeted) => (shared ?? observer).upstreamSilent(server, greeted),
    upstreamFull: (server, sessions, why) => (shared ?? observer).upstreamFull(server, sessions, why),
    shortOf: (code, doing) => observer.shortOf(code, doing),
    upstreamConnected: (server, seconds) => observer.upstreamConnected(server, seconds),
    refusedAtDoor: (door, connector, reason, reply, key) => observer.refusedAtDoor(door, connector, reason, reply, key),
    observedAtDoor: (door, connector, reason, reply, key) =>
      observer.observedAtDoor(door, connector, reason, reply, key),
    proxyHeader: (peer, result, said) => observer.proxyHeader(peer, result, said),
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
