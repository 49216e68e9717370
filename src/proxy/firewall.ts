// The running firewall: its listeners, its live connections, and how it ends.
//
// Drain (SIGTERM): no new clients; every session goes on to the end of the transaction it is in and then hears 421; who
// is not done by the deadline is cut off. Cutting off inside mail data is safe: no end of data was sent, so the upstream
// drops the message and the client, which was not told 250, tries again.

import type { AddressInfo, Server } from 'node:net';
import { SHUTTING_DOWN } from '../smtp/replies.ts';
import type { Admit, Door, OwnReply } from '../smtp/types.ts';
import { type Endpoint, normaliseAddress } from './address.ts';
import { Connection, type SessionWatcher } from './connection.ts';
import { refuseAtDoor } from './linger.ts';
import { type ListenerOptions, listen } from './listener.ts';
import type { Timeouts } from './patience.ts';
import { type DialObserver, Upstream } from './upstream.ts';

export interface FirewallOptions {
  readonly listeners: readonly ListenerOptions[];
  readonly servers: readonly Endpoint[];
  readonly timeouts: Timeouts;
  readonly admit: Admit;
  readonly observer: FirewallObserver;
}

export interface FirewallObserver extends DialObserver {
  sessionOpened(door: Door, connector: string): SessionWatcher;
  refusedAtDoor(door: Door, connector: string | null, reason: DoorReason, reply: OwnReply): void;
  defect(error: unknown, doing: string): void;
}

type DoorReason = 'no_connector' | 'connect' | 'connections' | 'upstream_connections' | 'banned';

export class Firewall {
  readonly upstream: Upstream;
  readonly #options: FirewallOptions;
  readonly #connections = new Set<Connection>();
  #servers: Server[] = [];
  #emptied: (() => void) | null = null;
  #draining = false;

  constructor(options: FirewallOptions) {
    this.#options = options;
    this.upstream = new Upstream(options.servers, options.timeouts.upstream_connect, options.observer);
  }

  /** Binds; rejects with a sentence that names the address that cannot be bound. */
  async listen(): Promise<void> {
    const { admit, observer, timeouts, listeners } = this.#options;
    this.#servers = await listen(listeners, {
      admit,
      headerTimeout: timeouts.proxy_header,
      refused: (door, { connector, reason, reply }) => observer.refusedAtDoor(door, connector, reason, reply),
      admitted: (client, early, door, { profile, judge, release }) => {
        if (this.#draining) {
          release(); // its PROXY header came too late
          refuseAtDoor(client, SHUTTING_DOWN, door.clientAddress);
          return;
        }
        const connection = new Connection({
          client,
          early,
          clientAddress: door.clientAddress,
          profile,
          judge,
          timeouts,
          upstream: this.upstream,
          watcher: observer.sessionOpened(door, profile.connector),
          defect: (error, doing) => observer.defect(error, doing),
          ended: () => {
            release();
            this.#connections.delete(connection);
            if (this.#connections.size === 0) this.#emptied?.();
          },
        });
        this.#connections.add(connection);
        connection.start();
      },
    });
  }

  /** The addresses as bound, so that port 0 shows what it became. */
  get addresses(): Endpoint[] {
    return this.#servers.map((server) => {
      const { address, port } = server.address() as AddressInfo;
      return { address: normaliseAddress(address), port };
    });
  }

  get sessions(): number {
    return this.#connections.size;
  }

  /** No new clients; the sessions there are go on. */
  stopListening(): void {
    for (const server of this.#servers) server.close();
  }

  /** Stops listening and drains; resolves with the number of sessions that had to be cut off after `patience` ms. */
  async drain(patience: number): Promise<number> {
    this.#draining = true;
    this.stopListening();
    for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.size === 0) return 0;
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patience);
    });
    await Promise.race([emptied, late]);
    clearTimeout(timer);
    return this.cutOff();
  }

  /** Ends every session now; how many there were. */
  cutOff(): number {
    const cut = this.#connections.size;
    for (const connection of [...this.#connections]) connection.shutDown();
    return cut;
  }
}
