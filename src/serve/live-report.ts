// What an operator sees of the running firewall, and does to it: GET /status, GET /sessions, DELETE /sessions/ID, drains, reload.
//
// The shapes are a contract (status/shapes, docs/admin.md). Every list has an end, and what a peer called itself is made harmless.
// Not here: how threads are asked (worker-pool), HTTP (observe/admin-live), and what a terminal shows of it (status/screen).

import { X509Certificate } from 'node:crypto';
import packageFile from '../../package.json' with { type: 'json' };
import type { Config } from '../config/schema.ts';
import type { OperatorLive } from '../observe/admin-live.ts';
import { notProtected, type Observer } from '../observe/events.ts';
import { harmless } from '../observe/log.ts';
import type { Measured } from '../observe/measured.ts';
import { Pace } from '../observe/pace.ts';
import { parseIp } from '../policy/ip.ts';
import { networkOf } from '../policy/networks.ts';
import { formatEndpoint } from '../proxy/address.ts';
import { certificateNames } from '../proxy/certificate-names.ts';
import type { Credentials } from '../proxy/client-tls.ts';
import type { ServerReport } from '../proxy/server-reports.ts';
import { ALL_PHASES } from '../proxy/snapshot.ts';
import type { CertificateStatus, ServerStatus, SessionList, SessionRow, Status, Total } from '../status/shapes.ts';
import { upstreamsOf } from '../status/words.ts';
import type { NumberedSnapshot, SessionQuestion } from './live-sessions.ts';
import type { ReloadOutcome } from './reload-outcome.ts';
import type { Listeners } from './threads.ts';

export interface LiveOptions {
  readonly config: Config;
  readonly listeners: Listeners;
  readonly observer: Observer;
  readonly bans: () => number;
  /** As bound; known when all is open. */
  readonly admin: () => string | null;
  readonly reload: () => Promise<ReloadOutcome>;
}

const SHOWN = 100; // sessions, where no limit is given
const MOST = 1_000;
const MOST_NAMES = 10; // of a certificate
const DAY = 86_400_000;
const SOON = 14; // days
const WORDS = ['client', 'connector', 'server', 'phase', 'limit'];

export class LiveReport implements OperatorLive {
  readonly #options: LiveOptions;
  readonly #started = Date.now();
  readonly #drained = new Map<string, number>(); // since when
  #policy = { version: 'none', loaded: this.#started };
  #certificates: readonly (CertificateStatus & { readonly until: number })[] = [];

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  policyLoaded(version: string): void {
    this.#policy = { version, loaded: Date.now() };
  }

