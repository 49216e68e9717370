// One call to one mail server: from the first packet to its greeting.
//
// A call ends once: with a connected socket and the octets of the greeting, or with the sentence that says why this
// server will not do. What was read is handed over with the socket, so that nobody reads a greeting twice.
// Not here: which server is called, and what follows from a failure (upstream.ts).

import { connect, type Socket } from 'node:net';
import { COMPLETE, INCOMPLETE, ReplyReader } from '../smtp/reply.ts';
import type { Endpoint } from './address.ts';

/** A server that greeted, or that refuses to: `socket` is null then, and the greeting is a whole 4yz reply. */
export interface Answer {
  readonly socket: Socket | null;
  /** At least its first octets; the socket has the rest. */
  readonly greeting: Buffer;
}

export interface CallSettings {
  /** Milliseconds up to the connection, and from there to the first octets of the greeting. */
  readonly connectWithin: number;
  readonly greetWithin: number;
}

export interface CallListener {
  connected(seconds: number): void;
  answered(answer: Answer): void;
  failed(why: string): void;
}

const FOUR = 0x34; // the first octet of a 4yz

export class Call {
  readonly #settings: CallSettings;
  readonly #listener: CallListener;
  readonly #socket: Socket;
  readonly #started = performance.now();
  readonly #greeting = new ReplyReader();
  #connected = false;
  #over = false;
  #timer: NodeJS.Timeout;
  #timerAt: number;
  #deadline: number;

  constructor(server: Endpoint, settings: CallSettings, listener: CallListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#deadline = this.#started + settings.connectWithin;
    this.#timerAt = this.#deadline;
    this.#timer = setTimeout(this.#ring, settings.connectWithin);
    this.#socket = connect({ host: server.address, port: server.port, noDelay: true, allowHalfOpen: true });
    this.#socket.once('connect', this.#onConnect);
    this.#socket.on('data', this.#onData);
    this.#socket.on('end', this.#onEnd);
    this.#socket.on('error', this.#onError);
  }

  /** Ends it without a word to the listener. */
  giveUp(): void {
    if (this.#over) return;
    this.#leave();
    this.#socket.destroy();
  }

  readonly #onConnect = (): void => {
    this.#connected = true;
    const now = performance.now();
    this.#listener.connected((now - this.#started) / 1000);
    if (!this.#over) this.#waitUntil(now + this.#settings.greetWithin, now);
  };

  readonly #onData = (chunk: Buffer): void => {
    // Whatever is no 4yz is the client's to see, and the session reads it: the common case costs one look.
    if (!this.#greeting.isPartial && chunk[0] !== FOUR) {
      this.#leave();
      this.#listener.answered({ socket: this.#socket, greeting: chunk });
      return;
    }
    const found = this.#greeting.next(chunk, 0);
    if (found === INCOMPLETE) return;
    if (found !== COMPLETE) {
      this.#fail('it sent something that is no greeting');
      return;
    }
    this.giveUp();
    this.#listener.answered({ socket: null, greeting: this.#greeting.bytes });
  };

  readonly #onEnd = (): void => this.#fail('it closed the connection before its greeting');

  readonly #onError = (error: Error): void => this.#fail(error.message);

  #fail(why: string): void {
    this.giveUp();
    this.#listener.failed(why);
  }

  /** The socket is no longer ours to listen to. */
  #leave(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#socket.off('connect', this.#onConnect);
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('error', this.#onError);
    if (!this.#connected) this.#socket.on('error', () => {}); // what is given up may still fail
  }

  /** One timer for all phases: it is moved only forwards, and looks again when it fires. */
  #waitUntil(deadline: number, now: number): void {
    this.#deadline = deadline;
    if (deadline >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = deadline;
    this.#timer = setTimeout(this.#ring, deadline - now);
  }

  readonly #ring = (): void => {
    const now = performance.now();
    if (now < this.#deadline) {
      this.#timerAt = this.#deadline;
      this.#timer = setTimeout(this.#ring, this.#deadline - now);
    } else this.#fail(this.#connected ? 'it did not greet in time' : 'connect time-out');
  };
}
