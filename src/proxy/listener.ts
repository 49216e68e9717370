// Listeners: sockets that listen, and what is settled before a client hears a greeting.
//
// Order (house.md 3): normalise the address, read the PROXY header where one is due, ask whether the client is admitted,
// shake hands where TLS comes first, take a place at the upstream, then dial: who only begins handshakes never reaches the
// upstream, nor keeps others from it. Nothing of SMTP is read here. A listener with `proxy_protocol` closes on everyone who is not listed. Where TLS comes first a refused client
// is closed without a word, since to say one would cost a handshake for everyone who is refused for coming too often.

import { createServer, type Server, type Socket } from 'node:net';
import { SERVER_BUSY } from '../smtp/replies.ts';
import type { Admit, Admitted, ConnectionEnds, Handshake, HeaderResult, Refusal } from '../smtp/types.ts';
import { type Endpoint, formatEndpoint, normaliseAddress } from './address.ts';
import { type ByteStream, NOBODY, type SocketEnds } from './byte-stream.ts';
import type { ClientTls } from './client-tls.ts';
import type { FairQueue } from './fair-queue.ts';
import { HandleStream } from './handle-stream.ts';
import { firstSaid, headerFault } from './header-fault.ts';
import { refuseConnection } from './lingering-close.ts';
import { BAD, INCOMPLETE, ProxyHeaderReader } from './proxy-protocol.ts';
import { SocketStream } from './socket-stream.ts';
import { takeHandles } from './tcp-handles.ts';
import type { ReleaseSlot } from './upstream-slots.ts';

export interface ListenerOptions {
  readonly bind: readonly Endpoint[];
  /** Peers that must send a PROXY header; null = nobody may. */
  readonly proxyPeers: ((address: string) => boolean) | null;
  readonly tls: ClientTls;
  /** TLS comes before all else. */
  readonly implicitTls: boolean;
}

/** A client that was let in. */
export interface AcceptedClient {
  readonly client: ByteStream;
  /** Octets that came behind its PROXY header, in clear text. */
  readonly early: Buffer | null;
  readonly ends: ConnectionEnds;
  readonly handshake: (Handshake & { result: 'ok' }) | null;
  /** Of its listener. */
  readonly tls: ClientTls;
  /** Who vouched for client certificates at the handshake. */
  readonly authority: string | null;
}

export interface ListenerHandlers {
  readonly queue: FairQueue;
  readonly admit: Admit;
  /** A place at the upstream for one who was admitted; null: there is none. It never rejects. */
  place(admitted: Admitted): ReleaseSlot | null | Promise<ReleaseSlot | null>;
  /** Milliseconds in which a PROXY header must be whole. */
  readonly headerTimeout: number;
  admitted(entry: AcceptedClient, admitted: Admitted, leave: ReleaseSlot): void;
  refused(ends: ConnectionEnds, refusal: Refusal): void;
  /** How the PROXY header of a peer came out that has to send one; `said`: the first that it said. */
  header(peer: ConnectionEnds, result: HeaderResult, said: string): void;
  /** A client came and could not be taken; the system's error code. */
  acceptFailed(code: string): void;
  /** It was admitted, and its handshake came to nothing. */
  handshakeFailed(ends: ConnectionEnds, connector: string, handshake: Handshake): void;
}

