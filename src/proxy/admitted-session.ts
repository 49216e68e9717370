// One session that was let in: what its connection is given, who it is for a server that is told, and what it gives back at its end.
//
// One object for all of that, since a session lasts as long as it is cheap: a flood of clients that hang up makes thousands a second.

import type { ClientIdentity } from '../smtp/client-identity.ts';
import type { Admitted, ConnectionEnds, Handshake, Profile } from '../smtp/types.ts';
import type { ByteStream } from './byte-stream.ts';
import type { Caller } from './call.ts';
import { type ClientTls, unvouched } from './client-tls.ts';
import { Connection } from './connection.ts';
import type { ConnectionOptions, SessionWatcher } from './connection-options.ts';
import type { FairQueue } from './fair-queue.ts';
import type { AcceptedClient } from './listener.ts';
import type { Timeouts } from './phase-timers.ts';
import type { Upstream } from './upstream.ts';
import type { ReleaseSlot } from './upstream-slots.ts';

/** What all sessions of a relay share. */
export interface SessionHost {
  readonly timeouts: Timeouts;
  readonly queue: FairQueue;
  /** The names of an address, confirmed; null where DNS did not answer. Never rejects. */
  names(address: string): Promise<readonly string[] | null>;
  defect(error: unknown, doing: string): void;
  over(connection: Connection, client: ByteStream): void;
}

export class AdmittedSession implements ConnectionOptions, Caller {
  readonly client: ByteStream;
  readonly early: Buffer | null;
  readonly ends: ConnectionEnds;
  readonly handshake: (Handshake & { result: 'ok' }) | null;
  readonly tls: ClientTls;
  readonly profile: Profile;
  readonly admitted: Admitted;
  readonly upstream: Upstream;
  readonly watcher: SessionWatcher;
  readonly connection: Connection;
  readonly #host: SessionHost;
  readonly #leave: ReleaseSlot;

  /** `leave` gives its place at the upstream back. */
  constructor(
    host: SessionHost,
    entry: AcceptedClient,
    admitted: Admitted,
    upstream: Upstream,
    watcher: SessionWatcher,
    leave: ReleaseSlot,
  ) {
    this.#host = host;
    this.client = entry.client;
    this.early = entry.early;
    this.ends = entry.ends;
    // A reload may have come while it waited for its place.
    this.handshake =
      entry.handshake !== null && entry.authority !== entry.tls.authority
        ? unvouched(entry.handshake)
        : entry.handshake;
    this.tls = entry.tls;
    this.profile = entry.tls.isAble ? admitted.profile : withoutTls(admitted.profile);
    this.admitted = admitted;
    this.upstream = upstream;
    this.watcher = watcher;
    this.#leave = leave;
    this.connection = new Connection(this);
  }

  get timeouts(): Timeouts {
    return this.#host.timeouts;
  }

  get queue(): FairQueue {
    return this.#host.queue;
  }

  async identify(): Promise<ClientIdentity> {
    const { clientAddress: address, clientPort: port, localAddress, localPort } = this.ends;
    const names = await this.#host.names(address);
    return { address, port, name: names === null ? undefined : (names[0] ?? null), localAddress, localPort };
  }

  defect(error: unknown, doing: string): void {
    this.#host.defect(error, doing);
  }

  ended(): void {
    this.#leave();
    this.admitted.release();
    this.#host.over(this.connection, this.client);
  }
}

/** Where a listener has no certificate, nothing that needs one is offered: what asks for TLS then refuses. */
function withoutTls(profile: Profile): Profile {
  return profile.starttls === 'terminate' ? { ...profile, starttls: 'hide' } : profile;
}
