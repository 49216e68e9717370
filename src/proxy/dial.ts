// Connecting to a server: by a handle where it can be, else by a socket.
//
// A name may have several addresses, of which some lead nowhere. They are tried in the order in which the system's resolver gives them,
// by turns of IPv6 and IPv4, each 250 ms behind the one before or as soon as that has failed (RFC 8305 §4, §5); the first connection
// that is made is the one. The name is asked for anew each time, so what its owner changes is soon so.

import { type LookupAddress, lookup } from 'node:dns';
import { isIP } from 'node:net';
import type { Endpoint } from './address.ts';
import { type ByteStream, NOBODY, type StreamFault, type StreamOwner } from './byte-stream.ts';
import { HandleStream } from './handle-stream.ts';
import { SocketStream } from './socket-stream.ts';
import { HAS_HANDLES } from './tcp-handles.ts';

const NEXT_AFTER = 250; // ms; RFC 8305 §5: the connection attempt delay

/** `connected` is called once, with a stream of which nothing is read before `resume`; or else the owner hears that it is lost. Neither
 * is before this returns. The function returned gives up, and then none is. `asSocket`: the stream may become one that is read. */
export function dial(
  { address, port }: Endpoint,
  asSocket: boolean,
  owner: StreamOwner,
  connected: (stream: ByteStream) => void,
): () => void {
  const hasHandle = HAS_HANDLES && !asSocket;
  if (hasHandle && isIP(address) === 0) return new ByName(address, port, owner, connected).giveUp;
  const kind = hasHandle ? HandleStream : SocketStream; // a socket finds the addresses of a name
  const stream: ByteStream = kind.connect(address, port, () => connected(stream));
  stream.owner = owner;
  return () => stream.reset();
}

/** To as many addresses as it takes. */
class ByName {
  readonly #port: number;
  readonly #owner: StreamOwner;
  readonly #connected: (stream: ByteStream) => void;
  #addresses: string[] = []; // to try yet
  readonly #underWay = new Set<ByteStream>();
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(name: string, port: number, owner: StreamOwner, connected: (stream: ByteStream) => void) {
    this.#port = port;
    this.#owner = owner;
    this.#connected = connected;
    lookup(name, { all: true, order: 'verbatim' }, (error, found) => {
      if (this.#isOver) return;
      if (error !== null) {
        this.#owner.lost(error);
        return;
      }
      this.#addresses = byTurns(found);
      this.#next();
    });
  }

  readonly giveUp = (): void => {
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const stream of this.#underWay) stream.reset();
    this.#underWay.clear();
  };

  readonly #next = (): void => {
    const address = this.#addresses.shift();
    if (address === undefined) return;
    const stream: ByteStream = HandleStream.connect(address, this.#port, () => {
      this.#underWay.delete(stream);
      this.giveUp();
      this.#connected(stream);
    });
    this.#underWay.add(stream);
    stream.owner = { ...NOBODY, lost: (fault) => this.#lost(stream, fault) };
    if (this.#addresses.length > 0) this.#timer = setTimeout(this.#next, NEXT_AFTER);
  };

  #lost(stream: ByteStream, fault: StreamFault | null): void {
    this.#underWay.delete(stream);
    clearTimeout(this.#timer);
    if (this.#addresses.length > 0) this.#next();
    else if (this.#underWay.size === 0) this.#owner.lost(fault);
  }
}

/** The families take turns, and that of the first address begins. */
function byTurns(found: readonly LookupAddress[]): string[] {
  const first = found.filter(({ family }) => family === found[0]?.family);
  const second = found.filter(({ family }) => family !== found[0]?.family);
  return found.flatMap((_, i) => [first[i] ?? [], second[i] ?? []].flat()).map(({ address }) => address);
}
