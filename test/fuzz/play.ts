// One session over real sockets: client → firewall → server, and all that was heard on both ends.
//
// A legitimate client waits for the replies that are due. Any other says its next words when nothing moves any more, or at
// once; so the end is definite: both connections are awaited, and nothing that the firewall would still forward is missed.

import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Backend } from '../helpers/backend.ts';
import { type Reply, SmtpClient } from '../helpers/smtp-client.ts';
import type { StandInConnection } from '../helpers/upstream-stand-in.ts';
import type { Place } from './bed.ts';
import type { Header, Session, Setting } from './case.ts';

const QUIET_MS = 8;
const QUIET_AT_MOST_MS = 400;
const DIALLED_MS = 3000;
/** A session in which nothing moves for so long is stuck, and so is one that has not come to its end by then. Counted in turns of a
 * timer and not by the clock: where the whole machine stood still, nobody was stuck. */
const STUCK_TURNS = 500;
const ENDLESS_TURNS = 6000;
const TURN_MS = 50;

/** Turns of the timer so far. */
let turns = 0;
setInterval(() => turns++, TURN_MS).unref();

export interface Heard {
  readonly session: Session;
  readonly setting: Setting;
  readonly replies: readonly Reply[];
  /** What each step was answered; those that came between are the earlier one's. */
  readonly answers: readonly (readonly Reply[])[];
  readonly servers: readonly StandInConnection[];
  readonly other: readonly StandInConnection[];
  /** The client's address as a PROXY header told it to the server. */
  readonly told: readonly string[];
  readonly defects: readonly string[];
  /** What did not come to its end; '' when all did. */
  readonly stuck: string;
  /** The firewall ended the connection before the client did. */
  readonly closed: boolean;
}

/** What held when the server executed a MAIL or a recipient. */
export interface Mark {
  /** The client is in TLS. */
  readonly tls: boolean;
  /** null: a reload is under way, or was made while something still moved. */
  readonly inForce: 'policy' | 'next' | null;
}

/** What the server must say so that the setting is as it is meant. */
function backendOf(setting: Setting, backend: Backend): Backend {
  const { caps_add = [], caps_remove = [], rst_after, ...rest } = backend;
  return {
    ...rest,
    ...(rst_after !== undefined && setting.upstreamTls === 'none' ? { rst_after } : {}), // Node can reset a bare socket only
    caps_add: setting.identity === 'xforward' ? [...caps_add, 'XFORWARD NAME ADDR PORT PROTO HELO'] : caps_add,
    caps_remove: setting.dialect === '7bit' ? [...caps_remove, 'SMTPUTF8'] : caps_remove,
  };
}

export async function play(bed: Place, session: Session): Promise<Heard> {
  const { setting } = bed;
  await bed.putInForce('policy');
  const talk = new Talk(bed, setting.clientTls === 'implicit');
  const mark = (): Mark => ({ tls: talk.secured, inForce: talk.inForce });
  bed.servers.expect(backendOf(setting, session.backend), mark);
  bed.other.expect(backendOf(setting, session.backend), mark);
  const stuck = await talk.go(session);
  return {
    session,
    setting,
    replies: [...talk.client.replies],
    answers: talk.answers,
    servers: [...bed.servers.connections],
    other: [...bed.other.connections],
    told: [...bed.servers.told, ...bed.other.told],
    defects: bed.defects(),
    stuck,
    closed: talk.closed,
  };
}

class Talk {
  readonly client: SmtpClient;
  readonly answers: Reply[][] = [];
  secured: boolean;
  /** Null: what was said around a reload may have met either. */
  inForce: Mark['inForce'] = 'policy';
  #loaded: 'policy' | 'next' = 'policy';
  closed = false;
  readonly #bed: Place;
  readonly #deadline = turns + ENDLESS_TURNS;
  #active = performance.now();
  #activeAt = turns;

  constructor(bed: Place, secured: boolean) {
    this.#bed = bed;
    this.secured = secured;
    this.client = new SmtpClient(bed.port);
    const active = (): void => {
      this.#active = performance.now();
      this.#activeAt = turns;
    };
    this.client.onActivity = active;
    bed.servers.onActivity = active;
    bed.other.onActivity = active;
  }

