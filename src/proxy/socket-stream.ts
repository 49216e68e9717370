// A byte stream over a net.Socket or a TLS socket, by what Node documents.

import { connect, type Socket } from 'node:net';
import type { ByteStream, StreamOwner } from './byte-stream.ts';
import { NOBODY } from './byte-stream.ts';

export class SocketStream implements ByteStream {
  owner: StreamOwner = NOBODY;
  reads: ByteStream['reads'] = 'to keep';
  readonly isLending = false;
  readonly #socket: Socket;
  readonly #beneath: Socket | null;
  // biome-ignore lint/suspicious/noExplicitAny: as Node has listeners
  readonly #listeners: Readonly<Record<string, (...args: any[]) => void>> = {
    data: (chunk: Buffer) => this.owner.heard(chunk),
    end: () => this.owner.ended(),
    drain: () => this.owner.drained(),
    error: (error: Error) => this.#lost(error),
    close: () => this.#lost(null),
  };
  #isOurs = true; // not yet lost, nor another's

  /** Nothing is read before `resume`. `beneath`: what TLS was made of. */
  constructor(socket: Socket, beneath: Socket | null = null) {
    this.#socket = socket;
    this.#beneath = beneath;
    socket.pause();
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener);
  }

  /** `connected` is called once it is; where it is not, the owner hears that it is lost. */
  static connect(address: string, port: number, connected: () => void): SocketStream {
    const socket = connect({ host: address, port, noDelay: true, allowHalfOpen: true });
    socket.once('connect', connected);
    return new SocketStream(socket);
  }

  get isPaused(): boolean {
    return this.#socket.isPaused();
  }

  get isEnded(): boolean {
    return this.#socket.readableEnded;
  }

  get isGone(): boolean {
    return !this.#isOurs || this.#socket.destroyed;
  }

  get hasUnheard(): boolean {
    return this.#socket.readableLength > 0;
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  get localAddress(): string {
    return this.#socket.localAddress ?? '';
  }

  giveBack(): void {}

  write(chunk: Uint8Array): boolean {
    return this.#socket.write(chunk);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#leave();
    this.#socket.destroy();
  }

  reset(): void {
    this.#leave();
    const beneath = this.#beneath;
    // Not at once: we may be called from within OpenSSL, and Node.js (24.21, 26.10) frees it when both sockets end there, which
    // is a segmentation fault. Behind this event it is safe, and TLS ends by itself with what lies beneath. That is reset also
    // where TLS was ended: that TCP was ended as well is not told.
    if (beneath !== null) setImmediate(() => beneath.resetAndDestroy());
    else if (this.#socket.connecting || this.#socket.readableEnded) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  whenClosed(then: () => void): void {
    if (this.#socket.closed) then();
    else this.#socket.once('close', then);
  }

  toSocket(): Socket {
    this.#leave();
    for (const [event, listener] of Object.entries(this.#listeners)) this.#socket.off(event, listener);
    return this.#socket;
  }

  #lost(error: Error | null): void {
    if (!this.#isOurs) return;
    const { owner } = this;
    this.#leave();
    owner.lost(error);
  }

  #leave(): void {
    this.#isOurs = false;
    this.owner = NOBODY; // what is left of it still has events
  }
}
