// The lenient mail server behind a real loopback socket: delays, split and gathered replies, resets, words unasked for.
//
// One listener, many connections; each connection is a LenientServer of its own, as `expect` said last. What was said and
// heard on it stays readable after its end. Nothing is decided here: that is lenient-server.ts.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Action, Backend } from './backend.ts';
import type { Dialect } from './dialects.ts';
import { LenientServer } from './lenient-server.ts';

/** How long `coalesce` gathers replies behind the last octets that came in. */
const GATHER_MS = 20;
/** Above this many replies in a row they leave in one write: a write each is most of what a flood costs here. */
const MANY = 100;

/** Where nobody listens (tcpmux): the upstream of a `refuse` row. */
export const REFUSING_PORT = 1;

export interface StandInOptions {
  readonly dialect: Dialect;
  readonly backend?: Backend;
  /** Asked at every recipient that is executed. */
  readonly mark?: () => unknown;
}

export class UpstreamStandIn {
  /** Every connection so far, in order. */
  readonly connections: StandInConnection[] = [];
  /** Called whenever octets come in or go out, and when a connection opens or ends. */
  onActivity: () => void = () => {};
  readonly #server: Server;
  #options: StandInOptions = { dialect: 'lf' };

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      const connection = new StandInConnection(socket, this.#options, () => this.onActivity());
      this.connections.push(connection);
    });
  }

  static async listen(options?: StandInOptions): Promise<UpstreamStandIn> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const standIn = new UpstreamStandIn(server);
    if (options !== undefined) standIn.expect(options);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return standIn;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Whether a reply is still waiting for its time. */
  get busy(): boolean {
    return this.connections.some((connection) => connection.busy);
  }

  /** What the connections to come will meet; the ones there were are forgotten. */
  expect(options: StandInOptions): void {
    this.#options = options;
    for (const connection of this.connections.splice(0)) connection.destroy();
  }

  /** Waits until every connection is over, at most so long; whether they are. */
  async ended(within = 5_000): Promise<boolean> {
    const isOver = () => this.connections.every((connection) => connection.closed);
    for (let waited = 0; !isOver() && waited < within; waited += 5) await sleep(5);
    return isOver();
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export class StandInConnection {
  readonly server: LenientServer;
  /** Whether the other side ended or reset the connection, or we did. */
  closed = false;
  readonly #socket: Socket;
  readonly #active: () => void;
  readonly #sent: Buffer[] = [];
  #queue: Action[] = [];
  #running = false;
  #gathering: NodeJS.Timeout | null = null;
  #idle: NodeJS.Timeout | null = null;

  constructor(socket: Socket, options: StandInOptions, active: () => void) {
    this.server = new LenientServer(options);
    this.#socket = socket;
    this.#active = active;
    active();
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', () => {}); // a reset is an end like any other
    socket.on('close', () => this.#over());
    this.#say(this.server.greeting());
  }

  /** All octets that were said, in order. */
  get sent(): Buffer {
    return Buffer.concat(this.#sent);
  }

  get busy(): boolean {
    return !this.closed && (this.#running || this.#gathering !== null);
  }

  destroy(): void {
    this.#socket.destroy();
    this.#over();
  }

  #receive(chunk: Buffer): void {
    this.#active();
    this.#queue.push(...this.server.receive(chunk));
    if (this.server.backend.coalesce) {
      clearTimeout(this.#gathering ?? undefined);
      this.#gathering = setTimeout(() => {
        this.#gathering = null;
        this.#flushGathered();
      }, GATHER_MS);
    } else {
      void this.#run();
    }
    this.#waitForIdleness();
  }

  #flushGathered(): void {
    const replies = this.#queue.splice(0).map((action) => (action.kind === 'reply' ? action.bytes : Buffer.alloc(0)));
    this.#say(Buffer.concat(replies));
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    if (this.#queue.length > MANY) this.#socket.cork();
    for (let action = this.#queue.shift(); action !== undefined && !this.closed; action = this.#queue.shift()) {
      if (action.kind === 'close') {
        if (action.reset) this.#socket.resetAndDestroy();
        else this.#socket.end();
        continue;
      }
      if (action.delayMs > 0) await sleep(action.delayMs);
      this.#say(action.bytes);
      if (this.server.backend.split_replies !== undefined) await turn();
    }
    this.#running = false;
    this.#socket.uncork();
  }

  #say(bytes: Buffer): void {
    if (bytes.length === 0 || !this.#socket.writable) return;
    this.#active();
    this.#sent.push(bytes);
    this.#socket.write(bytes);
  }

  /** `unsolicited` speaks into the silence of an open transaction. */
  #waitForIdleness(): void {
    const { unsolicited } = this.server.backend;
    clearTimeout(this.#idle ?? undefined);
    if (unsolicited === undefined || !this.server.inTransaction) return;
    this.#idle = setTimeout(() => {
      this.#say(Buffer.from(unsolicited.bytes, 'latin1'));
      if (unsolicited.close) this.#socket.end();
    }, unsolicited.after_ms);
  }

  #over(): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.#gathering ?? undefined);
    clearTimeout(this.#idle ?? undefined);
    this.#active();
  }
}
