// Reaching the mail server: the servers in their order, those that are down left out, the next one when one fails.
//
// One connection for one session; nothing is pooled, since what a server remembers of a connection (login, transaction,
// capabilities) belongs to one client. A server that failed is asked again behind its back-off, by a probe that only
// hears its greeting. While every server is down, one session at a time may try them all; the others hear 421 at once
// instead of waiting for a connection that will not come. Not done here: any choice by load.

import { type Endpoint, formatEndpoint } from './address.ts';
import { type Answer, Call, type Caller, type CallSettings } from './call.ts';
import { Health } from './health.ts';

/** What dialling tells the observer. */
export interface DialObserver {
  /** `nextProbe`: seconds until it is asked again. */
  upstreamUp(server: string, up: boolean, why?: string, nextProbe?: number): void;
  upstreamConnected(server: string, seconds: number): void;
  /** TLS was wanted where it can be had, and could not be made. */
  upstreamInClear(server: string, why: string): void;
  /** It was to be told who the client is, and does not offer that. */
  upstreamUnidentified(server: string, identity: string): void;
}

/** A server that answered a session, or the last one that refused it. */
export interface Reached extends Answer {
  /** `host:port` */
  readonly server: string;
  /** To be called once, when the session is over. `silent`: the server owed an answer and did not give it, in time or at all;
   * `served`: it answered at least one command. */
  ended(how: 'silent' | 'served' | 'neither'): void;
}

/** How a server is doing, for /readyz. */
export interface ServerState {
  readonly server: string;
  readonly up: boolean;
  readonly why?: string;
  readonly next_probe_seconds?: number;
}

interface Server {
  readonly endpoint: Endpoint;
  readonly name: string;
  readonly health: Health;
  /** For the next probe. */
  timer: NodeJS.Timeout | null;
  probe: Call | null;
  /** What the probe under way will find. */
  found: Promise<boolean> | null;
}

export class Upstream {
  readonly #servers: readonly Server[];
  readonly #settings: CallSettings;
  readonly #observer: DialObserver;
  #trial = false; // a session tries servers that are down
  #closed = false;

