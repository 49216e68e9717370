// Connections to a mail server that takes exactly as many octets as the test says, without a kernel between: over a handle, over a
// socket, and in TLS. The mail server in them answers what it reads, when the test lets it.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import type { ByteStream } from '../../../src/proxy/byte-stream.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import { SocketStream } from '../../../src/proxy/socket-stream.ts';
import { makePair, type Pair } from '../../helpers/certificates.ts';
import { ECONNRESET, FakeHandle } from './fake-handle.ts';
import { MailServer } from './mail-server.ts';

export interface ServerWithoutKernel {
  /** Our end. */
  readonly stream: ByteStream;
  readonly server: MailServer;
  /** It takes so many more octets, and then none. */
  takes(octets: number): void;
  /** It says so many octets of its replies, as far as we read. */
  says(octets: number): void;
  ends(): void;
  /** The connection breaks. */
  breaks(): void;
}

/** Replies that were not said yet. */
class Replies {
  #waiting = Buffer.alloc(0) as Buffer;

  add(reply: string): void {
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(reply)]);
  }

  /** `says` has so many of them; it returns how many were read. */
  next(octets: number, says: (octets: Buffer) => number): void {
    if (this.#waiting.length === 0) return;
    const said = says(this.#waiting.subarray(0, octets)); // and perhaps another one is added
    this.#waiting = this.#waiting.subarray(said);
  }
}

/** `isTls`: over one that speaks TLS. */
export function serverOverHandle(isTls = false): ServerWithoutKernel {
  const replies = new Replies();
  const server = new MailServer((reply) => replies.add(reply));
  const handle = new FakeHandle((octets) => server.reads(octets), isTls);
  return {
    stream: new HandleStream(handle, isTls),
    server,
    takes: (octets) => handle.takes(octets),
    says: (octets) => replies.next(octets, (some) => handle.says(some)),
    ends: () => handle.ends(),
    breaks: () => {
      handle.breaks();
      handle.ends(ECONNRESET);
    },
  };
}

export function serverOverSocket(): ServerWithoutKernel {
  const { ours, theirs } = wires();
  return {
    stream: new SocketStream(ours as unknown as Socket),
    ...serverAt(theirs),
    takes: (octets) => ours.takes(octets),
    breaks: () => ours.breaks(),
  };
}

let pair: Pair | null = null;

/** Resolves when the handshake is over at both ends: Node's TLS over a stream that is no socket fails an assertion of its own when it
 * is ended and then owes the other end the last of the handshake. */
export async function serverInTls(): Promise<ServerWithoutKernel> {
  pair ??= makePair({ subject: '/CN=mail.example', names: 'DNS:mail.example' });
  const { ours, theirs } = wires();
  const secureContext = createSecureContext({ cert: pair.cert, key: pair.key });
  const server = new TLSSocket(theirs as unknown as Socket, { isServer: true, secureContext });
  const socket = connect({ socket: ours as unknown as Socket, rejectUnauthorized: false });
  await Promise.all([once(server, 'secure'), once(socket, 'secureConnect')]);
  const stream = new SocketStream(socket, ours as unknown as Socket);
  return { stream, ...serverAt(server), takes: (octets) => ours.takes(octets), breaks: () => ours.breaks() };
}

function serverAt(end: Duplex): Pick<ServerWithoutKernel, 'server' | 'says' | 'ends'> {
  const replies = new Replies();
  const server = new MailServer((reply) => replies.add(reply));
  end.on('data', (octets: Buffer) => server.reads(octets));
  end.on('error', () => {});
  const says = (octets: Buffer): number => {
    end.write(octets);
    return octets.length;
  };
  return { server, says: (octets) => replies.next(octets, says), ends: () => end.end() };
}

function wires(): { ours: Wire; theirs: Wire } {
  const [ours, theirs] = [new Wire(), new Wire()];
  ours.other = theirs;
  theirs.other = ours;
  return { ours, theirs };
}

/** One end; what is written comes out of the other, as far as that takes it. */
class Wire extends Duplex {
  other: Wire | null = null;
  #room = Number.POSITIVE_INFINITY;
  #left: Uint8Array = Buffer.alloc(0);
  #written: () => void = () => {};
  #writing = 0; // and told of it not long ago

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, written: () => void): void {
    this.#left = chunk;
    this.#writing++;
    this.#written = () => {
      setImmediate(() => setImmediate(() => this.#writing--));
      written();
    };
    this.#pass();
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  takes(octets: number): void {
    this.#room = octets;
    if (this.#left.length > 0) this.#pass();
  }

  /** Not while the other is told that it has written: Node's TLS over a stream that is no socket fails an assertion of its own when it
   * then reads what it must answer. */
  #pass(): void {
    if (this.other !== null && this.other.#writing > 0 && this.other.#left.length === 0) {
      setImmediate(() => this.takes(this.#room));
      return;
    }
    const octets = Buffer.from(this.#left.subarray(0, this.#room)); // a copy: as it is now
    this.#left = this.#left.subarray(octets.length);
    this.#room -= octets.length;
    if (octets.length > 0) this.other?.push(octets);
    if (this.#left.length === 0) this.#written();
  }

  breaks(): void {
    this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  /** As a net.Socket. */
  resetAndDestroy(): void {
    this.destroy();
  }
}
