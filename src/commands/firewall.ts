// The rooms put together: config gives values, policy the judges, limits the counts, proxy the sockets, observe the log
// and metrics. None of them knows another; this is the one place that knows them all. `openDoors` is what a thread needs
// to serve clients, `startFirewall` the whole: doors in this thread or in several (crew.ts), and the admin port.

import { readFileSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { beside } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Ban } from '../limits/store.ts';
import { type Admin, startAdmin } from '../observe/admin.ts';
import { createObserver, type Observer } from '../observe/events.ts';
import type { LogSink } from '../observe/log.ts';
import { explain, type PlaceOf } from '../policy/explain.ts';
import { readInquiry } from '../policy/inquiry.ts';
import { inRanges } from '../policy/lists.ts';
import { isWithin } from '../policy/networks.ts';
import type { Policy } from '../policy/policy.ts';
import { type Endpoint, formatEndpoint } from '../proxy/address.ts';
import { Firewall, type FirewallObserver } from '../proxy/firewall.ts';
import { whyNot } from '../proxy/listener.ts';
import { BANNED } from '../smtp/replies.ts';
import type { CloseReason, Door, SessionEvent } from '../smtp/types.ts';
import { Crew, type LoadOrder } from './crew.ts';
import { Gate } from './gate.ts';
import { Limiter } from './limits/limiter.ts';
import { LimitReport } from './limits/report.ts';
import { openStore } from './limits/stores.ts';

export interface FirewallSettings {
  /** The configuration file, from which relative paths are meant; null when there is none. */
  readonly file?: string | null;
  /** Which version of the policy this is, and where its paths stand: for the log and for GET /explain. */
  readonly version?: string;
  readonly place?: PlaceOf;
  /** The names of an address that DNS gave last; null when it gave none. */
  readonly names?: (address: string) => readonly string[] | null;
  /** What another thread needs to load the same policy; without it there is one thread. */
  readonly order?: LoadOrder;
  /** The number of this thread, where several serve clients: they share their ports. */
  readonly worker?: number;
  /** Hears in the place of the observer how dialling went. */
  readonly upstreamUp?: (server: string, up: boolean, why?: string) => void;
  /** How many networks are banned now. */
  readonly bans?: () => number;
  /** Hears of a client whose own address was lost. */
  readonly onLostAddress?: (address: string) => void;
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
  /** Puts another policy in the place of the one in force; resolves when no door judges by the old one any more. */
  replacePolicy(policy: Policy, version: string, place: PlaceOf, order?: LoadOrder): Promise<void>;
  /** Stops listening, waits for transactions in flight for `patience` ms, then cuts off. */
  drain(patience: number): Promise<void>;
  /** Ends every session now. */
  cutOff(): void;
  /** Ends everything now. */
  close(): Promise<void>;
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
  /** The names of an address that DNS gave last; null when it gave none. */
  names(address: string): Promise<readonly string[] | null> | readonly string[] | null;
  replacePolicy(policy: Policy, order: LoadOrder | undefined): Promise<void> | void;
  /** Stops listening; how many sessions there are still. */
  stopListening(): Promise<number> | number;
  /** How many sessions had to be cut off. */
  drain(patience: number): Promise<number>;
  /** Ends the sessions of who is banned, each at its next boundary between transactions. */
  endSessions(ban: Ban): void;
  cutOff(): void;
}

/** Opens the doors and the admin port; rejects with a sentence that names the address that cannot be bound. */
export async function startFirewall(
  config: Config,
  policy: Policy,
  settings: FirewallSettings = {},
): Promise<RunningFirewall> {
  const observer = observerFor(config, policy, { ...settings, bans: () => store.bans(performance.now()) });
  let endSessions: (ban: Ban) => void = () => {};
  const store = await openStore(config, settings.file ?? null, {
    up: () => observer.stateUp(true),
    down: (why) => observer.stateUp(false, why),
    banned: (ban) => endSessions(ban),
  });
  const limiter = new Limiter(store, {
    limited: (kind, key) => observer.limited(kind, key),
    banned: (ban) => {
      observer.banned(ban.network, ban.for, ban.by);
      endSessions(ban);
    },
  });
  const failed = async (error: Error): Promise<never> => {
    await store.close();
    throw error;
  };
  const doors = await openAllDoors(config, policy, observer, limiter, settings).catch(failed);
  endSessions = (ban) => doors.endSessions(ban);
  let policyInForce = policy;
  let place: PlaceOf = settings.place ?? (() => ({ file: 'policy', line: 0, column: 0 }));
  const explainQuery = async (query: URLSearchParams): Promise<object | string> => {
    const inquiry = readInquiry({ ...Object.fromEntries(query), tls: query.has('tls') }, (word) => word);
    if (typeof inquiry === 'string') return inquiry;
    const names = await doors.names(inquiry.source);
    return explain(policyInForce, inquiry, () => names, place);
  };
  const report = new LimitReport(
    limiter,
    () => policyInForce,
    (network) => observer.banLifted(network),
  );
  const admin = await openAdmin(config, settings.file ?? null, observer, doors, explainQuery, report).catch(
    async (error: Error) => {
      await doors.drain(0);
      return failed(error);
    },
  );
  const adminAddress = admin === null ? null : { address: admin.host, port: admin.port };
  observer.listening(doors.addresses.map(formatEndpoint), adminAddress && formatEndpoint(adminAddress));
  observer.policyLoaded(settings.version ?? 'none');
  const end = async (patience: number): Promise<void> => {
    observer.draining(await doors.stopListening());
    observer.drained(await doors.drain(patience));
    await admin?.close();
    await store.close();
    await observer.flush();
  };
  return {
    addresses: doors.addresses,
    adminAddress,
    observer,
    replacePolicy: async (next, version, at, order) => {
      await doors.replacePolicy(next, order);
      policyInForce = next;
      place = at;
      observer.policyLoaded(version);
    },
    drain: end,
    cutOff: () => doors.cutOff(),
    close: () => end(0),
  };
}