  constructor(servers: readonly Endpoint[], settings: CallSettings, observer: DialObserver) {
    this.#servers = servers.map((endpoint) => ({
      endpoint,
      name: formatEndpoint(endpoint),
      health: new Health(),
      timer: null,
      probe: null,
      found: null,
    }));
    this.#settings = settings;
    this.#observer = observer;
  }

  /** Calls back once, perhaps before it returns: with a server that answered, or with null when none did. The function
   * returned gives up. */
  dial(caller: Caller, done: (reached: Reached | null) => void): () => void {
    const tried: Server[] = [];
    let call: Call | null = null;
    let refusal: Reached | null = null; // what the last one that refused to greet said
    let over = false;
    let trial = false;
    const end = (): void => {
      over = true;
      if (trial) this.#trial = false;
    };
    const attempt = (): void => {
      const server = this.#next(tried, trial);
      if (server === null) {
        end();
        done(refusal);
        return;
      }
      if (!server.health.isUp) {
        trial = true;
        this.#trial = true;
      }
      tried.push(server);
      callIt(server, this.#settings);
    };
    const callIt = (server: Server, settings: CallSettings): void => {
      call = new Call(server.endpoint, caller, settings, {
        connected: (seconds) => this.#observer.upstreamConnected(server.name, seconds),
        unidentified: () => this.#observer.upstreamUnidentified(server.name, settings.identity),
        answered: (answer) => {
          if (answer.socket === null) {
            refusal = { ...answer, server: server.name, ended: () => {} };
            this.#refused(server, answer.greeting);
            attempt();
            return;
          }
          end();
          this.#greeted(server);
          done({ ...answer, server: server.name, ended: (how) => this.#ended(server, how) });
        },
        failed: (why, inTls) => {
          if (inTls && settings.tls?.mode === 'opportunistic') {
            this.#observer.upstreamInClear(server.name, why);
            callIt(server, { ...settings, tls: null });
            return;
          }
          this.#failed(server, why);
          attempt();
        },
      });
    };
    attempt();
    return () => {
      if (over) return;
      end();
      call?.giveUp();
    };
  }

  /** Whether a server greets with 2yz: what /readyz wants to know. Asks one after the other. */
  async greets(): Promise<boolean> {
    for (const server of this.#servers) if (await this.#ask(server)) return true;
    return false;
  }

  get states(): ServerState[] {
    const now = performance.now();
    return this.#servers.map(({ name, health }) => {
      if (health.why === null) return { server: name, up: true };
      const wait = Math.max(0, Math.ceil((health.retryAt - now) / 1000));
      return { server: name, up: false, why: health.why, next_probe_seconds: wait };
    });
  }

  /** No more probes. Sessions are not touched. */
  close(): void {
    this.#closed = true;
    for (const server of this.#servers) {
      if (server.timer !== null) clearTimeout(server.timer);
      server.probe?.giveUp();
    }
  }

  /** The server to try now: of those that are up the first that takes it; where none is up, one session may try. */
  #next(tried: readonly Server[], trial: boolean): Server | null {
    const left = this.#servers.filter((server) => !tried.includes(server));
    const up = left.filter(({ health }) => health.isUp);
    if (up.length > 1) {
      const now = performance.now();
      return up.find(({ health }) => health.takes(now)) ?? (up[0] as Server);
    }
    if (up.length === 1) return up[0] as Server;
    return this.#trial && !trial ? null : (left[0] ?? null);
  }

  #greeted(server: Server): void {
    server.health.greeted(performance.now());
    if (server.timer !== null) clearTimeout(server.timer);
    server.timer = null;
    this.#observer.upstreamUp(server.name, true);
  }

  /** A greeting of 4yz. Where the server knows the client, it may mean that client alone; but RFC 3463 §3.4: X.3.2 is the
   * system that takes no messages now. */
  #refused(server: Server, greeting: Buffer): void {
    const said = firstLine(greeting);
    const known = this.#settings.identity === 'proxy-v1' || this.#settings.identity === 'proxy-v2';
    if (!known || / 4\d\d[ -]4\.3\.2/.test(said)) this.#failed(server, said);
  }

  #failed(server: Server, why: string): void {
    const now = performance.now();
    this.#isDown(server, now, server.health.failed(why, now));
  }

  #ended(server: Server, how: 'silent' | 'served' | 'neither'): void {
    if (how === 'served') server.health.served();
    if (how !== 'silent') return;
    const now = performance.now();
    if (server.health.fellSilent(now)) this.#isDown(server, now, true);
  }

  /** Sees to it that it is asked again. `anew`: its back-off has just begun. */
  #isDown(server: Server, now: number, anew: boolean): void {
    const { why, retryAt } = server.health;
    const wait = Math.max(0, retryAt - now);
    if (anew) {
      this.#observer.upstreamUp(server.name, false, why ?? '', wait / 1000);
      if (server.timer !== null) clearTimeout(server.timer);
      server.timer = null;
    }
    if (this.#closed || server.timer !== null) return;
    server.timer = setTimeout(() => {
      server.timer = null;
      this.#ask(server);
    }, wait);
    server.timer.unref();
  }

  /** Hears a server's greeting and takes leave; whether it was a good one. */
  #ask(server: Server): Promise<boolean> {
    server.found ??= new Promise<boolean>((resolve) => {
      const { tls, connectWithin } = this.#settings;
      const inside = tls?.mode === 'implicit' ? tls : null;
      const settings = { ...this.#settings, greetWithin: connectWithin, tls: inside };
      server.probe = new Call(server.endpoint, null, settings, {
        connected: () => {},
        unidentified: () => {},
        answered: ({ socket, greeting }) => {
          if (socket !== null) takeLeave(socket);
          if (greeting[0] === TWO) this.#greeted(server);
          else this.#failed(server, firstLine(greeting));
          resolve(greeting[0] === TWO);
        },
        failed: (why) => {
          this.#failed(server, why);
          resolve(false);
        },
      });
    }).finally(() => {
      server.found = null;
    });
    return server.found;
  }
}

const TWO = 0x32; // the first octet of a 2yz
const LEAVE_WITHIN = 1_000; // ms

function takeLeave(socket: NonNullable<Answer['socket']>): void {
  socket.on('error', () => {});
  socket.setTimeout(LEAVE_WITHIN, () => socket.destroy());
  socket.resume();
  socket.end('QUIT\r\n');
}

/** What a server said, for the log. */
function firstLine(greeting: Buffer): string {
  return `it greeted with ${greeting.toString('latin1').split('\n', 1)[0]?.trimEnd() ?? ''}`;
}
