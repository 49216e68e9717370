// What a thread needs to serve clients: admission under the policy, the counts, the sockets and the log, put together.
//
// `Listeners` are those of one thread, or of several (worker-pool.ts). A thread beside others tells what is one for the whole process
// to the thread that keeps it (`Shared`). Not here: the admin port, signals, and what a reload reads (firewall.ts, run.ts).

import type { Config } from '../config/schema.ts';
import { createObserver, type Observer } from '../observe/events.ts';
import type { LogSink } from '../observe/log-sink.ts';
import type { SessionsHeard } from '../observe/session-lines.ts';
import { inRanges } from '../policy/lists.ts';
import { isWithin } from '../policy/networks.ts';
import type { Policy } from '../policy/policy.ts';
import type { Credentials } from '../proxy/client-tls.ts';
import { Relay, type RelayObserver } from '../proxy/relay.ts';
import { NameResolver } from '../proxy/resolver.ts';
import { ALL_PHASES } from '../proxy/snapshot.ts';
import { AllSlots, type SlotKeeper } from '../proxy/upstream-slots.ts';
import { BANNED } from '../smtp/replies.ts';
import type { CloseReason, ConnectionEnds, SessionEvent } from '../smtp/types.ts';
import { RefusalTally } from '../status/refusals.ts';
import { AdmissionControl } from './admission.ts';
import type { Limiter } from './limiter.ts';
import { findSessions, tallySessions } from './live-sessions.ts';
import { countConnection, countEvent } from './refusal-counts.ts';
import type { Listeners, LoadOrder } from './threads.ts';
import { fullHostName, serversOf, slotSettings, upstreamSettings } from './upstream-settings.ts';

/** A thread that serves clients beside others: what is one for the process, it asks and tells the one that keeps it. */
export interface Shared {
  /** Of this thread; its log lines say it. */
  readonly number: number;
  /** How many sessions the threads of this number have opened. */
  readonly opened: Float64Array;
  readonly slots: SlotKeeper;
  /** For TLS session tickets that all threads can read. */
  readonly ticketKeys: Uint8Array;
  upstreamUp(server: string, up: boolean, why?: string, nextProbe?: number): void;
  upstreamSilent(server: string, greeted: boolean): void;
  upstreamFull(server: string, sessions: number, why: string): void;
  /** Whether other threads have sessions at this server. */
  servedElsewhere(server: string): Promise<boolean>;
  broughtMail(ends: ConnectionEnds): void;
}

export interface ServeSettings {
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
  /** Where lines of relayed mail go as well; nowhere when left out. */
  readonly relayed?: LogSink;
  /** Beside the log: every event of every session. */
  readonly onEvent?: (event: SessionEvent, ends: ConnectionEnds) => void;
}

/** What a thread that serves clients tells its log and metrics. */
export function observerFor(config: Config, policy: Policy, settings: ServeSettings): Observer {
  const { bans, isInside, sink, relayed, shared } = settings;
  return createObserver({
    level: config.log.level,
    pretty: config.log.pretty,
    messages: config.log.messages,
    mode: config.mode,
    observing: observingIn(policy),
    connectors: namesIn(policy),
    rules: allowRulesIn(policy),
    isLocal: (recipient) => policy.isLocal(recipient),
    servers: serversOf(config),
    ...(bans === undefined ? {} : { bans }),
    ...(isInside === undefined ? {} : { isInside }),
    ...(sink === undefined ? {} : { sink }),
    ...(relayed === undefined ? {} : { relayed }),
    ...(shared === undefined ? {} : { worker: shared.number, opened: shared.opened }),
  });
}

