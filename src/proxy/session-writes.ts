// What a session's steps say to either side, until it is written.
//
// A little waits until the work at hand is done for all (fair-queue.ts); much goes out at once, and so does mail data in memory that
// the client's stream lent: that goes back to it where all of it is with the server's kernel, and never before.

import { type ByteStream, writeAll } from './byte-stream.ts';
import { ClientWrites, type WaitsOver } from './client-writes.ts';
import type { FairQueue, Writer } from './fair-queue.ts';
import { kept } from './read-buffers.ts';

const LITTLE = 16_384; // octets

export interface WritesOwner extends WaitsOver {
  readonly client: ByteStream;
  readonly upstream: ByteStream | null;
  /** The kernel has not taken all. */
  clientIsFull(): void;
  serverIsFull(): void;
  /** The client waits in the tarpit now. */
  steer(): void;
  /** What waited is written, at `now` as of performance.now(); it took so many milliseconds. */
  written(now: number, ms: number): void;
}

export class SessionWrites implements Writer {
  readonly toClient: ClientWrites;
  readonly #queue: FairQueue;
  readonly #owner: WritesOwner;
  #toServer: Uint8Array[] = [];
  #octets = 0; //     to both
  #isDue = false; //  they are written when the work at hand is done
  #isLent = false; // what the client sent last, to nobody but the server's kernel

  /** `delay`: ms of one wait in the tarpit. */
  constructor(queue: FairQueue, delay: number, owner: WritesOwner) {
    this.toClient = new ClientWrites(delay, owner);
    this.#queue = queue;
    this.#owner = owner;
  }

  get isDue(): boolean {
    return this.#isDue;
  }

  get #hasSome(): boolean {
    return this.#octets > 0 || this.#toServer.length > 0;
  }

  addToClient(octets: Uint8Array): void {
    this.#octets += octets.length;
    this.toClient.add(octets);
  }

  /** In the tarpit: it begins with this step, and whatever else the client says stands behind it. */
  addWait(): void {
    this.#octets = LITTLE;
    this.toClient.addWait();
  }

  addToServer(octets: Buffer): void {
    this.#octets += octets.length;
    this.#toServer.push(kept(octets)); // the kernel may not take it at once
  }

  /** What was lent before is somebody's to keep where it was not given back: it is not to be given back in the stead of this. */
  lent(isLent: boolean): void {
    this.#isLent = isLent;
  }

  /** Memory that the client's stream lent goes back to it, where nobody needs it. */
  giveBack(): void {
    const { client, upstream } = this.#owner;
    if (!this.#isLent || this.#toServer.length > 0 || upstream === null || upstream.unsent > 0) return;
    this.#isLent = false;
    client.giveBack();
  }

  /** A step is over. */
  step(atOnce: boolean): void {
    if (atOnce || this.#isLent || this.#octets >= LITTLE) {
      this.flush();
      this.giveBack();
    } else if (this.#hasSome && !this.#isDue) {
      this.#isDue = true;
      this.#queue.writesSoon(this);
    }
  }

  writeDue(now: number): number {
    this.#isDue = false;
    if (!this.#hasSome) return now; // they went before, or are for nobody any more
    this.flush();
    const done = performance.now();
    this.#owner.written(done, done - now);
    return done;
  }

  flush(): void {
    this.#octets = 0;
    const { client, upstream } = this.#owner;
    if (!this.toClient.flush(client)) this.#owner.clientIsFull();
    else if (this.toClient.waits) this.#owner.steer();
    if (this.#toServer.length === 0 || upstream === null) return;
    const octets = this.#toServer;
    this.#toServer = [];
    if (!writeAll(upstream, octets)) this.#owner.serverIsFull();
  }

  /** Nothing more to the server, and no waits for the client. */
  end(): void {
    this.#toServer = [];
    this.toClient.hurry();
    this.flush();
  }
}
