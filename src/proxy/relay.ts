// The running firewall: its listeners, its live connections, and how it ends.
//
// Drain (SIGTERM): no new clients; every session goes on to the end of the transaction it is in and then hears 421; who
// is not done by the deadline is cut off. Cutting off inside mail data is safe: no end of data was sent, so the upstream
// drops the message and the client, which was not told 250, tries again. A process that ends resets what clients are
// still saying, and with it the last reply they have not read: so a drain waits a moment for them to hang up.

import type { AddressInfo, Server } from 'node:net';
import { Roster } from '../observe/roster.ts';
import { CONFIGURATION_CHANGED, ENDED_BY_OPERATOR, SERVER_BUSY, SHUTTING_DOWN } from '../smtp/replies.ts';
import type {
  Admit,
  Admitted,
  CloseReason,
  ConnectionEnds,
  ConnectionRefusal,
  Handshake,
  HeaderResult,
  OwnReply,
} from '../smtp/types.ts';
import { type Endpoint, normaliseAddress } from './address.ts';
import { AdmittedSession, type SessionHost } from './admitted-session.ts';
import type { ByteStream } from './byte-stream.ts';
import { ClientTls, type Credentials, NO_CREDENTIALS } from './client-tls.ts';
import type { Connection } from './connection.ts';
import type { SessionWatcher } from './connection-options.ts';
import { FairQueue } from './fair-queue.ts';
import { refuseConnection } from './lingering-close.ts';
import { type AcceptedClient, type ListenerOptions, listen } from './listener.ts';
import type { Timeouts } from './phase-timers.ts';
import type { LiveSession } from './snapshot.ts';
import type { DialObserver } from './upstream.ts';
import type { ReleaseSlot, SlotKeeper } from './upstream-slots.ts';
import { type UpstreamSettings, Upstreams } from './upstreams.ts';

/** What a listener is opened with. */
export interface ListenerSettings extends Omit<ListenerOptions, 'tls' | 'implicitTls'> {
  /** None where left out. */
  readonly credentials?: Credentials | undefined;
  readonly implicitTls?: boolean | undefined;
}

export interface RelayOptions {
  readonly listeners: readonly ListenerSettings[];
  /** Several threads bind the same ports, and the kernel gives each connection to one of them. */
  readonly sharePorts?: boolean;
  /** For session tickets that all of them can read; of this thread alone when left out. */
  readonly ticketKeys?: Uint8Array | undefined;
  /** The servers behind, and how they are spoken to; a connector's profile says which of them its sessions go to. */
  readonly upstreams: readonly UpstreamSettings[];
  /** For as many sessions as each of them takes. */
  readonly slots: SlotKeeper;
  /** Whether other threads have sessions at this server; left out where there are none. */
  readonly servedElsewhere?: (server: string) => Promise<boolean>;
  /** Our host name where it is a full one. */
  readonly ourName: string | null;
  /** The names of an address, confirmed; null where DNS did not answer. Never rejects. */
  readonly names: (address: string) => Promise<readonly string[] | null>;
  readonly timeouts: Timeouts;
  readonly admit: Admit;
  readonly observer: RelayObserver;
}

export interface RelayObserver extends DialObserver {
  sessionOpened(ends: ConnectionEnds, connector: string): SessionWatcher;
  connectionRefused(
    ends: ConnectionEnds,
    connector: string | null,
    reason: ConnectionRefusal,
    reply: OwnReply,
    key?: string,
  ): void;
  /** In observe: it was let in although this would have refused it. */
  connectionWouldBeRefused(
    ends: ConnectionEnds,
    connector: string,
    reason: ConnectionRefusal,
    reply: OwnReply,
    key?: string,
  ): void;
  /** Where a peer has to send a PROXY header. */
  proxyHeader(peer: ConnectionEnds, result: HeaderResult, said: string): void;
  /** Where TLS comes before all else: there is no session yet. */
  handshakeFailed(ends: ConnectionEnds, connector: string, handshake: Handshake): void;
  defect(error: unknown, doing: string): void;
}

const BY_OPERATOR: CloseReason = { origin: 'operator', what: 'ended by the operator' };
const OTHER_AUTHORITY: CloseReason = {
  origin: 'operator',
  what: 'another authority vouches for client certificates now',
  key: 'listeners[].client_ca',
};
const LAST_WORDS = 1000; // ms for clients to read their last reply

export class Relay {
  readonly upstreams: Upstreams;
  readonly #options: RelayOptions;
  readonly #tls: readonly ClientTls[];
  readonly #connections = new Roster<Connection>();
  readonly #queue = new FairQueue();
  readonly #host: SessionHost;
  #leaving = 0; // clients of sessions that have ended
  #servers: Server[] = [];
  #changed: () => void = () => {};
  #draining = false;