function openAllDoors(
  config: Config,
  policy: Policy,
  observer: Observer,
  limiter: Limiter,
  settings: FirewallSettings,
): Promise<Doors> {
  const { order } = settings;
  const count = config.workers === 'auto' ? availableParallelism() : config.workers;
  return count === 1 || order === undefined
    ? openDoors(config, policy, observer, limiter, settings)
    : Crew.start({ ...settings, order, count, config, observer, limiter });
}

/** What a thread that serves clients tells its log and metrics. */
export function observerFor(config: Config, policy: Policy, settings: FirewallSettings): Observer {
  return createObserver({
    level: config.log.level,
    pretty: config.log.pretty,
    mode: config.mode,
    observing: observingIn(policy),
    connectors: policy.connectors.map(({ name }) => name),
    servers: config.upstream.servers.map(formatEndpoint),
    ...(settings.bans === undefined ? {} : { bans: settings.bans }),
    ...(settings.sink === undefined ? {} : { sink: settings.sink }),
    ...(settings.worker === undefined ? {} : { worker: settings.worker }),
  });
}

/** Opens the doors of this thread; rejects with a sentence that names the address that cannot be bound. */
export async function openDoors(
  config: Config,
  policy: Policy,
  observer: Observer,
  limiter: Limiter,
  settings: FirewallSettings = {},
): Promise<Doors> {
  const gate = new Gate(policy, limiter, config.upstream.max_connections);
  const firewall = new Firewall({
    listeners: config.listeners.map(({ bind, proxy_protocol }) => ({
      bind,
      proxyPeers: proxy_protocol === undefined ? null : inRanges(proxy_protocol.from),
    })),
    sharePorts: settings.worker !== undefined,
    servers: config.upstream.servers,
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
    names: (address) => settings.names?.(address) ?? null,
    replacePolicy: (next) => {
      gate.policy = next;
    },
    stopListening: () => {
      firewall.stopListening();
      return firewall.sessions;
    },
    drain: (patience) => firewall.drain(patience),
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

/** Connectors that do not enforce. */
export function observingIn(policy: Policy): string[] {
  return policy.connectors.filter(({ mode }) => mode === 'observe').map(({ name }) => name);
}

function openAdmin(
  config: Config,
  file: string | null,
  observer: Observer,
  doors: Doors,
  explainQuery: (query: URLSearchParams) => Promise<object | string>,
  limits: LimitReport,
): Promise<Admin | null> {
  if (config.admin === null) return Promise.resolve(null);
  const { listen, token_file } = config.admin;
  return startAdmin({
    host: listen.address,
    port: listen.port,
    token: token_file === undefined ? null : readFileSync(beside(file, token_file), 'utf8').trim(),
    hostNames: [hostname().toLowerCase()],
    observer: {
      readiness: () => {
        const now = observer.readiness();
        return { ...now, listening: now.listening && doors.isOpen };
      },
      metrics: () => doors.metrics(),
    },
    askUpstream: () => doors.greets(),
    explain: explainQuery,
    limits,
  }).catch((error: Error) => {
    throw new Error(`cannot listen on ${formatEndpoint(listen)} (admin): ${whyNot(error)}`);
  });
}

const BAN: CloseReason = { origin: 'policy', what: 'banned' };

const UPSTREAM_LIMIT =
  'the upstream answered 421: if it counts connections by source, it counts all of ours as one. Give Postern a receive ' +
  'connector of its own there with these limits raised';
const REMIND_AFTER = 600_000; // ms

/** The observer as the proxy sees it, with an ear for the upstream that takes all clients for one. */
function watching(observer: Observer, { onEvent, upstreamUp }: FirewallSettings): FirewallObserver {
  let remindedAt = Number.NEGATIVE_INFINITY;
  const closed = (reason: CloseReason): void => {
    if (reason.origin !== 'upstream' || !reason.what.includes('421')) return;
    const now = performance.now();
    if (now - remindedAt < REMIND_AFTER) return;
    remindedAt = now;
    observer.warn(UPSTREAM_LIMIT);
  };
  return {
    upstreamUp: upstreamUp ?? ((server, up, why) => observer.upstreamUp(server, up, why)),
    upstreamConnected: (server, seconds) => observer.upstreamConnected(server, seconds),
    refusedAtDoor: (door, connector, reason, reply) => observer.refusedAtDoor(door, connector, reason, reply),
    observedAtDoor: (door, connector, reason, reply) => observer.observedAtDoor(door, connector, reason, reply),
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
