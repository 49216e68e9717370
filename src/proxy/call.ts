// One call to one mail server: from the first packet to the greeting that the client is shown.
//
// A call ends once: with a connected stream and the octets of that greeting, or with the sentence that says why this
// server will not do. What was read is handed over with the stream, so that nobody reads a greeting twice. On the way, as
// configured: a PROXY header as the very first octets, TLS at once or by STARTTLS, and who the client is (smtp/upstream-handover).
// Where nothing of that is wanted, the first octets that come are handed over unread. That it takes long is told once, on the
// way: the call goes on.
// Not here: which server is called, and what follows from a failure (upstream.ts).

import { isIP } from 'node:net';
import type { ClientIdentity } from '../smtp/client-identity.ts';
import { COMPLETE, INCOMPLETE, ReplyReader } from '../smtp/reply.ts';
import type { ConnectionEnds, Forwarding } from '../smtp/types.ts';
import { type HandedOver, type Step, UpstreamHandover } from '../smtp/upstream-handover.ts';
import { type Endpoint, normaliseAddress } from './address.ts';
import { type ByteStream, NOBODY, type StreamFault, type StreamOwner } from './byte-stream.ts';
import { dial } from './dial.ts';
import { type Ends, formatProxyHeader } from './proxy-protocol.ts';
import type { UpstreamTls } from './upstream-tls.ts';

/** A server that greeted, or that refuses to: `stream` is null then, and the greeting is a whole 4yz reply. */
export interface Answer {
  readonly stream: ByteStream | null;
  /** At least its first octets; the stream has the rest. */
  readonly greeting: Buffer;
  /** What the session tells the server with every MAIL; null = nothing. */
  readonly forwarding: Forwarding | null;
  /** The server's answer to an EHLO of ours; null = it has heard none. */
  readonly list: Buffer | null;
}

export interface CallSettings {
  /** Milliseconds up to the connection, and again for a TLS handshake; from the connection to the greeting. */
  readonly connectWithin: number;
  readonly greetWithin: number;
  readonly tls: UpstreamTls | null;
  readonly identity: 'none' | 'proxy-v1' | 'proxy-v2' | 'xclient' | 'xforward';
  /** What we call ourselves where we have to: a host name; null = the address of our end, as a literal. */
  readonly ourName: string | null;
  /** The stream is to become a net.Socket (`toSocket`). */
  readonly asSocket?: boolean | undefined;
}

/** The client for whom we call. */
export interface Caller {
  readonly ends: ConnectionEnds;
  /** Never rejects. */
  identify(): Promise<ClientIdentity>;
}

export interface Failure {
  readonly why: string;
  /** All was well but for the handshake or the certificate. */
  readonly inTls: boolean;
  /** It took the connection and ended it, or said 421: a server that serves others may do so when it is full. */
  readonly declined: boolean;
  /** The system's error code where it is this machine that had none left: no fault of the server's. */
  readonly shortOf?: string | undefined;
}

/** This machine lacks what a call needs: descriptors, ports or memory. */
const SHORT_OF = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

export interface CallListener {
  connected(seconds: number): void;
  answered(answer: Answer): void;
  failed(failure: Failure): void;
  /** SILENT_AFTER has passed since the connection, and the call goes on. `greeted`: it is what comes behind the greeting, our
   * EHLO, STARTTLS or XCLIENT, that is not answered. */
  silent(greeted: boolean): void;
  /** The server was to be told who the client is, and does not offer that. */
  unidentified(): void;
}

/** Milliseconds from the connection. Honest servers pause 1 to 6 s before their greeting, to catch those who do not wait. */
export const SILENT_AFTER = 10_000;

const FOUR = 0x34; // the first octet of a 4yz

// What a call waits for, and what is said when that does not come in time.
const CONNECTION = 0;
const HANDSHAKE = 1;
const GREETING = 2;
const TIME_OUTS = ['connect time-out', 'no TLS handshake in time', 'it did not greet in time'];

