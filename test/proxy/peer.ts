// One end of a TCP connection in the hand of a test: it says octets as text and waits for what it should hear.
//
// It knows no SMTP and never answers by itself. It has no time-out: the test that waits has one. A wait for octets that
// can no longer come is an error which shows what was heard instead.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';

/** How the other side went: FIN, or a reset. */
export type Ending = 'end' | 'reset';

export class Peer {
  socket: Socket;
  /** Latin-1: what was heard and not yet taken by a wait. */
  heard = '';
  ending: Ending | null = null;
  #wake: () => void = () => {};
  readonly #hear = (chunk: Buffer): void => {
    this.heard += chunk.toString('latin1');
    this.#wake();
  };

  constructor(socket: Socket) {
    this.socket = socket;
    this.#listen(socket);
  }

  #listen(socket: Socket): void {
    socket.on('data', this.#hear);
    socket.on('end', () => this.#over('end'));
    socket.on('error', () => this.#over('reset'));
    socket.on('close', () => this.#over('end'));
  }

  /** What is said and heard from here on goes through TLS. Rejects when the handshake fails. */
  async shakeHands(options: ConnectionOptions = {}): Promise<TLSSocket> {
    this.socket.off('data', this.#hear);
    const socket = connectTls({ socket: this.socket, rejectUnauthorized: false, ...options });
    this.socket = socket;
    const complete = once(socket, 'secureConnect');
    this.#listen(socket);
    await complete;
    return socket;
  }

  /** Connects to a port on loopback. Its own FIN never follows the other side's by itself. */
  static async connect(port: number, options: Partial<TcpNetConnectOpts> = {}): Promise<Peer> {
    const socket = connect({ host: '127.0.0.1', noDelay: true, allowHalfOpen: true, ...options, port });
    const peer = new Peer(socket);
    await once(socket, 'connect');
    return peer;
  }

  say(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Resolves with all that was heard up to the end of `text`. */
  async hears(text: string): Promise<string> {
    while (!this.heard.includes(text)) {
      if (this.ending !== null) throw new Error(`not heard: ${quote(text)}, but: ${quote(this.heard)}`);
      await this.#change();
    }
    return this.#take(this.heard.indexOf(text) + text.length);
  }

  /** One whole reply of SMTP. */
  async reply(): Promise<string> {
    let reply = '';
    do reply += await this.hears('\r\n');
    while (!/^\d{3}(?: .*)?\r\n$/m.test(reply));
    return reply;
  }

  /** Resolves when the other side is gone, with all that was heard and not taken. */
  async rest(): Promise<string> {
    while (this.ending === null) await this.#change();
    return this.#take(this.heard.length);
  }

  /** FIN from this side. */
  finish(): void {
    this.socket.end();
  }

  /** RST from this side. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  #take(length: number): string {
    const taken = this.heard.slice(0, length);
    this.heard = this.heard.slice(length);
    return taken;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #over(ending: Ending): void {
    this.ending ??= ending;
    this.#wake();
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 400 ? `${text.slice(0, 400)}…` : text);
}

/** Says it again and again, as fast as it is taken, until the connection is gone. */
export async function pour({ socket }: Peer, chunk: Buffer): Promise<void> {
  while (!socket.destroyed) {
    if (socket.write(chunk)) await turn();
    else await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
  }
}

/** What was said on one socket of this process has come in at another. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await turn();
}

/** A mail server that only accepts connections: what is said on them is the test's. */
export class UpstreamPeers {
  readonly server: Server;
  /** How many connections there were. */
  count = 0;
  #waiting: Peer[] = [];
  #wanted: ((peer: Peer) => void)[] = [];

  private constructor(server: Server) {
    this.server = server;
    server.on('connection', (socket) => {
      this.count++;
      const peer = new Peer(socket);
      const wanted = this.#wanted.shift();
      if (wanted === undefined) this.#waiting.push(peer);
      else wanted(peer);
    });
  }

  static async listen(t: TestContext): Promise<UpstreamPeers> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => sockets.add(socket));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new UpstreamPeers(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** The next connection, in the order in which they came. */
  next(): Promise<Peer> {
    const peer = this.#waiting.shift();
    return peer === undefined ? new Promise((resolve) => this.#wanted.push(resolve)) : Promise.resolve(peer);
  }
}

/** A port on which nobody listened a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