/** Binds every address; rejects with the error of the first that cannot be bound, and then none is. */
export async function listen(
  listeners: readonly ListenerOptions[],
  sharePorts: boolean,
  keeper: ListenerHandlers,
): Promise<Server[]> {
  const servers: Server[] = [];
  try {
    for (const listener of listeners) {
      for (const endpoint of listener.bind) servers.push(await listenOn(endpoint, sharePorts, listener, keeper));
    }
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  return servers;
}

function listenOn(
  endpoint: Endpoint,
  reusePort: boolean,
  listener: ListenerOptions,
  keeper: ListenerHandlers,
): Promise<Server> {
  const { proxyPeers } = listener;
  const take = (client: ByteStream, known: SocketEnds | null): void => {
    const ends = known === null ? null : connectionEnds(known);
    if (ends === null)
      client.destroy(); // gone before we looked
    else if (proxyPeers === null) enter(client, null, ends, listener, keeper);
    else if (proxyPeers(ends.clientAddress)) awaitHeader(client, ends, listener, keeper);
    else {
      client.destroy();
      keeper.header(ends, 'not_listed', '');
    }
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  const acceptFailed = ({ code = '' }: NodeJS.ErrnoException): void => keeper.acceptFailed(code);
  return bind(server, endpoint, reusePort, acceptFailed, take);
}

/** Rejects when somebody else listens there, which threads that share a port would not notice. */
export async function requireFree(endpoint: Endpoint): Promise<void> {
  const server = await bind(createServer(), endpoint, false);
  await new Promise((resolve) => server.close(resolve));
}

/** Whether this machine has IPv6 at all: a kernel may be without it (ipv6.disable=1), or a sandbox forbid it. */
export async function hasIpv6(): Promise<boolean> {
  try {
    await requireFree({ address: '::', port: 0 });
    return true;
  } catch (error) {
    const { code } = (error as Error).cause as NodeJS.ErrnoException;
    return code !== 'EAFNOSUPPORT';
  }
}

function bind(
  server: Server,
  endpoint: Endpoint,
  reusePort: boolean,
  acceptFailed: (error: NodeJS.ErrnoException) => void = () => {},
  take: (client: ByteStream, ends: SocketEnds | null) => void = (client) => client.destroy(),
): Promise<Server> {
  const { address: host, port } = endpoint;
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`cannot listen on ${formatEndpoint(endpoint)}: ${whyNot(error)}`, { cause: error })),
    );
    // An IPv6 wildcard beside an IPv4 one on the same port is EADDRINUSE without ipv6Only.
    server.listen({ host, port, ipv6Only: true, reusePort, backlog: 4096 }, () => {
      server.removeAllListeners('error');
      server.on('error', acceptFailed); // that client is lost, the listener is not
      const isTaken = takeHandles(server, (handle) => {
        handle.setNoDelay(true);
        const client = new HandleStream(handle);
        take(client, client.ends);
      });
      if (!isTaken) server.on('connection', (socket) => take(new SocketStream(socket), endsOf(socket)));
      resolve(server);
    });
  });
}

const WHY_NOT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EACCES:
    process.platform === 'win32'
      ? 'not permitted: another program has it for itself alone, or Windows keeps it (netsh interface ipv4 show excludedportrange tcp)'
      : 'not permitted, as ports below 1024 often are: root may, or who has CAP_NET_BIND_SERVICE; 2525 is free to everybody',
  EADDRNOTAVAIL: 'this machine has no such address',
  EAFNOSUPPORT: 'this machine has no addresses of that kind',
};

/** Why an address cannot be bound, for an operator. */
export function whyNot(error: NodeJS.ErrnoException): string {
  return WHY_NOT[error.code ?? ''] ?? error.message;
}