  get #isStuck(): boolean {
    return turns > this.#activeAt + STUCK_TURNS || turns > this.#deadline;
  }

  /** What it got stuck at; '' when it came to its end. */
  async go(session: Session): Promise<string> {
    const { client } = this;
    try {
      if (session.header !== null) await this.#within(client.write(headerOf(session.header)));
      if (this.secured) await this.#handshake();
      for (const [at, step] of session.steps.entries()) {
        if (client.ended) break;
        this.answers.push([]);
        if (step.reload) await this.#reload();
        else if (step.tls) {
          if (/^220 .*Ready to start TLS\r\n$/.test(client.replies.at(-1)?.text ?? '') && !this.secured) {
            this.secured = true;
            await this.#handshake();
          }
        } else if (step.say !== undefined) await this.#within(this.#say(step.say, step.cuts ?? []));
        if (step.hears !== undefined) {
          if (!(await this.#hear(step.hears.length))) return `step ${at}: waiting for ${step.hears.join(' ')}`;
        } else if (!step.hasty && !step.reload) await this.#quiet();
      }
      await this.#quiet();
      if (session.end !== 'fin') await this.#dialled();
      this.closed = client.ended;
      if (session.end === 'fin') client.finish();
      else if (session.end === 'reset' && !this.secured)
        client.reset(); // Node can reset a bare socket only
      else client.destroy();
      return (await this.#over()) ? '' : this.#whoIsThere();
    } finally {
      client.destroy();
    }
  }

  async #handshake(): Promise<void> {
    await this.#within(Promise.race([this.client.shakeHands().catch(() => {}), this.client.end()]));
  }

  async #say(octets: string, cuts: readonly number[]): Promise<void> {
    const all = Buffer.from(octets, 'latin1');
    let from = 0;
    for (const to of [...cuts.filter((cut) => cut > 0 && cut < all.length), all.length]) {
      await this.client.write(all.subarray(from, to));
      from = to;
      this.#active = performance.now();
      this.#activeAt = turns;
      if (to < all.length) await turn();
    }
  }

  /** That many replies; false when they did not come in time. */
  async #hear(count: number): Promise<boolean> {
    for (let at = 0; at < count; at++) {
      const reply = await this.#within(this.client.reply());
      if (reply === 'late') return false;
      if (reply === null) return true;
      this.answers.at(-1)?.push(reply);
    }
    return true;
  }

  /** The other policy comes into force. What was said before has been judged by then, unless it would not come to rest. */
  async #reload(): Promise<void> {
    const isAtRest = await this.#quiet();
    if (this.#bed.setting.next === null) return;
    this.#loaded = this.#loaded === 'next' ? 'policy' : 'next';
    this.inForce = null;
    await this.#bed.putInForce(this.#loaded);
    if (isAtRest) this.inForce = this.#loaded;
  }

  /** Whether all came to rest. */
  async #quiet(): Promise<boolean> {
    const most = performance.now() + QUIET_AT_MOST_MS;
    while (!this.client.ended && performance.now() < most) {
      const seen = this.#active;
      const left = QUIET_MS - (performance.now() - seen);
      if (left > 0 || this.#bed.servers.busy || this.#bed.other.busy) {
        await sleep(Math.max(left, 2));
        continue;
      }
      // Timers run before sockets are read: what came in meanwhile must be seen.
      await turn();
      await turn();
      if (this.#active === seen) return this.#skip(true);
    }
    return this.#skip(false);
  }

  #skip(isAtRest: boolean): boolean {
    this.client.skipReplies();
    return isAtRest;
  }

  /** Of a client that just goes nobody would know whether its upstream connection is still to come. */
  async #dialled(): Promise<void> {
    const most = performance.now() + DIALLED_MS;
    const { servers, other } = this.#bed;
    while (!this.client.ended && servers.accepted + other.accepted === 0 && performance.now() < most) await sleep(2);
  }

  async #over(): Promise<boolean> {
    const { servers, other } = this.#bed;
    while (!(this.client.ended && servers.isAlone && other.isAlone)) {
      if (this.#isStuck) return false;
      await sleep(2);
    }
    return true;
  }

  #whoIsThere(): string {
    return this.client.ended ? 'the upstream connection stays open' : "the client's connection stays open";
  }

  async #within<T>(promise: Promise<T>): Promise<T | 'late'> {
    let over = false;
    const late = async (): Promise<'late'> => {
      while (!over && !this.#isStuck) await sleep(TURN_MS);
      return 'late';
    };
    const result = await Promise.race([promise, late()]);
    over = true;
    return result;
  }
}

/** A PROXY header as a balancer writes it. */
export function headerOf({ version, source, destination }: Header): Buffer {
  const six = source.includes(':');
  if (version === 1) return Buffer.from(`PROXY TCP${six ? 6 : 4} ${source} ${destination} 40000 25\r\n`, 'latin1');
  const addresses = Buffer.concat([octetsOf(source), octetsOf(destination), Buffer.from([0x9c, 0x40, 0, 25])]);
  const head = Buffer.from([0x21, six ? 0x21 : 0x11, 0, addresses.length]);
  return Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), head, addresses]);
}

function octetsOf(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const text = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a, b, c, d] = parts.map(Number) as [number, number, number, number];
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [front = '', back] = text.split('::');
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const [head, tail] = [words(front), words(back ?? '')];
  const all = [...head, ...new Array(8 - head.length - tail.length).fill(0), ...tail];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
}
