// The whole firewall: listeners in this thread or in several, the counts that they share, and the admin port.
//
// The rooms – config, policy, limits, proxy, observe – do not know each other; they meet here and in listeners.ts.

import { readFileSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { beside } from '../config/beside.ts';
import { canSharePorts, thisHost } from '../config/host.ts';
import type { Config } from '../config/schema.ts';
import type { Ban } from '../limits/store.ts';
import { type Admin, startAdmin } from '../observe/admin.ts';
import type { Observer } from '../observe/events.ts';
import { formatMeasured } from '../observe/measured.ts';
import { openRelayedFile, type RelayedFile } from '../observe/relayed-file.ts';
import { explain, type PlaceOf } from '../policy/explain.ts';
import type { Policy } from '../policy/policy.ts';
import { type PolicyQuestionWords, readPolicyQuestion } from '../policy/policy-question.ts';
import { isPrivate } from '../policy/spans.ts';
import { type Endpoint, formatEndpoint } from '../proxy/address.ts';
import type { Credentials } from '../proxy/client-tls.ts';
import { whyNot } from '../proxy/listener.ts';
import { HAS_HANDLES } from '../proxy/tcp-handles.ts';
import { LimitReport } from './limit-report.ts';
import { openStore } from './limit-store.ts';
import { Limiter } from './limiter.ts';
import { listenersOf, observerFor, openListeners, type ServeSettings } from './listeners.ts';
import { LiveReport } from './live-report.ts';
import { PageReport } from './page-report.ts';
import type { ReloadOutcome } from './reload-outcome.ts';
import type { Listeners, LoadOrder } from './threads.ts';
import { serversOf } from './upstream-settings.ts';
import { reachable } from './without-ipv6.ts';
import { WorkerPool } from './worker-pool.ts';

/** `order`: without it there is one thread, whatever the configuration says. */
export interface FirewallSettings extends ServeSettings {
  /** Where paths into the policy stand: for GET /explain. */
  readonly place?: PlaceOf;
  /** Reads the files anew, for POST /reload. */
  readonly reload?: () => Promise<ReloadOutcome>;
  /** What `check` warns of in it: the page says it. */
  readonly findings?: readonly string[];
  /** Hears of a client whose own address was lost. */
  readonly onLostAddress?: (address: string) => void;
  /** As of a WorkerPool. */
  readonly startWorker?: ((number: number) => Worker) | undefined;
}

/** What was read anew. */
export interface Fresh {
  readonly config: Config;
  readonly policy: Policy;
  /** Of each listener, in the order of the configuration. */
  readonly credentials: readonly Credentials[];
  readonly findings?: readonly string[];
}

export interface RunningFirewall {
  /** As bound: port 0 has become a port. */
  readonly addresses: readonly Endpoint[];
  readonly adminAddress: Endpoint | null;
  readonly observer: Observer;
  /** Which version of the policy it is that is in force since the start: for the log and for GET /status. */
  policyIs(version: string): void;
  /** Puts what was read anew in the place of what is in force; resolves when no door judges by the old policy any more. */
  putInForce(next: Fresh, version: string, place: PlaceOf, order?: LoadOrder): Promise<void>;
  /** Opens the file for relayed mail anew, where there is one: it was moved away. */
  reopenFiles(): Promise<void>;
  /** Stops listening, waits for transactions in flight for `patience` ms, then cuts off. */
  drain(patience: number): Promise<void>;
  /** Ends every session now. */
  cutOff(): void;
  /** Ends everything now. */
  close(): Promise<void>;
}

/** Opens the listeners and the admin port; rejects with a sentence that names the address that cannot be bound, or the file
 * that cannot be opened. */
export async function startFirewall(
  asked: Config,
  policy: Policy,
  settings: FirewallSettings = {},
): Promise<RunningFirewall> {
  const { config, missing } = await reachable(asked);
  const { ownAddresses, gateways } = settings.order?.world.host ?? thisHost();
  const relayed = relayedFileOf(config, settings.file ?? null);
  const observer = observerFor(config, policy, {
    ...settings,
    ...(relayed === null ? {} : { relayed: relayed.sink }),
    bans: () => store.bans(performance.now()),
    isInside: (address) => isPrivate(address) || ownAddresses.includes(address) || gateways.includes(address),
  });
  let endSessions: (ban: Ban) => void = () => {};
  const store = await openStore(config, settings.file ?? null, {
    up: () => observer.stateUp(true),
    down: (why) => observer.stateUp(false, why),
    full: (kind) => observer.warn('share_is_full', { kind }),
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
  const listeners = await openAllListeners(config, policy, observer, limiter, settings).catch(failed);
  endSessions = (ban) => listeners.endSessions(ban);
  let policyInForce = policy;
  let place: PlaceOf = settings.place ?? (() => ({ file: 'policy', line: 0, column: 0 }));
  const explainQuery = async (query: URLSearchParams): Promise<object | string> => {
    const asked = readPolicyQuestion(wordsOf(query), (word) => word);
    if (typeof asked === 'string') return asked;
    const before = await listeners.names(asked.source);
    return explain(policyInForce, asked, () => settings.names?.(asked.source) ?? before, place); // the answer may have asked DNS
  };
  const report = new LimitReport(
    limiter,
    () => policyInForce,
    (network) => observer.banLifted(network),
  );
  const live = new LiveReport({
    config,
    listeners,
    observer,
    bans: () => store.bans(performance.now()),
    admin: () => (adminAddress === null ? null : formatEndpoint(adminAddress)),
    reload: settings.reload ?? (async () => NO_FILES),
  });
  live.shows(settings.credentials ?? []);
  const page = new PageReport({
    status: () => live.status(),
    limits: () => report.view(),
    listeners,
    hasToken: config.admin?.token_file !== undefined,
  });
  page.findings = settings.findings ?? [];
  let adminAddress: Endpoint | null = null;
  let token = tokenOf(config, settings.file, settings.order);
  const admin = await openAdmin(config, () => token, observer, listeners, explainQuery, report, live, page).catch(
    async (error: Error) => {
      await listeners.drain(0);
      return failed(error);
    },
  );
  adminAddress = admin === null ? null : { address: admin.host, port: admin.port };
  if (admin !== null) page.start();
  const sockets = HAS_HANDLES ? 'handles' : 'plain';
  if (missing.length > 0) observer.warn('no_ipv6', { addresses: missing });
  observer.listening(listeners.addresses.map(formatEndpoint), adminAddress && formatEndpoint(adminAddress), sockets);
  const policyIs = (version: string): void => {
    live.policyLoaded(version);
    observer.policyLoaded(version);
  };
  const end = async (patience: number): Promise<void> => {
    observer.draining(await listeners.stopListening());
    observer.drained(await listeners.drain(patience));
    page.stop();
    await admin?.close();
    await store.close();
    await observer.flush();
  };
  return {
    addresses: listeners.addresses,
    adminAddress,
    observer,
    policyIs,
    putInForce: async (next, version, at, order) => {
      const sameListeners = isDeepStrictEqual(listenersOf(next.config), listenersOf(asked));
      const credentials = sameListeners ? next.credentials : null;
      await listeners.putInForce({ config: next.config, policy: next.policy, credentials }, order);
      live.serversAre(serversOf(next.config));
      // A token that has leaked holds no longer; another file, or none, is for a new start.
      if (next.config.admin?.token_file === config.admin?.token_file)
        token = tokenOf(next.config, settings.file, order);
      policyInForce = next.policy;
      place = at;
      page.findings = next.findings ?? [];
      if (credentials !== null) live.shows(credentials);
      policyIs(version);
    },
    reopenFiles: async () => {
      const why = (await relayed?.reopen()) ?? null;
      if (why !== null) observer.warn('relayed_file_not_opened', { file: config.log.relayed_file ?? '', why });
    },
    drain: end,
    cutOff: () => listeners.cutOff(),
    close: () => end(0),
  };
}

const NO_FILES: ReloadOutcome = { reloaded: false, error: 'Nothing can be read anew here.', findings: [] };

/** The words of GET /explain: `tls` alone says it, and tls=false says that there is none. */
function wordsOf(query: URLSearchParams): PolicyQuestionWords {
  const tls = query.has('tls') && query.get('tls') !== 'false';
  return { ...Object.fromEntries(query), tls, tlsSubject: query.getAll('tls_subject') };
}

function relayedFileOf({ log }: Config, file: string | null): RelayedFile | null {
  if (log.relayed_file === null) return null;
  try {
    return openRelayedFile(beside(file, log.relayed_file));
  } catch (error) {
    throw new Error(`cannot open ${log.relayed_file} (log.relayed_file): ${(error as Error).message}`);
  }
}

function openAllListeners(
  config: Config,
  policy: Policy,
  observer: Observer,
  limiter: Limiter,
  settings: FirewallSettings,
): Promise<Listeners> {
  const { order } = settings;
  const count = config.workers === 'auto' ? (canSharePorts() ? availableParallelism() : 1) : config.workers;
  return count === 1 || order === undefined
    ? openListeners(config, policy, observer, limiter, settings)
    : WorkerPool.start({ ...settings, order, count, config, observer, limiter });
}

/** As it was read with the configuration. */
function tokenOf({ admin }: Config, file: string | null = null, order?: LoadOrder): string | null {
  if (admin?.token_file === undefined) return null;
  const path = beside(file, admin.token_file);
  const read = order?.world.texts.get(path);
  return (read !== undefined && 'octets' in read ? Buffer.from(read.octets) : readFileSync(path)).toString().trim();
}

function openAdmin(
  config: Config,
  token: () => string | null,
  observer: Observer,
  listeners: Listeners,
  explainQuery: (query: URLSearchParams) => Promise<object | string>,
  limits: LimitReport,
  live: LiveReport,
  page: PageReport,
): Promise<Admin | null> {
  if (config.admin === null) return Promise.resolve(null);
  const { listen } = config.admin;
  return startAdmin({
    host: listen.address,
    port: listen.port,
    token,
    hostNames: [hostname().toLowerCase()],
    observer: {
      readiness: () => {
        const now = observer.readiness();
        const upstream = listeners.areAllDrained ? false : now.upstream;
        return { ...now, upstream, listening: now.listening && listeners.isOpen };
      },
      metrics: async () => formatMeasured(await listeners.measured()),
    },
    askUpstream: () => listeners.greets(),
    servers: () => listeners.servers(),
    explain: explainQuery,
    limits,
    live,
    page,
  }).catch((error: Error) => {
    throw new Error(`cannot listen on ${formatEndpoint(listen)} (admin): ${whyNot(error)}`);
  });
}
