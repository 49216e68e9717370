// Reaching the mail server: the servers in their order, those that are down left out, the next one when one fails.
//
// One connection for one session; nothing is pooled, since what a server remembers of a connection (login, transaction,
// capabilities) belongs to one client. A server that failed is asked again behind its back-off, by a probe that only
// hears its greeting. While every server is down, one session at a time may try them all; the others hear 421 at once
// instead of waiting for a connection that will not come.
//
// A server that takes the connection and does not greet for SILENT_AFTER is called on while the next one is tried: whoever
// greets first has the session, so nobody loses a slow server who has no other. For that moment there are two connections.
// A server that declines a session while it serves others is full, and stays up: Courier closes without a word, Exim and
// Exchange say 421. One that the operator drains is passed over, as if it were down. Not done here: any choice by load.

import { type Endpoint, formatEndpoint } from './address.ts';
import { type Answer, Call, type Caller, type CallSettings, SILENT_AFTER } from './call.ts';
import { Health } from './health.ts';
import type { ServerReport, ServerState } from './server-reports.ts';
import { leaveBehindQuit } from './upstream-end.ts';

/** What dialling tells the observer. */
export interface DialObserver {
  /** `nextProbe`: seconds until it is asked again. */
  upstreamUp(server: string, up: boolean, why?: string, nextProbe?: number): void;
  upstreamConnected(server: string, seconds: number): void;
  /** TLS was wanted where it can be had, and could not be made. */
  upstreamInClear(server: string, why: string): void;
  /** It took the connection and has said nothing for a while. `greeted`: but for its greeting, where we speak first. */
  upstreamSilent(server: string, greeted: boolean): void;
  /** It serves `sessions` (0: of other threads) and declined one more. `why`: how. */
  upstreamFull(server: string, sessions: number, why: string): void;
  /** This machine had no more of what a connection needs; the system's error code. */
  shortOf(code: string, doing: 'accept' | 'connect'): void;
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

interface Server {
  readonly endpoint: Endpoint;
  readonly name: string;
  readonly health: Health;
  /** No new sessions go there; those that it has go on. */
  draining: boolean;
  /** Sessions that it greeted, and that are not over. */
  serving: number;
  /** For the next probe. */
  timer: NodeJS.Timeout | null;
  probe: Call | null;
  /** What the probe under way will find. */
  found: Promise<boolean> | null;
  /** A reload took it out: it is neither asked nor told of any more. */
  left: boolean;
}

export class Upstream {
  #servers: readonly Server[];
  #settings: CallSettings;
  readonly #observer: DialObserver;
  readonly #servedElsewhere: ((server: string) => Promise<boolean>) | null;
  readonly #downElsewhere: (server: string) => boolean;
  #trial = false; // a session tries servers that are down
  #closed = false;

  /** `servedElsewhere`: whether other threads have sessions at this server; `downElsewhere`: whether another upstream that
   * names it finds it down, so that it is not told to be up. */
  constructor(
    servers: readonly Endpoint[],
    settings: CallSettings,
    observer: DialObserver,
    servedElsewhere: ((server: string) => Promise<boolean>) | null = null,
    downElsewhere: (server: string) => boolean = () => false,
  ) {
    this.#servedElsewhere = servedElsewhere;
    this.#downElsewhere = downElsewhere;
    this.#servers = servers.map(newServer);
    this.#settings = settings;
    this.#observer = observer;
  }

