// A TLS connection to a server that takes exactly as many octets as the test says, without a kernel between.

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { SocketStream } from '../../../src/proxy/socket-stream.ts';
import { makePair, type Pair } from '../../helpers/certificates.ts';

/** One end; what is written comes out of the other, as far as that takes it. */
class Wire extends Duplex {
  other: Wire | null = null;
  room = Number.POSITIVE_INFINITY;
  #left: Buffer = Buffer.alloc(0);
  #written: () => void = () => {};

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, written: () => void): void {
    this.#left = chunk;
    this.#written = written;
    this.#pass();
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  /** The other end takes so many more octets, and then none. */
  takes(octets: number): void {
    this.room = octets;
    if (this.#left.length > 0) this.#pass();
  }

  #pass(): void {
    const octets = Buffer.from(this.#left.subarray(0, this.room));
    this.#left = this.#left.subarray(octets.length);
    this.room -= octets.length;
    if (octets.length > 0) this.other?.push(octets);
    if (this.#left.length === 0) this.#written();
  }

  resetAndDestroy(): void {
    this.destroy();
  }
}

let pair: Pair | null = null;

/** Resolves when the handshake is over: our stream, how much of it the server takes, and the server's end. */
export async function tlsWithoutKernel(): Promise<{
  stream: SocketStream;
  wire: { takes(octets: number): void };
  server: TLSSocket;
}> {
  pair ??= makePair({ subject: '/CN=mail.example', names: 'DNS:mail.example' });
  const ours = new Wire();
  const theirs = new Wire();
  ours.other = theirs;
  theirs.other = ours;
  const server = new TLSSocket(theirs as unknown as Socket, {
    isServer: true,
    secureContext: createSecureContext(pair),
  });
  const socket = connect({ socket: ours as unknown as Socket, rejectUnauthorized: false });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  return { stream: new SocketStream(socket, ours as unknown as Socket), wire: ours, server };
}