  /** Those that a reload left; what was drained and is none of them is forgotten. */
  serversAre(servers: readonly string[]): void {
    for (const server of this.#drained.keys()) if (!servers.includes(server)) this.#drained.delete(server);
  }

  /** What the listeners show from now on; of each, in the order of the configuration. */
  shows(credentials: readonly Credentials[]): void {
    this.#certificates = credentials.flatMap(({ certificates }, i) => {
      const at = this.#options.config.listeners[i]?.bind[0];
      return certificates.map(({ cert }) => describe(at === undefined ? '' : formatEndpoint(at), cert));
    });
    this.#options.observer.shows(
      this.#certificates.map(({ listener, names, until }) => ({ listener, name: names[0] ?? '(no name)', until })),
    );
  }

  async status(): Promise<Status> {
    const { config, listeners, observer, bans, admin } = this.#options;
    const [reports, measured] = await Promise.all([listeners.reports(), listeners.measured()]);
    const now = Date.now();
    const { listening, draining, mode, observing, lostAddresses } = observer.readiness();
    const servers = reports.map((report) => this.#server(report, now));
    const refused = observer.refusedReload;
    const certificates = this.#certificates.map(({ until, ...one }) => {
      return { ...one, days_left: Math.floor((until - now) / DAY) };
    });
    const state = {
      kind: config.state === 'memory' ? ('memory' as const) : ('redis' as const),
      up: sumOf(measured.slice(0, 1), 'postern_state_up') === 1,
    };
    const known = {
      mode,
      protected: notProtected(mode, observing) === null,
      draining,
      workers: listeners.threads,
      servers,
      totals: totalsOf(measured),
      state,
      certificates,
      reload_refused:
        refused === null ? null : { time: iso(refused.at), findings: refused.findings.slice(0, MOST_FINDINGS) },
    };
    return {
      time: iso(now),
      version: packageFile.version,
      listening: listening && listeners.isOpen,
      started: iso(this.#started),
      uptime_seconds: Math.floor((now - this.#started) / 1000),
      policy: { version: this.#policy.version, loaded: iso(this.#policy.loaded) },
      listeners: listeners.addresses.map(formatEndpoint),
      admin: admin(),
      sessions: sessionsOf(measured),
      bans: bans(),
      ...known,
      warnings: warningsOf(known, notProtected(mode, observing), lostAddresses),
    };
  }

  async sessions(query: URLSearchParams): Promise<SessionList | string> {
    const asked = readQuestion(query);
    if (typeof asked === 'string') return asked;
    const { listeners } = this.#options;
    const { open, sessions, more } = await listeners.sessions(asked);
    const now = Date.now();
    const pace = new Pace();
    const rows: SessionRow[] = [];
    for (const one of sessions) {
      if (pace.isOver) await pace.turn();
      rows.push(rowOf(one, now));
    }
    return { open, more, sessions: rows };
  }

  async endSession(id: string): Promise<boolean> {
    const match = /^([1-9]\d{0,5})-([1-9]\d{0,14})$/.exec(id);
    return match !== null && (await this.#options.listeners.endSession(Number(match[1]), Number(match[2])));
  }

  async drainServer(server: string, draining: boolean): Promise<boolean> {
    const { listeners, observer } = this.#options;
    if (!(await listeners.drainServer(server, draining))) return false;
    if (draining !== this.#drained.has(server)) observer.serverDrained(server, draining);
    if (!draining) this.#drained.delete(server);
    else if (!this.#drained.has(server)) this.#drained.set(server, Date.now());
    return true;
  }

  reload(): Promise<ReloadOutcome> {
    return this.#options.reload();
  }

  #server(
    { forMs, sessions, server, up, upstreams, why, next_probe_seconds }: ServerReport,
    now: number,
  ): ServerStatus {
    const drainedAt = this.#drained.get(server);
    const since = drainedAt ?? (forMs === null ? null : now - forMs);
    const state = drainedAt !== undefined ? 'draining' : forMs === null ? 'unknown' : up ? 'up' : 'down';
    return {
      ...{ server, state, up, since: since === null ? null : iso(since), sessions },
      ...(upstreams === undefined ? {} : { upstreams }),
      ...(why === undefined ? {} : { why: harmless(why) }),
      ...(next_probe_seconds === undefined ? {} : { next_probe_seconds }),
    };
  }
}

const MOST_FINDINGS = 10;

function readQuestion(query: URLSearchParams): SessionQuestion | string {
  for (const word of query.keys())
    if (!WORDS.includes(word)) return `${harmless(word)}: there is no such filter; there are ${WORDS.join(', ')}`;
  const limit = query.get('limit') ?? String(SHOWN);
  if (!/^[0-9]{1,6}$/.test(limit) || Number(limit) < 1 || Number(limit) > MOST)
    return `limit: a number from 1 to ${MOST} is wanted`;
  const phase = query.get('phase');
  if (phase !== null && !ALL_PHASES.includes(phase)) return `phase: one of ${ALL_PHASES.join(', ')} is wanted`;
  const client = query.get('client');
  const network = client === null ? null : readNetwork(client);
  if (client !== null && network === null)
    return 'client: an address or a network is wanted: 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64';
  return { network, connector: query.get('connector'), server: query.get('server'), phase, most: Number(limit) };
}

/** An address is a network of one. */
function readNetwork(text: string): string | null {
  const [, address = '', length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const ip = parseIp(address);
  if (ip === null) return null;
  const longest = typeof ip === 'number' ? 32 : 128;
  return Number(length ?? longest) > longest ? null : networkOf(ip, Number(length ?? longest));
}

function rowOf(one: NumberedSnapshot, now: number): SessionRow {
  return {
    id: `${one.worker}-${one.number}`,
    client_address: one.clientAddress,
    client_port: one.clientPort,
    connector: one.connector,
    server: one.server || null,
    phase: one.phase,
    waits_for: one.waitsFor,
    waits_since: iso(now - one.waitsForMs),
    opened: iso(now - one.openForMs),
    octets_from_client: one.octetsFromClient,
    octets_from_upstream: one.octetsFromUpstream,
    sasl_username: one.login === null ? null : harmless(one.login),
    helo_name: one.helo === '' ? null : harmless(one.helo),
    verb: one.verb || null,
  };
}

function describe(listener: string, pem: string): CertificateStatus & { until: number } {
  const certificate = new X509Certificate(pem);
  const until = certificate.validToDate.getTime();
  const hosts = certificateNames(certificate).names.filter((name) => !name.includes('='));
  const names = hosts.slice(0, MOST_NAMES).map(harmless);
  return { listener, names, not_after: iso(until), days_left: 0, until };
}

function totalsOf(measured: readonly (readonly Measured[])[]): Record<Total, number> {
  const recipients = (decision: string): number => sumOf(measured, 'postern_recipients_total', { decision });
  const refused = sumOf(measured, 'postern_sessions_total', { outcome: 'refused' });
  return {
    sessions: sumOf(measured, 'postern_sessions_total') - refused,
    connections_refused: refused,
    messages: sumOf(measured, 'postern_messages_total'),
    recipients_passed: recipients('proceed'),
    recipients_refused: recipients('reject'),
    recipients_would_be_refused: recipients('would_reject'),
    recipients_refused_by_server: sumOf(measured, 'postern_recipients_total', { answer: 'refused' }),
    defects: sumOf(measured, 'postern_defects_total'),
    log_lines_lost: sumOf(measured, 'postern_log_lines_lost_total'),
  };
}

export function sessionsOf(measured: readonly (readonly Measured[])[]): Status['sessions'] {
  const counted = (name: string, label: string): Record<string, number> => {
    const sums: Record<string, number> = Object.create(null); // a connector may be called toString
    for (const { labels, value } of measured.flat().flatMap((metric) => (metric.name === name ? metric.values : []))) {
      const key = String(labels[label]);
      if (value > 0) sums[key] = (sums[key] ?? 0) + value;
    }
    return sums;
  };
  const byPhase = counted('postern_sessions_by_phase', 'phase');
  return {
    open: Object.values(byPhase).reduce((sum, count) => sum + count, 0),
    by_phase: byPhase,
    by_connector: counted('postern_sessions_by_connector', 'connector'),
  };
}

/** The sum of what has these labels. */
function sumOf(
  measured: readonly (readonly Measured[])[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = Object.entries(labels);
  let sum = 0;
  for (const thread of measured)
    for (const metric of thread) {
      if (metric.name !== name) continue;
      for (const one of metric.values)
        if (wanted.every(([label, value]) => one.labels[label] === value)) sum += one.value;
    }
  return sum;
}

type Known = Pick<Status, 'draining' | 'workers' | 'servers' | 'totals' | 'state' | 'certificates' | 'reload_refused'>;

/** What an operator should know first, the worst at the top. */
function warningsOf(known: Known, unprotected: string | null, lostAddresses: string | null): string[] {
  const { servers, workers, state, totals, certificates, reload_refused: refused } = known;
  const warnings: (string | null)[] = [unprotected];
  if (known.draining) warnings.push('this firewall is ending: it takes no new clients');
  warnings.push(...withoutServers(servers));
  if (workers.open < workers.configured) warnings.push(`${workers.configured - workers.open} workers are not running`);
  if (refused !== null)
    warnings.push(
      `the reload of ${refused.time} was refused and the configuration before it is in force: ${refused.findings[0] ?? ''}`,
    );
  warnings.push(lostAddresses);
  if (!state.up) warnings.push('Redis does not answer: this node counts limits by itself');
  for (const { names, listener, days_left } of certificates) {
    const which = `the certificate for ${names[0] ?? '(no name)'} at ${listener}`;
    if (days_left < 0) warnings.push(`${which} has ended`);
    else if (days_left < SOON) warnings.push(`${which} ends in ${days_left} days`);
  }
  if (totals.defects > 0) warnings.push(`${totals.defects} faults of Postern itself were caught: the log has 'defect'`);
  if (totals.log_lines_lost > 0) warnings.push(`${totals.log_lines_lost} log lines were lost`);
  return warnings.filter((warning) => warning !== null);
}

/** Of all servers, or of the upstreams that have none left. */
function withoutServers(servers: readonly ServerStatus[]): string[] {
  const takesNone = (some: readonly ServerStatus[]): boolean =>
    some.every(({ state }) => state === 'down' || state === 'draining');
  if (takesNone(servers)) return ['no server takes sessions: each is down or drained, and clients hear 421'];
  const names = [...new Set(servers.flatMap(upstreamsOf))];
  return names
    .filter((name) => takesNone(servers.filter((server) => upstreamsOf(server).includes(name))))
    .map(
      (name) =>
        `no server of upstream '${name}' takes sessions: each is down or drained, and clients of its connectors hear 421`,
    );
}

function iso(at: number): string {
  return new Date(Math.round(at)).toISOString();
}