  /** Other servers, or the same spoken to otherwise. What is known of one that stays is kept, and one that is down is asked
   * at once: it may have been mended just now. Sessions stay where they are. */
  change(servers: readonly Endpoint[], settings: CallSettings): void {
    const before = this.#servers;
    this.#settings = settings;
    this.#servers = servers.map(
      (endpoint) => before.find(({ name }) => name === formatEndpoint(endpoint)) ?? newServer(endpoint),
    );
    for (const server of before) {
      if (this.#servers.includes(server)) continue;
      server.left = true;
      stopWaiting(server);
    }
    for (const server of this.#servers) {
      if (server.health.isUp || this.#closed) continue;
      stopWaiting(server);
      void this.#ask(server);
    }
  }

  get names(): string[] {
    return this.#servers.map(({ name }) => name);
  }

  isDown(name: string): boolean {
    return this.#servers.some((server) => server.name === name && !server.health.isUp);
  }

  /** Calls back once, perhaps before it returns: with a server that answered, or with null when none did. `shortOf`: the
   * system's error code where this machine lacked what a connection needs. The function returned gives up. */
  dial(caller: Caller, done: (reached: Reached | null, shortOf: string | null) => void): () => void {
    const tried: Server[] = [];
    const calls = new Map<Call, Server>(); // under way: one, and those that have been silent for long
    let refusal: Reached | null = null; // what the last one that refused to greet said
    let shortage: string | null = null; // what this machine lacked
    let over = false;
    let trial = false;
    const end = (): void => {
      over = true;
      if (trial) this.#trial = false;
      for (const call of calls.keys()) call.giveUp();
    };
    const attempt = (): void => {
      if (over) return;
      const server = this.#next(tried, trial);
      if (server === null) {
        if (calls.size > 0) return; // one that is silent may greet yet
        end();
        done(refusal, shortage);
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
      const call = new Call(server.endpoint, caller, settings, {
        connected: (seconds) => this.#observer.upstreamConnected(server.name, seconds),
        unidentified: () => this.#observer.upstreamUnidentified(server.name, settings.identity),
        silent: (greeted) => {
          this.#observer.upstreamSilent(server.name, greeted);
          attempt();
        },
        answered: (answer) => {
          calls.delete(call);
          if (answer.stream === null) {
            refusal = { ...answer, server: server.name, ended: () => {} };
            this.#refused(server, answer.greeting, attempt);
            return;
          }
          const silent = [...calls.values()];
          end();
          for (const one of silent) this.#failed(one, NOT_GREETED);
          this.#greeted(server);
          done(this.#reached(server, answer), null);
        },
        failed: ({ why, inTls, declined, shortOf }) => {
          calls.delete(call);
          if (shortOf !== undefined) {
            shortage = shortOf;
            this.#observer.shortOf(shortOf, 'connect');
            attempt();
          } else if (inTls && settings.tls?.mode === 'opportunistic') {
            this.#observer.upstreamInClear(server.name, why);
            callIt(server, { ...settings, tls: null });
          } else if (declined) this.#declined(server, why, attempt);
          else {
            this.#failed(server, why);
            attempt();
          }
        },
      });
      calls.set(call, server);
    };
    attempt();
    return () => {
      if (!over) end();
    };
  }

  /** Whether a server greets with 2yz: what /readyz wants to know. One is asked after the other, the next one also while one
   * takes its time. */
  async greets(): Promise<boolean> {
    const answers: Promise<boolean>[] = [];
    for (const server of this.#servers) {
      if (server.draining) continue;
      answers.push(this.#ask(server));
      if (await Promise.race([oneIsTrue(answers), falseAfter(ASK_NEXT_AFTER)])) return true;
    }
    return oneIsTrue(answers);
  }

  /** How many sessions of ours this server has. */
  serving(name: string): number {
    return this.#servers.find((server) => server.name === name)?.serving ?? 0;
  }

  get states(): ServerState[] {
    const now = performance.now();
    return this.#servers.map(({ name, health, draining }) => {
      const drained = draining ? ({ draining } as const) : {};
      if (health.why === null) return { server: name, up: true, ...drained };
      const wait = Math.max(0, Math.ceil((health.retryAt - now) / 1000));
      return { server: name, up: false, ...drained, why: health.why, next_probe_seconds: wait };
    });
  }

  get reports(): ServerReport[] {
    const now = performance.now();
    return this.states.map((state, i) => {
      const { health, serving } = this.#servers[i] as Server;
      return { ...state, forMs: health.since === null ? null : now - health.since, sessions: serving };
    });
  }

  /** Keeps new sessions away from a server, or lets them go there again. False when there is none of this name. */
  drainServer(name: string, draining: boolean): boolean {
    const server = this.#servers.find((one) => one.name === name);
    if (server === undefined) return false;
    server.draining = draining;
    return true;
  }

  /** No more probes. Sessions are not touched. */
  close(): void {
    this.#closed = true;
    for (const server of this.#servers) {
      stopWaiting(server);
      server.probe?.giveUp();
    }
  }

  /** The server to try now: of those that are up the first that takes it; where none is up, one session may try. */
  #next(tried: readonly Server[], trial: boolean): Server | null {
    const left = this.#servers.filter((server) => !server.draining && !tried.includes(server));
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
    stopWaiting(server);
    if (!server.left && !this.#downElsewhere(server.name)) this.#observer.upstreamUp(server.name, true);
  }

  #reached(server: Server, answer: Answer): Reached {
    const isServed = answer.greeting[0] === TWO;
    if (isServed) server.serving++;
    const ended = (how: 'silent' | 'served' | 'neither'): void => {
      if (isServed) server.serving--;
      this.#ended(server, how);
    };
    return { ...answer, server: server.name, ended };
  }

  /** A greeting of 4yz. Where the server knows the client, it may mean that client alone; but RFC 3463 §3.4: X.3.2 is the
   * system that takes no messages now. */
  #refused(server: Server, greeting: Buffer, then: () => void): void {
    const said = firstLine(greeting);
    const known = this.#settings.identity === 'proxy-v1' || this.#settings.identity === 'proxy-v2';
    if (!known || / 4\d\d[ -]4\.3\.2/.test(said)) this.#declined(server, said, then);
    else then();
  }

