// Reaching the mail server: the servers in their order, the next one when one does not answer.
//
// One connection for one session; nothing is pooled, since what a server remembers of a connection (login, transaction,
// capabilities) belongs to one client. Not done here: TLS, and any choice by load.

import { connect, type Socket } from 'node:net';
import { type Endpoint, formatEndpoint } from './address.ts';

/** What dialling tells the observer. */
export interface DialObserver {
  upstreamUp(server: string, up: boolean, why?: string): void;
  upstreamConnected(server: string, seconds: number): void;
}

export class Upstream {
  readonly #servers: readonly Endpoint[];
  readonly #timeout: number;
  readonly #observer: DialObserver;

  /** `timeout`: milliseconds that one server may take to accept the connection. */
  constructor(servers: readonly Endpoint[], timeout: number, observer: DialObserver) {
    this.#servers = servers;
    this.#timeout = timeout;
    this.#observer = observer;
  }

  /** Calls back once: with a connected socket, or with null when no server answered. The function returned gives up. */
  dial(done: (socket: Socket | null) => void): () => void {
    let current: Socket | null = null;
    let over = false;
    const finish = (socket: Socket | null): void => {
      if (over) return;
      over = true;
      done(socket);
    };
    const attempt = (index: number): void => {
      const server = this.#servers[index];
      if (over) return;
      if (server === undefined) {
        finish(null);
        return;
      }
      const name = formatEndpoint(server);
      const started = performance.now();
      const socket = connect({ host: server.address, port: server.port, noDelay: true, allowHalfOpen: true });
      current = socket;
      const timer = setTimeout(() => socket.destroy(new Error('connect time-out')), this.#timeout);
      socket.once('close', () => clearTimeout(timer));
      const failed = (error: Error): void => {
        socket.destroy();
        this.#observer.upstreamUp(name, false, error.message);
        attempt(index + 1);
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', failed);
        this.#observer.upstreamUp(name, true);
        this.#observer.upstreamConnected(name, (performance.now() - started) / 1000);
        finish(socket);
      });
    };
    attempt(0);
    return () => {
      over = true;
      current?.destroy();
    };
  }

  /** Whether a server greets with 2yz: what /readyz wants to know. */
  greets(): Promise<boolean> {
    return new Promise((resolve) => {
      this.dial((socket) => {
        if (socket === null) {
          resolve(false);
          return;
        }
        const end = (greeted: boolean): void => {
          socket.end('QUIT\r\n');
          socket.setTimeout(1000, () => socket.destroy());
          resolve(greeted);
        };
        socket.setTimeout(this.#timeout, () => end(false));
        socket.once('data', (chunk) => end(chunk[0] === 0x32));
        socket.on('error', () => end(false));
        socket.on('end', () => end(false));
      });
    });
  }
}
