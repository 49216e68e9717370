// The end of a client's connection, so that the last reply arrives.
//
// A connection closed with unread octets sends RST, and RST throws away what the peer has not read yet: our 421. So we send
// FIN behind the reply, read and drop what still comes, and destroy it when the client is gone or 5 s are over.
// What comes may be a message of any size whose sender will only then read our reply; it is read in the client's own turns.

import { BYE, formatReply, ONLY_QUIT } from '../smtp/replies.ts';
import type { OwnReply } from '../smtp/types.ts';
import type { ByteStream, StreamOwner } from './byte-stream.ts';
import type { FairQueue, Turns, TurnTaker } from './fair-queue.ts';

const LINGER = 5000; // ms
const RESUMED = 0.05; // ms that reading on costs, all in all
const HEARD_LIMIT = 4096; // octets that a refused client may say

/** Ends a client whose last reply has been written. */
export function lingeringClose(client: ByteStream, queue: FairQueue, clientAddress: string): void {
  new Lingering(client, queue, clientAddress, null).begin(null);
  client.end();
}

/** Refuses a client at connection time. After a 554 it may still send QUIT (RFC 5321 §3.1), and whatever else it says hears one
 * 503; a 421 ends at once (§3.8). `early`: what came behind its PROXY header. */
export function refuseConnection(
  client: ByteStream,
  reply: OwnReply,
  queue: FairQueue,
  clientAddress: string,
  early: Buffer | null,
): void {
  const last = reply.code === 421;
  const lingering = new Lingering(client, queue, clientAddress, last ? null : new LastWords(client));
  client.write(formatReply(reply, true, { client_address: clientAddress }));
  if (last) client.end();
  lingering.begin(early);
}

/** What a client says that was refused with 554. */
class LastWords {
  readonly #client: ByteStream;
  #heard = '';
  #answered = false;
  #over = false;

  constructor(client: ByteStream) {
    this.#client = client;
  }

  heard(chunk: Buffer): void {
    if (this.#over) return;
    this.#heard += chunk.toString('latin1', 0, HEARD_LIMIT);
    if (/(^|\n)quit *\r?\n/i.test(this.#heard) || this.#heard.length >= HEARD_LIMIT) {
      this.#over = true;
      this.#client.write(formatReply(BYE, true));
      this.#client.end();
    } else if (!this.#answered && this.#heard.includes('\n')) {
      this.#answered = true;
      this.#client.write(formatReply(ONLY_QUIT, true));
    }
  }
}

/** Reads and forgets, for a bounded time. */
class Lingering implements StreamOwner, TurnTaker {
  readonly #client: ByteStream;
  readonly #words: LastWords | null;
  readonly #turns: Turns;
  readonly #timer: NodeJS.Timeout;

  constructor(client: ByteStream, queue: FairQueue, clientAddress: string, words: LastWords | null) {
    this.#client = client;
    this.#words = words;
    this.#turns = queue.turnsOf(clientAddress, this);
    this.#timer = setTimeout(destroy, LINGER, client);
  }

  begin(early: Buffer | null): void {
    const client = this.#client;
    client.owner = this;
    client.reads = 'to forget';
    if (client.isGone) clearTimeout(this.#timer);
    else if (early !== null) this.heard(early);
    if (client.isEnded) this.ended();
    else client.resume();
  }

  heard(chunk: Buffer): void {
    this.#words?.heard(chunk);
    this.#turns.read(chunk.length);
    if (this.#turns.isFree) return;
    this.#client.pause();
    this.#turns.wait();
  }

  takeTurn(): void {
    this.#turns.spent(RESUMED);
    this.#client.resume();
  }

  /** It has read our last reply, or never will: with FIN of both sides the stream is gone. */
  ended(): void {
    this.#client.end();
  }

  drained(): void {}

  lost(): void {
    clearTimeout(this.#timer);
  }
}

function destroy(client: ByteStream): void {
  client.destroy();
}