  /** Throws what OpenSSL does not accept. */
  constructor(options: RelayOptions) {
    this.#options = options;
    const { timeouts, ourName, ticketKeys } = options;
    this.#host = {
      timeouts,
      queue: this.#queue,
      names: (address) => options.names(address),
      defect: (error, doing) => options.observer.defect(error, doing),
      over: (connection, client) => {
        this.#connections.delete(connection);
        this.#seeOff(client);
        this.#changed();
      },
    };
    const { upstream_connect, upstream_greeting, tls_handshake } = timeouts;
    this.#tls = options.listeners.map(
      ({ credentials }) => new ClientTls(credentials ?? NO_CREDENTIALS, tls_handshake, ticketKeys),
    );
    const common = { connectWithin: upstream_connect, greetWithin: upstream_greeting, ourName };
    this.upstreams = new Upstreams(options.upstreams, common, options.observer, options.servedElsewhere);
  }

  /** Binds; rejects with a sentence that names the address that cannot be bound. */
  async listen(): Promise<void> {
    const { admit, observer, timeouts, listeners, sharePorts = false } = this.#options;
    const opened = listeners.map(({ bind, proxyPeers, implicitTls = false }, i) => {
      return { bind, proxyPeers, implicitTls, tls: this.#tls[i] as ClientTls };
    });
    this.#servers = await listen(opened, sharePorts, {
      queue: this.#queue,
      admit,
      place: ({ profile }) => this.#options.slots.take(profile.upstream),
      headerTimeout: timeouts.proxy_header,
      refused: (ends, { connector, reason, reply, key }) =>
        observer.connectionRefused(ends, connector, reason, reply, key),
      header: (peer, result, said) => observer.proxyHeader(peer, result, said),
      handshakeFailed: (ends, connector, handshake) => observer.handshakeFailed(ends, connector, handshake),
      acceptFailed: (code) => observer.shortOf(code, 'accept'),
      admitted: (entry, admitted, leave) => this.#admitted(entry, admitted, leave),
    });
  }

  #admitted(entry: AcceptedClient, admitted: Admitted, leave: ReleaseSlot): void {
    const { observer } = this.#options;
    const { client, ends } = entry;
    const { profile, observed } = admitted;
    if (observed !== undefined) {
      const { reason, reply, key } = observed;
      observer.connectionWouldBeRefused(ends, profile.connector, reason, reply, key);
    }
    const upstream = this.upstreams.of(profile.upstream);
    if (this.#draining || upstream === null) {
      // Its PROXY header or its handshake came too late, or a reload took its servers away meanwhile.
      const reply = this.#draining ? SHUTTING_DOWN : SERVER_BUSY;
      const reason = this.#draining ? 'shutting_down' : 'upstream_connections';
      observer.connectionRefused(ends, profile.connector, reason, reply);
      leave();
      admitted.release();
      refuseConnection(client, reply, this.#queue, ends.clientAddress, null);
      return;
    }
    const watcher = observer.sessionOpened(ends, profile.connector);
    const { connection } = new AdmittedSession(this.#host, entry, admitted, upstream, watcher, leave);
    this.#connections.add(connection);
    connection.start();
  }

  /** What each listener shows from now on; sessions that are there keep theirs. Throws what OpenSSL does not accept. Clients whom a
   * certificate names come again where another authority vouches now. */
  replaceCredentials(credentials: readonly Credentials[]): void {
    for (const [i, tls] of this.#tls.entries()) {
      const before = tls.authority;
      tls.replace(credentials[i] ?? NO_CREDENTIALS);
      if (tls.authority === before) continue;
      for (const connection of [...this.#connections])
        if (connection.isNamedBy(tls)) connection.drain(CONFIGURATION_CHANGED, OTHER_AUTHORITY);
    }
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
    this.upstreams.close();
    this.stopListening();
    for (const connection of [...this.#connections]) connection.drain();
    await this.#wait(() => this.#connections.size === 0, patience);
    const cut = this.cutOff();
    await this.#wait(() => this.#leaving === 0, LAST_WORDS);
    return cut;
  }

  /** Resolves when it is so, or when the time is over. */
  async #wait(isSo: () => boolean, ms: number): Promise<void> {
    if (isSo()) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
      this.#changed = () => isSo() && resolve();
    });
    clearTimeout(timer);
  }

  #seeOff(client: ByteStream): void {
    this.#leaving++;
    client.whenClosed(() => {
      this.#leaving--;
      this.#changed();
    });
  }

  /** Ends the sessions of these clients, each at its next boundary between transactions; not where all is only observed. */
  end(isMeant: (clientAddress: string) => boolean, own: OwnReply, reason: CloseReason): void {
    for (const connection of [...this.#connections]) {
      if (connection.isBannable && isMeant(connection.clientAddress)) connection.drain(own, reason);
    }
  }

  /** In the order in which they came. */
  get live(): Iterable<LiveSession> {
    return this.#connections;
  }

  /** Ends the session of this number at its next boundary between transactions; false when there is none. */
  endOne(number: number): boolean {
    for (const connection of this.#connections) {
      if (connection.outline.number !== number) continue;
      connection.drain(ENDED_BY_OPERATOR, BY_OPERATOR);
      return true;
    }
    return false;
  }

  /** Ends every session now; how many there were. */
  cutOff(): number {
    const cut = this.#connections.size;
    for (const tls of this.#tls) tls.giveUp();
    for (const connection of [...this.#connections]) connection.shutDown();
    return cut;
  }
}
