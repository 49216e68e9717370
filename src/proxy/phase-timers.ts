// How long each side may take: idle time, absolute deadlines and the least rate of mail data, as arithmetic on times.
//
// RFC 5321 §4.5.3.2 gives the lower bounds that the defaults keep. Every phase has an absolute end; the phases in which
// the client speaks also end after silence, so that one octet a minute does not hold a session for ever. Pure: the time
// is an argument, the connection owns the timer.

import {
  AWAITING_COMMAND,
  AWAITING_CONFIRMATION,
  AWAITING_GO_AHEAD,
  AWAITING_GREETING,
  AWAITING_HANDSHAKE,
  AWAITING_MAIL_DATA,
  AWAITING_OPAQUE,
} from '../smtp/session.ts';

/** Milliseconds, but for min_data_rate (octets a second; 0 = no guard). Named as in the config. */
export interface Timeouts {
  readonly client_idle: number;
  readonly command: number;
  readonly data_idle: number;
  readonly proxy_header: number;
  readonly tls_handshake: number;
  readonly upstream_connect: number;
  readonly upstream_greeting: number;
  readonly upstream_reply: number;
  readonly upstream_data: number;
  readonly upstream_final: number;
  readonly no_mail: number;
  readonly drain: number;
  readonly min_data_rate: number;
}

// Over which the rate of mail data is averaged, ms. A rate that tells only who drips from the slowest links is looked at
// seldom: such a link may stop for almost `data_idle` and go on.
const RATE_WINDOW = 3_000;
const SLOW_RATE = 100; // octets a second
const SLOW_WINDOW = 300_000;

export class PhaseTimers {
  readonly #timeouts: Timeouts;
  readonly #rateWindow: number;
  #mailBy: number; // a session that has brought no mail by then ends, when it is to say something
  #doing = AWAITING_GREETING;
  #since: number; // when this phase began
  #heard: number; // when the client was heard last
  #begun: number | null = null; // when the first octet of the command came that is awaited
  #windowStart = 0;
  #windowOctets = 0;

  constructor(timeouts: Timeouts, now: number) {
    this.#timeouts = timeouts;
    this.#since = now;
    this.#heard = now;
    this.#mailBy = now + timeouts.no_mail;
    this.#rateWindow = timeouts.min_data_rate < SLOW_RATE ? SLOW_WINDOW : RATE_WINDOW;
  }

  /** Since when the side whose move it is keeps us waiting: a client since it was heard last. */
  get waitsSince(): number {
    switch (this.#doing) {
      case AWAITING_COMMAND:
      case AWAITING_MAIL_DATA:
      case AWAITING_OPAQUE:
        return this.#heard;
      default:
        return this.#since;
    }
  }

  /** The server took a message. */
  broughtMail(now: number): void {
    this.#mailBy = now + this.#timeouts.no_mail;
  }

  /** The client sent octets. */
  heard(octets: number, now: number): void {
    this.#heard = now;
    if (this.#doing === AWAITING_COMMAND) this.#begun ??= now;
    this.#windowOctets += octets;
  }

  /** The session now waits for `doing`; `progress` = it did something in between, even if it waits for the same again. */
  waitsFor(doing: number, progress: boolean, now: number): void {
    if (doing === this.#doing && !progress) return;
    if (doing !== this.#doing) this.#startWindow(now);
    this.#doing = doing;
    this.#since = now;
    this.#heard = now;
    this.#begun = null;
  }

  /** Mail data is stopped by us, because the upstream is slow: its rate is not the client's fault. */
  excuse(now: number): void {
    this.#startWindow(now);
    this.#heard = now;
  }

  /** When something may have expired; before that, asking is no use. */
  get nextCheck(): number {
    const end = this.#end();
    return this.#isRateGuarded() ? Math.min(end, this.#windowStart + this.#rateWindow) : end;
  }

  /** The key of the deadline that has passed, for the log. */
  deadline(now: number): string {
    const { client_idle, data_idle } = this.#timeouts;
    switch (this.#doing) {
      case AWAITING_COMMAND:
        if (now >= this.#mailBy) return 'timeouts.no_mail';
        return now >= this.#heard + client_idle ? 'timeouts.client_idle' : 'timeouts.command';
      case AWAITING_MAIL_DATA:
        return now >= this.#heard + data_idle ? 'timeouts.data_idle' : 'timeouts.min_data_rate';
      case AWAITING_OPAQUE:
        return 'timeouts.client_idle';
      case AWAITING_GREETING:
        return 'timeouts.upstream_greeting';
      case AWAITING_GO_AHEAD:
        return 'timeouts.upstream_data';
      case AWAITING_CONFIRMATION:
        return 'timeouts.upstream_final';
      default:
        return 'timeouts.upstream_reply';
    }
  }

  isExpired(now: number): boolean {
    if (now >= this.#end()) return true;
    if (!this.#isRateGuarded() || now < this.#windowStart + this.#rateWindow) return false;
    const wanted = (this.#timeouts.min_data_rate * (now - this.#windowStart)) / 1000;
    if (this.#windowOctets < wanted) return true;
    this.#startWindow(now);
    return false;
  }

  #end(): number {
    const { client_idle, command, data_idle } = this.#timeouts;
    switch (this.#doing) {
      case AWAITING_COMMAND:
        return Math.min(this.#heard + client_idle, (this.#begun ?? Number.POSITIVE_INFINITY) + command, this.#mailBy);
      case AWAITING_MAIL_DATA:
        return this.#heard + data_idle;
      case AWAITING_OPAQUE:
        return this.#heard + client_idle; // both sides' octets are progress
      case AWAITING_HANDSHAKE:
        return Number.POSITIVE_INFINITY; // it has a deadline of its own
      case AWAITING_GREETING:
        return this.#since + this.#timeouts.upstream_greeting;
      case AWAITING_GO_AHEAD:
        return this.#since + this.#timeouts.upstream_data;
      case AWAITING_CONFIRMATION:
        return this.#since + this.#timeouts.upstream_final;
      default:
        return this.#since + this.#timeouts.upstream_reply;
    }
  }

  #isRateGuarded(): boolean {
    return this.#doing === AWAITING_MAIL_DATA && this.#timeouts.min_data_rate > 0;
  }

  #startWindow(now: number): void {
    this.#windowStart = now;
    this.#windowOctets = 0;
  }
}
