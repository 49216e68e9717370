// A TCP socket that reads into memory which is used again.
//
// Node's sockets make a new buffer of 64 KiB for each read, outside the heap: a thousand reads are 64 MB for the garbage
// collector, which then marks the whole heap to be rid of them, and everybody waits meanwhile. Here all sockets read into one
// buffer, and the little that commands and replies are is copied out of it at once ('data', as ever). In mail data, which comes
// by the megabyte (`bulk`), a socket has a buffer of its own; nothing is copied, and whoever listens says when nothing of a
// chunk is kept (`giveBack`), so that the next read may have the same memory. Unsaid, the memory stays with the chunk.
//
// `onread` is documented (net.connect); that an accepted connection can have it too is not, and where Node's server looks
// otherwise than here its own sockets are used.

import { type Server, Socket } from 'node:net';
import { Duplex } from 'node:stream';

const COMMANDS = 8192; // octets of a read: many commands, and few where one only floods
const MAIL_DATA = 65536;
const SMALL = 16_384; // octets that are copied, so that a few of them never keep 64 KiB
const OWN = 64; // sockets with a buffer of their own; the others copy

const common = Buffer.allocUnsafeSlow(COMMANDS);
const spare: Buffer[] = [];
let own = 0;

class Reading {
  socket: RelaySocket | null = null;
  #own: Buffer | null = null;
  #isFree = false;

  /** Where the next octets go. */
  readonly buffer = (): Buffer => this.#own ?? common;

  readonly heard = (octets: number, buffer: Uint8Array): boolean => {
    const { socket } = this;
    if (socket === null) return true;
    const mine = this.#own;
    this.#isFree = false;
    if (!socket.forgets && (socket.isPaused() || socket.readableLength > 0)) {
      socket.push(Buffer.from(buffer.subarray(0, octets)));
      return !socket.isPaused();
    }
    const lends = mine !== null && octets > SMALL;
    if (socket.forgets) socket.emit('data', buffer.subarray(0, octets));
    else socket.emit('data', lends ? mine.subarray(0, octets) : Buffer.from(buffer.subarray(0, octets)));
    if (lends && !this.#isFree) this.#own = null; // it is the chunk's from now on
    const wants = socket.bulk && !socket.destroyed;
    if (wants && this.#own === null) {
      if (mine !== null || own < OWN) {
        this.#own = spare.pop() ?? Buffer.allocUnsafeSlow(MAIL_DATA);
        if (mine === null) own++;
      }
    } else if (!wants && mine !== null) {
      if (this.#own !== null) spare.push(this.#own);
      this.#own = null;
      own--;
    }
    return !(socket.isPaused() && (socket.bulk || socket.forgets)); // it was paused before that was known
  };

  giveBack(): void {
    this.#isFree = true;
  }

  /** No more will be read. */
  end(): void {
    if (this.#own === null) return;
    this.#own = null; // a read may be under way
    own--;
  }
}

export class RelaySocket extends Socket {
  /** Mail data comes now. */
  bulk = false;
  /** Who listens keeps nothing of what it hears, and nothing is copied. */
  forgets = false;
  readonly #reading: Reading;

  // biome-ignore lint/suspicious/noExplicitAny: Node's own
  constructor(handle?: any) {
    const reading = new Reading();
    const onread = { buffer: reading.buffer, callback: reading.heard };
    super({ handle, allowHalfOpen: true, noDelay: true, onread } as object);
    if (handle !== undefined) this.setNoDelay(true);
    reading.socket = this;
    this.#reading = reading;
    this.once('close', () => reading.end());
  }

  /** Reading goes on until something comes, which then waits: so that it is noticed when the peer hangs up. */
  override pause(): this {
    return this.bulk || this.forgets ? super.pause() : (Duplex.prototype.pause.call(this) as this);
  }

  /** Nothing of the chunk that is being heard is kept. */
  giveBack(): void {
    this.#reading.giveBack();
  }
}

/** Has `take` called with each client of a server that listens. */
export function takeClients(server: Server, take: (client: Socket) => void): void {
  // biome-ignore lint/suspicious/noExplicitAny: Node's own
  const { _handle: handle } = server as any;
  const usual = handle?.onconnection;
  if (typeof usual !== 'function') {
    server.on('connection', take);
    return;
  }
  handle.onconnection = function onConnection(error: number, client: unknown): void {
    if (error !== 0 || client === undefined) usual.call(this, error, client);
    else take(new RelaySocket(client));
  };
}
