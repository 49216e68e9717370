// The two sides of a session, as their byte streams know them: what each stream tells becomes a step of the session.

import type { StreamOwner } from './byte-stream.ts';
import { CLIENT_ENDED, CLIENT_LOST, type Steps, UPSTREAM_GONE } from './session-steps.ts';

/** The connection. */
export interface SidesHeard {
  readonly steps: Steps;
  fromClient(chunk: Buffer): void;
  fromUpstream(chunk: Buffer): void;
  clientDrained(): void;
  upstreamDrained(): void;
}

export class ClientSide implements StreamOwner {
  readonly #of: SidesHeard;

  constructor(of: SidesHeard) {
    this.#of = of;
  }

  heard(chunk: Buffer): void {
    this.#of.fromClient(chunk);
  }

  ended(): void {
    this.#of.steps.take(CLIENT_ENDED, null);
  }

  drained(): void {
    this.#of.clientDrained();
  }

  lost(): void {
    this.#of.steps.take(CLIENT_LOST, null);
  }
}

export class UpstreamSide implements StreamOwner {
  readonly #of: SidesHeard;

  constructor(of: SidesHeard) {
    this.#of = of;
  }

  heard(chunk: Buffer): void {
    this.#of.fromUpstream(chunk);
  }

  ended(): void {
    this.#of.steps.take(UPSTREAM_GONE, null);
  }

  drained(): void {
    this.#of.upstreamDrained();
  }

  lost(): void {
    this.#of.steps.take(UPSTREAM_GONE, null);
  }
}
