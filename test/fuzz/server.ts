// The mail server behind, on real sockets: the lenient server of test/helpers, behind what a firewall may say before the
// dialogue: a PROXY header, TLS from the start, STARTTLS.
//
// A connection is judged by what the server executed on it. Where a PROXY header was to come, it is kept.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Backend } from '../helpers/backend.ts';
import { serverPair } from '../helpers/certificates.ts';
import { StandInConnection, type StandInOptions } from '../helpers/upstream-stand-in.ts';
import type { Setting } from './case.ts';

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

export class FuzzServer {
  readonly connections: StandInConnection[] = [];
  /** The client's address by the PROXY header of each connection. */
  readonly told: string[] = [];
  /** Connections since `expect`, also those that have not come so far as to be among `connections`. */
  accepted = 0;
  onActivity: () => void = () => {};
  readonly #server: Server;
  readonly #setting: Setting;
  readonly #sockets = new Set<Socket>();
  #options: StandInOptions;

  private constructor(server: Server, setting: Setting) {
    this.#server = server;
    this.#setting = setting;
    this.#options = { dialect: setting.dialect };
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async listen(setting: Setting): Promise<FuzzServer> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const listening = new FuzzServer(server, setting);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return listening;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get busy(): boolean {
    return this.connections.some((connection) => connection.busy);
  }

  /** Nobody is connected any more. */
  get isAlone(): boolean {
    return this.#sockets.size === 0;
  }

  /** What the connections to come will meet; those there were are forgotten. */
  expect(backend: Backend, mark: () => unknown): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#options = { dialect: this.#setting.dialect, backend, mark };
    this.connections.length = 0;
    this.told.length = 0;
    this.accepted = 0;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    this.accepted++;
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.onActivity();
    });
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    const { identity, upstreamTls } = this.#setting;
    const behindHeader = (): void => {
      if (upstreamTls === 'implicit') this.#serve(secured(socket), this.#options);
      else if (upstreamTls === 'require') this.#startTls(socket);
      else this.#serve(socket, this.#options);
    };
    if (identity === 'proxy-v1' || identity === 'proxy-v2') this.#readHeader(socket, behindHeader);
    else behindHeader();
  }

  #serve(socket: Socket, options: StandInOptions): void {
    this.connections.push(new StandInConnection(socket, options, () => this.onActivity()));
  }

  #readHeader(socket: Socket, next: () => void): void {
    let octets = Buffer.alloc(0) as Buffer;
    const read = (chunk: Buffer): void => {
      octets = Buffer.concat([octets, chunk]);
      const found = this.#setting.identity === 'proxy-v1' ? readV1(octets) : readV2(octets);
      if (found === null) return;
      socket.off('data', read);
      socket.pause();
      this.told.push(found.address);
      if (found.length < octets.length) socket.unshift(octets.subarray(found.length));
      next();
      socket.resume();
    };
    socket.on('data', read);
  }

  /** Greeting, EHLO, STARTTLS; all behind the handshake is the lenient server's. */
  #startTls(socket: Socket): void {
    let heard = '';
    socket.write('220 mock ESMTP ready\r\n');
    const read = (chunk: Buffer): void => {
      this.onActivity();
      heard += chunk.toString('latin1');
      for (let end = heard.indexOf('\r\n'); end >= 0; end = heard.indexOf('\r\n')) {
        const line = heard.slice(0, end).toUpperCase();
        heard = heard.slice(end + 2);
        if (line === 'STARTTLS') {
          socket.off('data', read);
          socket.write('220 2.0.0 go ahead\r\n');
          const backend = { ...this.#options.backend, greeting: '' };
          this.#serve(secured(socket), { ...this.#options, backend });
          return;
        }
        socket.write(line.startsWith('EHLO') ? '250-mock\r\n250 STARTTLS\r\n' : '502 5.5.1 STARTTLS first\r\n');
      }
    };
    socket.on('data', read);
  }
}

function secured(socket: Socket): Socket {
  const { cert, key } = serverPair();
  // As a stream: what came with a PROXY header was put back there, where the handle alone would not find it.
  const stream = Duplex.from({ readable: socket, writable: socket });
  stream.on('error', () => {});
  const secure = new TLSSocket(stream, { isServer: true, secureContext: createSecureContext({ cert, key }) });
  // A client that goes within the handshake.
  for (const over of ['error', 'close', 'end'] as const)
    secure.on(over, () => setImmediate(() => secure.destroySoon()));
  secure.on('close', () => socket.destroy());
  socket.on('end', () => secure.destroySoon());
  return secure;
}

function readV1(octets: Buffer): { address: string; length: number } | null {
  const end = octets.indexOf('\r\n');
  if (end < 0) return null;
  return { address: octets.toString('latin1', 0, end).split(' ')[2] ?? '', length: end + 2 };
}

function readV2(octets: Buffer): { address: string; length: number } | null {
  if (octets.length < 16) return null;
  const length = 16 + octets.readUInt16BE(14);
  if (octets.length < length) return null;
  if (!octets.subarray(0, 12).equals(V2_SIGNATURE)) return { address: 'no signature', length };
  if (octets[13] === 0x11) return { address: [...octets.subarray(16, 20)].join('.'), length };
  const words = Array.from({ length: 8 }, (_, at) => octets.readUInt16BE(16 + 2 * at).toString(16));
  return { address: octets[13] === 0x21 ? words.join(':') : '', length };
}