  /** It would not have this session: it is full where it serves others, and else down. `then` when that is known. */
  #declined(server: Server, why: string, then: (isFull: boolean) => void): void {
    const decide = (isFull: boolean): void => {
      if (isFull && server.health.isUp) this.#observer.upstreamFull(server.name, server.serving, why);
      else this.#failed(server, why);
      then(isFull);
    };
    if (server.serving > 0 || this.#servedElsewhere === null || !server.health.isUp) decide(server.serving > 0);
    else this.#servedElsewhere(server.name).then(decide, () => decide(false));
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
    if (server.left) return;
    const { why, retryAt } = server.health;
    const wait = Math.max(0, retryAt - now);
    if (anew) {
      this.#observer.upstreamUp(server.name, false, why ?? '', wait / 1000);
      stopWaiting(server);
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
        silent: (greeted) => this.#observer.upstreamSilent(server.name, greeted),
        answered: ({ stream, greeting }) => {
          if (stream !== null) takeLeave(stream);
          if (greeting[0] === TWO) {
            this.#greeted(server);
            resolve(true);
          } else if (greeting[0] === FOUR) this.#declined(server, firstLine(greeting), resolve);
          else {
            this.#failed(server, firstLine(greeting));
            resolve(false);
          }
        },
        failed: ({ why, declined, shortOf }) => {
          if (shortOf !== undefined) {
            this.#observer.shortOf(shortOf, 'connect');
            if (!server.health.isUp) this.#failed(server, server.health.why ?? why); // it is asked again
            resolve(server.health.isUp);
          } else if (declined) this.#declined(server, why, resolve);
          else {
            this.#failed(server, why);
            resolve(false);
          }
        },
      });
    }).finally(() => {
      server.found = null;
    });
    return server.found;
  }
}

const TWO = 0x32; // the first octet of a 2yz
const FOUR = 0x34;
const NOT_GREETED = `it accepted the connection and did not greet within ${SILENT_AFTER / 1000} s`;
const ASK_NEXT_AFTER = 250; // ms

function newServer(endpoint: Endpoint): Server {
  const name = formatEndpoint(endpoint);
  const health = new Health();
  return { endpoint, name, health, draining: false, serving: 0, timer: null, probe: null, found: null, left: false };
}

function stopWaiting(server: Server): void {
  if (server.timer !== null) clearTimeout(server.timer);
  server.timer = null;
}

function takeLeave(stream: NonNullable<Answer['stream']>): void {
  stream.write(Buffer.from('QUIT\r\n'));
  leaveBehindQuit(stream);
}

/** True with the first that is, false when none is. */
function oneIsTrue(answers: readonly Promise<boolean>[]): Promise<boolean> {
  const orElse = async (answer: Promise<boolean>): Promise<true> => ((await answer) ? true : Promise.reject());
  return Promise.any(answers.map(orElse)).catch(() => false);
}

function falseAfter(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, ms, false).unref());
}

/** What a server said, for the log. */
function firstLine(greeting: Buffer): string {
  return `it greeted with ${greeting.toString('latin1').split('\n', 1)[0]?.trimEnd() ?? ''}`;
}