/** Opens the listeners of this thread; rejects with a sentence that names the address that cannot be bound. */
export async function openListeners(
  config: Config,
  policy: Policy,
  observer: Observer,
  limiter: Limiter,
  settings: ServeSettings = {},
): Promise<Listeners> {
  const { shared, order } = settings;
  const worker = shared?.number ?? 1;
  const file = settings.file ?? null;
  const ownSlots = shared === undefined ? new AllSlots(slotSettings(config)) : null;
  const refusals = new RefusalTally();
  const admissionControl = new AdmissionControl(policy, limiter, (ends) => (shared ?? observer).broughtMail(ends));
  const relay = new Relay({
    listeners: config.listeners.map(({ bind, proxy_protocol, implicit_tls }, i) => ({
      bind,
      proxyPeers: proxy_protocol === undefined ? null : inRanges(proxy_protocol.from),
      credentials: settings.credentials?.[i],
      implicitTls: implicit_tls,
    })),
    sharePorts: shared !== undefined,
    ticketKeys: shared?.ticketKeys,
    upstreams: upstreamSettings(config, file, order?.world.texts),
    slots: ownSlots ?? (shared as Shared).slots,
    ...(shared === undefined ? {} : { servedElsewhere: (server: string) => shared.servedElsewhere(server) }),
    ourName: fullHostName(),
    names: settings.resolve ?? namesFromDns(),
    timeouts: config.timeouts,
    admit: (ends) => admissionControl.admit(ends),
    observer: watching(observer, settings, refusals),
  });
  observer.countSessions(ALL_PHASES, () => tallySessions(relay.live));
  await relay.listen();
  return {
    addresses: relay.addresses,
    isOpen: true,
    threads: { configured: 1, open: 1 },
    measured: async () => [await observer.measured()],
    greets: () => relay.upstreams.greets(),
    servers: () => relay.upstreams.states,
    reports: () => relay.upstreams.reports,
    drainServer: (server, draining) => relay.upstreams.drainServer(server, draining),
    get areAllDrained() {
      return relay.upstreams.states.every(({ draining }) => draining === true);
    },
    sessions: (asked) => findSessions(relay.live, relay.sessions, asked, worker),
    refusals: () => refusals.take(),
    endSession: (of, session) => of === worker && relay.endOne(session),
    serving: (server) => relay.upstreams.serving(server),
    names: (address) => settings.names?.(address) ?? null,
    putInForce: ({ config: now, policy: next, credentials }, given) => {
      const upstreams = upstreamSettings(now, file, given?.world.texts);
      if (credentials !== null) relay.replaceCredentials(credentials);
      ownSlots?.change(slotSettings(now));
      relay.upstreams.change(upstreams);
      admissionControl.policy = next;
      observer.inForce(namesIn(next), observingIn(next), allowRulesIn(next), (recipient) => next.isLocal(recipient));
      observer.serversAre(serversOf(now));
    },
    stopListening: () => {
      relay.stopListening();
      return relay.sessions;
    },
    drain: async (patience) => {
      const timer = setTimeout(() => settings.endNames?.(), DNS_AT_DRAIN);
      const cut = await relay.drain(patience);
      clearTimeout(timer);
      return cut;
    },
    endSessions: ({ network }) => {
      // What a ban ends may be under way at this very moment: so it ends a moment later.
      const isMeant = (address: string): boolean => isWithin(address, network) && !admissionControl.neverBans(address);
      setImmediate(() => relay.end(isMeant, BANNED, BAN));
    },
    cutOff: () => {
      relay.cutOff();
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

function allowRulesIn(policy: Policy): Record<string, string[]> {
  const rulesOf = ({ name, rules }: Policy['connectors'][number]) =>
    [name, rules.filter(({ action }) => action === 'allow').map((rule) => rule.name)] as const;
  return Object.fromEntries(policy.connectors.map(rulesOf));
}

/** Connectors that do not enforce. */
export function observingIn(policy: Policy): string[] {
  return policy.connectors.filter(({ mode }) => mode === 'observe').map(({ name }) => name);
}

const DNS_AT_DRAIN = 1_000; // ms that DNS has for a session that is to end

const BAN: CloseReason = { origin: 'policy', what: 'banned', key: 'limits.ban' };

const REMIND_AFTER = 600_000; // ms

/** The observer as the proxy sees it, with an ear for the upstream that takes all clients for one. */
function watching(observer: Observer, { onEvent, shared }: ServeSettings, refusals: RefusalTally): RelayObserver {
  let remindedAt = Number.NEGATIVE_INFINITY;
  const heard: SessionsHeard = {
    event: (session, event) => {
      countEvent(refusals, session, event);
      onEvent?.(event, session.ends);
    },
    closed: (reason) => {
      if (reason.origin !== 'upstream' || !reason.what.includes('421')) return;
      const now = performance.now();
      if (now - remindedAt < REMIND_AFTER) return;
      remindedAt = now;
      observer.warn('upstream_421', {});
    },
  };
  return {
    upstreamUp: (server, up, why, nextProbe) => (shared ?? observer).upstreamUp(server, up, why, nextProbe),
    upstreamSilent: (server, greeted) => (shared ?? observer).upstreamSilent(server, greeted),
    upstreamFull: (server, sessions, why) => (shared ?? observer).upstreamFull(server, sessions, why),
    shortOf: (code, doing) => observer.shortOf(code, doing),
    upstreamConnected: (server, seconds) => observer.upstreamConnected(server, seconds),
    connectionRefused: (ends, connector, reason, reply, key) => {
      countConnection(refusals, 'refused', ends, connector, reason);
      observer.connectionRefused(ends, connector, reason, reply, key);
    },
    connectionWouldBeRefused: (ends, connector, reason, reply, key) => {
      countConnection(refusals, 'would_be_refused', ends, connector, reason);
      observer.connectionWouldBeRefused(ends, connector, reason, reply, key);
    },
    proxyHeader: (peer, result, said) => observer.proxyHeader(peer, result, said),
    upstreamInClear: (server, why) => observer.upstreamInClear(server, why),
    upstreamUnidentified: (server, identity) => observer.upstreamUnidentified(server, identity),
    handshakeFailed: (ends, connector, handshake) => observer.handshakeFailed(ends, connector, handshake),
    defect: (error, doing) => observer.defect(error, doing),
    sessionOpened: (ends, connector) => observer.sessionOpened(ends, connector, heard),
  };
}
