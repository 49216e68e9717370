// The door: sockets that listen, and what is settled before a client hears a greeting.
//
// Order (house.md 3): normalise the address, read the PROXY header where one is due, ask whether the client is admitted,
// then dial. Nothing of SMTP is read here. A listener with `proxy_protocol` closes on everyone who is not listed.

import { createServer, type Server, type Socket } from 'node:net';
import type { Admission, Admit, Door } from '../smtp/types.ts';
import { type Endpoint, formatEndpoint, normaliseAddress } from './address.ts';
import { refuseAtDoor } from './linger.ts';
import { BAD, INCOMPLETE, readProxyHeader } from './proxy-protocol.ts';

export interface ListenerOptions {
  readonly bind: readonly Endpoint[];
  /** Peers that must send a PROXY header; null = nobody may. */
  readonly proxyPeers: ((address: string) => boolean) | null;
}

export interface DoorKeeper {
  readonly admit: Admit;
  /** Milliseconds in which a PROXY header must be whole. */
  readonly headerTimeout: number;
  admitted(client: Socket, early: Buffer | null, door: Door, admission: Admission & { admitted: true }): void;
  refused(door: Door, admission: Admission & { admitted: false }): void;
}

/** Binds every address; rejects with the error of the first that cannot be bound, and then none is. */
export async function listen(
  listeners: readonly ListenerOptions[],
  sharePorts: boolean,
  keeper: DoorKeeper,
): Promise<Server[]> {
  const servers: Server[] = [];
  try {
    for (const { bind, proxyPeers } of listeners) {
      for (const endpoint of bind) servers.push(await listenOn(endpoint, sharePorts, proxyPeers, keeper));
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
  proxyPeers: ListenerOptions['proxyPeers'],
  keeper: DoorKeeper,
): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const door = doorOf(client);
    if (door === null)
      client.destroy(); // gone before we looked
    else if (proxyPeers === null) enter(client, null, door, keeper);
    else if (proxyPeers(door.clientAddress)) awaitHeader(client, door, keeper);
    else client.destroy();
  });
  return bind(server, endpoint, reusePort);
}

/** Rejects when somebody else listens there, which threads that share a port would not notice. */
export async function requireFree(endpoint: Endpoint): Promise<void> {
  const server = await bind(
    createServer((client) => client.destroy()),
    endpoint,
    false,
  );
  await new Promise((resolve) => server.close(resolve));
}

function bind(server: Server, endpoint: Endpoint, reusePort: boolean): Promise<Server> {
  const { address: host, port } = endpoint;
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`cannot listen on ${formatEndpoint(endpoint)}: ${whyNot(error)}`)),
    );
    // An IPv6 wildcard beside an IPv4 one on the same port is EADDRINUSE without ipv6Only.
    server.listen({ host, port, ipv6Only: true, reusePort, backlog: 4096 }, () => {
      server.removeAllListeners('error');
      server.on('error', () => {}); // accept() failed (EMFILE): that client is lost, the listener is not
      resolve(server);
    });
  });
}

const WHY_NOT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'not permitted, as ports below 1024 often are: CAP_NET_BIND_SERVICE is wanted',
  EADDRNOTAVAIL: 'this machine has no such address',
  EAFNOSUPPORT: 'this machine has no addresses of that kind',
};

/** Why an address cannot be bound, for an operator. */
export function whyNot(error: NodeJS.ErrnoException): string {
  return WHY_NOT[error.code ?? ''] ?? error.message;
}

function doorOf(client: Socket): Door | null {
  const { remoteAddress, remotePort, localAddress, localPort } = client;
  if (remoteAddress === undefined || localAddress === undefined) return null;
  return {
    clientAddress: normaliseAddress(remoteAddress),
    clientPort: remotePort ?? 0,
    localAddress: normaliseAddress(localAddress),
    localPort: localPort ?? 0,
  };
}

function awaitHeader(client: Socket, door: Door, keeper: DoorKeeper): void {
  let bytes: Buffer = Buffer.alloc(0);
  const giveUp = (): void => {
    clearTimeout(timer);
    client.destroy();
  };
  const timer = setTimeout(giveUp, keeper.headerTimeout);
  const read = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const header = readProxyHeader(bytes);
    if (header === INCOMPLETE) return;
    if (header === BAD) {
      giveUp();
      return;
    }
    clearTimeout(timer);
    client.off('data', read);
    client.off('end', giveUp);
    client.off('error', giveUp);
    const { source, destination } = header;
    const named: Door = {
      clientAddress: source?.address ?? door.clientAddress,
      clientPort: source?.port ?? door.clientPort,
      localAddress: destination?.address ?? door.localAddress,
      localPort: destination?.port ?? door.localPort,
      lost: source === null,
    };
    enter(client, bytes.subarray(header.length), named, keeper);
  };
  client.on('data', read);
  client.on('end', giveUp);
  client.on('error', giveUp);
}

function enter(client: Socket, early: Buffer | null, door: Door, keeper: DoorKeeper): void {
  const admission = keeper.admit(door);
  if (!(admission instanceof Promise)) {
    settle(client, early, door, keeper, admission);
    return;
  }
  const lost = (): void => {
    client.destroy();
  };
  client.on('error', lost);
  client.on('end', lost); // it comes even while paused, and only once
  client.pause(); // who spoke already, in a PROXY header, would go on into the void
  admission.then((found) => {
    client.off('error', lost);
    client.off('end', lost);
    client.resume();
    settle(client, early, door, keeper, found);
  });
}

function settle(client: Socket, early: Buffer | null, door: Door, keeper: DoorKeeper, admission: Admission): void {
  if (client.destroyed) {
    if (admission.admitted) admission.release();
  } else if (admission.admitted) {
    keeper.admitted(client, early, door, admission);
  } else {
    refuseAtDoor(client, admission.reply, door.clientAddress, early);
    keeper.refused(door, admission);
  }
}