export class Call implements StreamOwner {
  readonly #server: Endpoint;
  readonly #caller: Caller | null;
  readonly #settings: CallSettings;
  readonly #listener: CallListener;
  readonly #started = performance.now();
  readonly #greeting = new ReplyReader();
  readonly #handover: UpstreamHandover | null;
  readonly #client: Promise<ClientIdentity> | null;
  #stream: ByteStream | null = null;
  #giveUpDialling: () => void;
  #awaits = CONNECTION;
  #over = false;
  #timer: NodeJS.Timeout;
  #timerAt: number;
  #deadline: number;
  #greetBy = 0;
  #silentAt = Number.POSITIVE_INFINITY; // and from then on, when that is told
  #heardSome = false; //                   anything but TLS

  /** `caller` null: it is our own question, and the server is told of no client. */
  constructor(server: Endpoint, caller: Caller | null, settings: CallSettings, listener: CallListener) {
    this.#server = server;
    this.#caller = caller;
    this.#settings = settings;
    this.#listener = listener;
    this.#deadline = this.#started + settings.connectWithin;
    this.#timerAt = this.#deadline;
    this.#timer = setTimeout(this.#ring, settings.connectWithin);
    this.#giveUpDialling = dial(server, settings.asSocket === true, this, (stream) => this.#connected(stream));
    const { identity } = settings;
    const told =
      caller === null ? null : identity === 'xclient' ? 'XCLIENT' : identity === 'xforward' ? 'XFORWARD' : null;
    this.#handover = this.#makeHandover(told);
    this.#client = told === null || caller === null ? null : caller.identify(); // now, so that DNS has answered by then
  }