/** Null: it is gone. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): SocketEnds | null {
  if (remoteAddress === undefined || localAddress === undefined) return null;
  return { remoteAddress, remotePort: remotePort ?? 0, localAddress, localPort: localPort ?? 0 };
}

function connectionEnds({ remoteAddress, remotePort, localAddress, localPort }: SocketEnds): ConnectionEnds {
  return {
    clientAddress: normaliseAddress(remoteAddress),
    clientPort: remotePort,
    localAddress: normaliseAddress(localAddress),
    localPort,
  };
}

function awaitHeader(
  client: ByteStream,
  ends: ConnectionEnds,
  listener: ListenerOptions,
  keeper: ListenerHandlers,
): void {
  const reader = new ProxyHeaderReader();
  const giveUp = (result: HeaderResult): void => {
    clearTimeout(timer);
    client.destroy();
    keeper.header(ends, result, firstSaid(reader.bytes));
  };
  const hungUp = (): void => giveUp('hung_up');
  const timer = setTimeout(() => giveUp('late'), keeper.headerTimeout);
  const read = (chunk: Buffer): void => {
    const header = reader.take(chunk);
    if (header === INCOMPLETE) return;
    if (header === BAD) {
      giveUp(headerFault(reader.bytes));
      return;
    }
    clearTimeout(timer);
    client.owner = NOBODY;
    keeper.header(ends, 'ok', '');
    const { source, destination } = header;
    const named: ConnectionEnds = {
      clientAddress: source?.address ?? ends.clientAddress,
      clientPort: source?.port ?? ends.clientPort,
      localAddress: destination?.address ?? ends.localAddress,
      localPort: destination?.port ?? ends.localPort,
      lost: source === null,
      check: source === null || source.address === ends.clientAddress,
    };
    const early = reader.bytes.subarray(header.length);
    enter(client, early.length === 0 ? null : Buffer.from(early), named, listener, keeper);
  };
  client.owner = { heard: read, ended: hungUp, drained() {}, lost: hungUp };
  client.resume();
}

function enter(
  client: ByteStream,
  early: Buffer | null,
  ends: ConnectionEnds,
  listener: ListenerOptions,
  keeper: ListenerHandlers,
): void {
  const { tls, implicitTls } = listener;
  whenKnown(client, keeper.admit(ends), (admission) => {
    if (client.isGone) {
      if (admission.admitted) admission.release();
    } else if (!admission.admitted) {
      if (implicitTls) client.destroy();
      else refuseConnection(client, admission.reply, keeper.queue, ends.clientAddress, early);
      keeper.refused(ends, admission);
    } else if (!implicitTls) {
      seat({ client, early, ends, handshake: null, tls, authority: null }, keeper, admission);
    } else {
      client.pause();
      const plain = client.toSocket();
      if (early !== null && early.length > 0) plain.unshift(early);
      tls.secure(plain, (handshake, secured) => {
        if (handshake.result === 'ok' && secured !== null) {
          seat({ client: secured, early: null, ends, handshake, tls, authority: tls.authority }, keeper, admission);
          return;
        }
        admission.release();
        keeper.handshakeFailed(ends, admission.profile.connector, handshake);
      });
    }
  });
}

/** Who gets no place leaves as one refused at connection time. */
function seat(entry: AcceptedClient, keeper: ListenerHandlers, admitted: Admitted): void {
  const { client, early, ends } = entry;
  whenKnown(client, keeper.place(admitted), (leave) => {
    if (leave !== null && !client.isGone) {
      keeper.admitted(entry, admitted, leave);
      return;
    }
    leave?.();
    admitted.release();
    if (client.isGone) return;
    const { connector, upstream } = admitted.profile;
    const key = upstream === 'default' ? undefined : `upstreams.${upstream}.max_connections`;
    refuseConnection(client, SERVER_BUSY, keeper.queue, ends.clientAddress, early);
    keeper.refused(ends, { admitted: false, connector, reply: SERVER_BUSY, reason: 'upstream_connections', key });
  });
}

/** Goes on when the answer is there. A client that had to wait is paused then, and destroyed if it has hung up. */
function whenKnown<T>(client: ByteStream, answer: T | Promise<T>, goOn: (answer: T) => void): void {
  if (!(answer instanceof Promise)) {
    goOn(answer);
    return;
  }
  const lost = (): void => client.destroy();
  client.owner = { ...NOBODY, ended: lost, lost };
  client.resume();
  client.pause(); // who spoke already would go on into the void; that it hangs up is heard
  answer.then((found) => {
    client.owner = NOBODY;
    goOn(found);
  });
}
