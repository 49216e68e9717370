// The upstreams of a relay by their names: which of them a session goes to, and what is said of all their servers together.
//
// Each has its own servers, order and way of speaking (upstream.ts), and places (upstream-slots.ts). A server may stand in two
// of them: it is then one server for the operator, down where one of them finds it down, and drained for both.

import type { Endpoint } from './address.ts';
import type { CallSettings } from './call.ts';
import { mergeReports, mergeStates, type ServerReport, type ServerState } from './server-reports.ts';
import { type DialObserver, Upstream } from './upstream.ts';
import type { UpstreamTls } from './upstream-tls.ts';

export interface UpstreamSettings {
  /** As connectors name it; `default` is that of those that name none. */
  readonly name: string;
  readonly servers: readonly Endpoint[];
  readonly tls: UpstreamTls | null;
  /** How they are told who the client is. */
  readonly identity: CallSettings['identity'];
}

/** What holds for the calls to all of them. */
export type CallsInCommon = Pick<CallSettings, 'connectWithin' | 'greetWithin' | 'ourName'>;

export class Upstreams {
  #byName: ReadonlyMap<string, Upstream> = new Map();
  readonly #common: CallsInCommon;
  readonly #observer: DialObserver;
  readonly #servedElsewhere: ((server: string) => Promise<boolean>) | null;
  #closed = false;

  constructor(
    given: readonly UpstreamSettings[],
    common: CallsInCommon,
    observer: DialObserver,
    servedElsewhere: ((server: string) => Promise<boolean>) | null = null,
  ) {
    this.#common = common;
    this.#observer = observer;
    this.#servedElsewhere = servedElsewhere;
    this.change(given);
  }

  /** Those that are there from now on; sessions stay where they are. */
  change(given: readonly UpstreamSettings[]): void {
    if (this.#closed) return;
    const before = this.#byName;
    const drained = this.states.filter(({ draining }) => draining === true);
    this.#byName = new Map(given.map((one) => [one.name, this.#changed(before.get(one.name), one)]));
    for (const [name, upstream] of before) if (!this.#byName.has(name)) upstream.change([], this.#settingsOf(null));
    for (const { server } of drained) this.drainServer(server, true);
  }

  #changed(there: Upstream | undefined, given: UpstreamSettings): Upstream {
    const settings = this.#settingsOf(given);
    if (there === undefined)
      return new Upstream(given.servers, settings, this.#observer, this.#servedElsewhere, (server) =>
        this.#isDownFor(server),
      );
    there.change(given.servers, settings);
    return there;
  }

  #settingsOf(given: UpstreamSettings | null): CallSettings {
    return { ...this.#common, tls: given?.tls ?? null, identity: given?.identity ?? 'none' };
  }

  /** One of them finds it down. */
  #isDownFor(server: string): boolean {
    if (this.#byName.size === 1) return false;
    for (const upstream of this.#byName.values()) if (upstream.isDown(server)) return true;
    return false;
  }

  /** Null: a reload took it out. */
  of(name: string): Upstream | null {
    return this.#byName.get(name) ?? null;
  }

  /** Whether a server of any of them greets. */
  async greets(): Promise<boolean> {
    const answers = [...this.#byName.values()].map(async (upstream) =>
      (await upstream.greets()) ? true : Promise.reject(),
    );
    return Promise.any(answers).catch(() => false);
  }

  /** How many sessions of ours this server has. */
  serving(server: string): number {
    let sessions = 0;
    for (const upstream of this.#byName.values()) sessions += upstream.serving(server);
    return sessions;
  }

  get states(): ServerState[] {
    return mergeStates(this.#named((upstream) => upstream.states));
  }

  get reports(): ServerReport[] {
    return mergeReports(this.#named((upstream) => upstream.reports));
  }

  #named<State extends ServerState>(statesOf: (upstream: Upstream) => readonly State[]): State[] {
    return [...this.#byName].flatMap(([name, upstream]) => {
      const states = statesOf(upstream);
      return name === 'default' ? [...states] : states.map((state) => ({ ...state, upstreams: [name] }));
    });
  }

  /** Keeps new sessions away from a server, or lets them go there again. False when there is none of this name. */
  drainServer(server: string, draining: boolean): boolean {
    const found = [...this.#byName.values()].map((upstream) => upstream.drainServer(server, draining));
    return found.includes(true);
  }

  /** No more probes. Sessions are not touched. */
  close(): void {
    this.#closed = true;
    for (const upstream of this.#byName.values()) upstream.close();
  }
}