  /** Ends it without a word to the listener. */
  giveUp(): void {
    if (this.#over) return;
    this.#leave();
    this.#giveUpDialling();
    this.#stream?.reset();
  }

  #makeHandover(identity: 'XCLIENT' | 'XFORWARD' | null): UpstreamHandover | null {
    const { tls, ourName } = this.#settings;
    const startTls =
      tls === null || tls.mode === 'implicit' ? 'no' : tls.mode === 'require' ? 'required' : 'if offered';
    if (startTls === 'no' && identity === null) return null;
    return new UpstreamHandover({
      ourName: () => ourName ?? literalOf(this.#stream as ByteStream),
      startTls,
      identity,
    });
  }

  #connected(stream: ByteStream): void {
    this.#stream = stream;
    stream.owner = this;
    const now = performance.now();
    this.#greetBy = now + this.#settings.greetWithin;
    this.#silentAt = now + SILENT_AFTER;
    this.#listener.connected((now - this.#started) / 1000);
    const { identity, tls } = this.#settings;
    if (identity === 'proxy-v1' || identity === 'proxy-v2')
      stream.write(formatProxyHeader(identity === 'proxy-v1' ? 1 : 2, headerEnds(this.#caller)));
    stream.resume();
    if (tls?.mode === 'implicit') this.#startTls(stream, tls, () => this.#wait(GREETING, this.#greetBy));
    else this.#wait(GREETING, this.#greetBy);
  }

  #startTls(plain: ByteStream, tls: UpstreamTls, made: () => void): void {
    this.#wait(HANDSHAKE, performance.now() + this.#settings.connectWithin);
    plain.owner = NOBODY;
    this.#stream = tls.start(plain, this.#server.address, this.#settings.asSocket === true, (found) => {
      if (this.#over) return;
      if (found.stream === null) {
        this.#fail({ why: found.why, inTls: true, declined: found.hungUp });
        return;
      }
      this.#stream = found.stream;
      this.#stream.owner = this;
      this.#stream.resume();
      made();
    });
  }

  heard(chunk: Buffer): void {
    this.#heardSome = true;
    if (this.#handover !== null) {
      this.#follow(this.#handover.fromUpstream(chunk));
      return;
    }
    // Whatever is no 4yz is the client's to see, and the session reads it: the common case costs one look.
    if (!this.#greeting.isPartial && chunk[0] !== FOUR) {
      this.#succeed(chunk, null, null);
      return;
    }
    const found = this.#greeting.next(chunk, 0);
    if (found === INCOMPLETE) return;
    if (found === COMPLETE) this.#refused(this.#greeting.bytes);
    else this.#fail({ why: 'it sent something that is no greeting', inTls: false, declined: false });
  }

  #follow(step: Step): void {
    switch (step.do) {
      case 'send':
        this.#stream?.write(step.bytes);
        break;
      case 'start TLS':
        this.#startTls(this.#stream as ByteStream, this.#settings.tls as UpstreamTls, () => {
          this.#wait(GREETING, this.#greetBy);
          this.#follow((this.#handover as UpstreamHandover).tlsStarted());
        });
        break;
      case 'introduce':
        this.#identify((client) => this.#follow((this.#handover as UpstreamHandover).introduce(client)));
        break;
      case 'give up':
        this.#fail({ why: step.why, inTls: false, declined: step.code === 421 });
        break;
      case 'end':
        this.#handedOver(step);
    }
  }

  #handedOver({ greeting, introduced, unidentified, xforward, list }: HandedOver): void {
    if (greeting[0] === FOUR && !introduced) {
      this.#refused(greeting);
      return;
    }
    if (unidentified) this.#listener.unidentified();
    if (xforward.length === 0) this.#succeed(greeting, null, list);
    else this.#identify((client) => this.#succeed(greeting, { client, attributes: xforward }, list));
  }

  #identify(then: (client: ClientIdentity) => void): void {
    this.#client?.then((client) => {
      if (!this.#over) then(client);
    });
  }

  #succeed(greeting: Buffer, forwarding: Forwarding | null, list: Buffer | null): void {
    this.#leave();
    this.#listener.answered({ stream: this.#stream, greeting, forwarding, list });
  }

  #refused(greeting: Buffer): void {
    this.giveUp();
    this.#listener.answered({ stream: null, greeting, forwarding: null, list: null });
  }

  #fail(failure: Failure): void {
    this.giveUp();
    this.#listener.failed(failure);
  }

  ended(): void {
    this.#fail({ why: 'it closed the connection before its greeting', inTls: false, declined: true });
  }

  drained(): void {}

  lost(fault: StreamFault | null): void {
    if (fault === null) {
      this.ended();
      return;
    }
    const { code = '', message } = fault;
    const shortOf = SHORT_OF.has(code) ? code : undefined;
    this.#fail({ why: message, inTls: false, declined: HANG_UPS.has(code), shortOf });
  }

  /** The stream is no longer ours to hear. */
  #leave(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    if (this.#stream !== null) this.#stream.owner = NOBODY;
  }

  /** One timer for all phases: it is moved only forwards, and looks again when it fires. */
  #wait(awaits: number, deadline: number): void {
    this.#awaits = awaits;
    this.#deadline = deadline;
    const at = awaits === GREETING ? Math.min(deadline, this.#silentAt) : deadline;
    if (this.#over || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(this.#ring, Math.max(1, at - performance.now()));
  }

  readonly #ring = (): void => {
    const now = performance.now();
    if (now >= this.#deadline) {
      this.#fail({ why: TIME_OUTS[this.#awaits] ?? '', inTls: this.#awaits === HANDSHAKE, declined: false });
      return;
    }
    if (this.#awaits === GREETING && now >= this.#silentAt) {
      this.#silentAt = Number.POSITIVE_INFINITY;
      this.#listener.silent(this.#heardSome);
    }
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#wait(this.#awaits, this.#deadline);
  };
}

function headerEnds(caller: Caller | null): Ends | null {
  if (caller === null) return null;
  const { clientAddress, clientPort, localAddress, localPort } = caller.ends;
  const source = { address: clientAddress, port: clientPort };
  return { source, destination: { address: localAddress, port: localPort } };
}

/** Of a connection that was taken: one that is not gets ECONNREFUSED. */
const HANG_UPS = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE']); // the second is Windows' own

/** RFC 5321 §4.1.3. */
function literalOf({ localAddress }: ByteStream): string {
  const address = normaliseAddress(localAddress);
  return isIP(address) === 6 ? `[IPv6:${address}]` : `[${address}]`;
}
