// Connecting to a server: by a handle where it can be, else by a socket, which also finds the addresses of a name.

import { isIP } from 'node:net';
import type { Endpoint } from './address.ts';
import type { ByteStream } from './byte-stream.ts';
import { HandleStream } from './handle-stream.ts';
import { SocketStream } from './socket-stream.ts';
import { HAS_HANDLES } from './tcp-handles.ts';

/** `connected` is called once it is; where it is not, the owner hears that it is lost. */
export function connectStream({ address, port }: Endpoint, connected: () => void): ByteStream {
  const kind = HAS_HANDLES && isIP(address) !== 0 ? HandleStream : SocketStream;
  return kind.connect(address, port, connected);
}
