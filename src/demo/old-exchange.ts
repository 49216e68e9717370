// The old Exchange stand-in: a mail server of 2003, for `postern demo`.
//
// It says what Exchange 2003 says (banner, EHLO keywords, reply texts), takes every recipient from everybody, and tells
// its owner about each message; the octets themselves are counted and dropped. With a `House` it has rules, accounts and a
// journal, and speaks as the version that the house is of.
// It deliberately has no TLS and no queue, and without a house no account: every login fails, as one without a password does.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type DialogueOptions, Session } from './dialogue.ts';
import type { Ends } from './house.ts';

export interface OldExchange {
  readonly address: string;
  readonly port: number;
  /** Stops listening and ends every session. */
  close(): Promise<void>;
}

export interface OldExchangeOptions extends DialogueOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Each connection begins with a PROXY header (version 1) that names its ends: so clients may come from anywhere. */
  readonly proxied?: boolean;
  /** The ends of a connection without such a header, in the place of the socket's own. */
  readonly ends?: Ends;
}

const IDLE = 600_000; // Exchange 2000's default connection time-out: ten minutes
const LINE_END = '\r\n';
const EMPTY = Buffer.alloc(0);

/** Listens; rejects when the address is taken. */
export function startOldExchange(options: OldExchangeOptions): Promise<OldExchange> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(IDLE, () => socket.destroy());
    socket.setNoDelay(true);
    if (options.proxied) readHeader(socket, (ends, rest) => serve(socket, ends, options, rest));
    else serve(socket, options.ends ?? endsOf(socket), options, EMPTY);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      const { address, port } = server.address() as AddressInfo;
      resolve({
        address,
        port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}

function serve(socket: Socket, ends: Ends, options: OldExchangeOptions, first: Buffer): void {
  const session = new Session(ends, options);
  const answer = (reply: string) => {
    if (reply !== '' && !socket.write(reply, 'latin1')) socket.pause();
    if (session.ended) socket.end();
  };
  socket.on('drain', () => socket.resume());
  socket.on('data', (chunk: Buffer) => {
    if (!session.ended) answer(session.fromClient(chunk));
  });
  socket.on('close', () => session.left());
  answer(session.greeting());
  if (first.length > 0) answer(session.fromClient(first));
}

function endsOf({ remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 }: Socket): Ends {
  const plain = (address: string): string => address.replace(/^::ffff:/, '');
  return { address: plain(remoteAddress), port: remotePort, localAddress: plain(localAddress), localPort };
}

const LONGEST_HEADER = 107; // PROXY protocol 2.1

/** Ends the connection where it begins otherwise. */
function readHeader(socket: Socket, found: (ends: Ends, rest: Buffer) => void): void {
  let held = EMPTY;
  const read = (chunk: Buffer): void => {
    held = Buffer.concat([held, chunk]);
    const end = held.indexOf(LINE_END);
    if (end === -1 && held.length < LONGEST_HEADER) return;
    socket.off('data', read);
    const header = /^PROXY TCP[46] (\S+) (\S+) (\d+) (\d+)$/.exec(held.toString('latin1', 0, Math.max(end, 0)));
    if (header === null) {
      socket.destroy();
      return;
    }
    const [, address = '', localAddress = '', port, localPort] = header;
    const ends = { address, port: Number(port), localAddress, localPort: Number(localPort) };
    found(ends, held.subarray(end + LINE_END.length));
  };
  socket.on('data', read);
}
