// A byte stream over an encrypted socket: reads and writes go to the handle beneath it, as those of handle-stream.ts do; whoever ends
// the connection ends the sockets, since OpenSSL's memory is theirs.
//
// What counts as unsent is what the kernel has not taken, of what OpenSSL has encrypted.

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ByteStream } from './byte-stream.ts';
import { HandleStream } from './handle-stream.ts';
import { SocketStream } from './socket-stream.ts';
import { handleOf, type TcpHandle, type TlsHandle, tlsHandleOf } from './tcp-handles.ts';

/** Of a socket whose handshake is over, and what it was made of. Nothing is read before `resume`. */
export function secureStream(socket: TLSSocket, beneath: Socket): ByteStream {
  const handle = tlsHandleOf(socket);
  const tcp = handleOf(beneath);
  // What the socket has read already comes out of the socket alone.
  if (handle === null || tcp === null || socket.readableLength > 0) return new SocketStream(socket, beneath);
  return new TlsStream(socket, handle, beneath, tcp);
}

class TlsStream extends HandleStream {
  readonly #socket: TLSSocket;
  readonly #beneath: Socket;
  readonly #tcp: TcpHandle;

  constructor(socket: TLSSocket, handle: TlsHandle, beneath: Socket, tcp: TcpHandle) {
    handle.readStop(); // the socket reads ahead
    super(handle, true);
    this.#socket = socket;
    this.#beneath = beneath;
    this.#tcp = tcp;
    this.remotePort = beneath.remotePort ?? 0;
    handle.onerror = ({ code, message }) => this.isOver({ code, message });
    socket.on('error', () => {}); // it was told above, or by a read or a write
    socket.once('close', () => this.isOver(null));
  }

  protected override get untaken(): number {
    return this.#tcp.writeQueueSize;
  }

  protected override shutDown(): void {
    this.#socket.end();
  }

  protected override close(byReset: boolean, closed: () => void): void {
    if (this.#beneath.closed) closed();
    else this.#beneath.once('close', closed);
    // Not at once: we may be called from within OpenSSL, and Node.js (24.21, 26.10) frees it when both sockets end there, which
    // is a segmentation fault. Behind this event it is safe, and TLS ends by itself with what lies beneath.
    if (byReset) setImmediate(() => this.#beneath.resetAndDestroy());
    else this.#socket.destroy();
  }

  override toSocket(): Socket {
    throw new Error('TLS is not made twice of one connection');
  }
}
