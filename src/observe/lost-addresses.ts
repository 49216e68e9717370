// Do most clients come from one address inside? Then it may be a gateway that hides who they are.
//
// Behind NAT or a balancer without PROXY every client looks like one, and a rule for that one is a rule for the world
// (design.md 5.2). This counts the last sessions that came to MAIL – others are probes – and says so; it never changes a
// decision. Bounded: as many addresses as sessions remembered. Pure: what is inside is handed in, and so is the time.

import { fill, LINES } from './lines.ts';

const REMEMBERED = 200; // sessions
const ENOUGH = 50; // to say anything
const MOST = 0.9;
const REMIND_AFTER = 3_600_000; // ms

export interface Suspect {
  readonly client_address: string;
  /** Of the last sessions, and of how many. */
  readonly connections: number;
  readonly of: number;
}

export class LostAddresses {
  readonly #isInside: (address: string) => boolean;
  readonly #last: string[] = [];
  readonly #counts = new Map<string, number>();
  #next = 0;
  #suspect: string | null = null;
  #saidAt = Number.NEGATIVE_INFINITY;

  /** `isInside`: a private address, one of ours, or a gateway. */
  constructor(isInside: (address: string) => boolean) {
    this.#isInside = isInside;
  }

  /** One more session. */
  saw(address: string): void {
    const oldest = this.#last[this.#next];
    if (oldest !== undefined) this.#add(oldest, -1);
    this.#last[this.#next] = address;
    this.#next = (this.#next + 1) % REMEMBERED;
    this.#add(address, 1);
    if (this.#suspect !== null && !this.#isMost(this.#suspect)) this.#suspect = null;
    if (this.#suspect === null && this.#isMost(address) && this.#isInside(address)) this.#suspect = address;
  }

  /** Who seems to hide the others now; null = nobody. */
  get suspect(): Suspect | null {
    const address = this.#suspect;
    if (address === null) return null;
    return { client_address: address, connections: this.#counts.get(address) ?? 0, of: this.#last.length };
  }

  /** Whether it is time to say so: at once, and then every hour. True is taken as said. */
  isToBeSaid(now: number): boolean {
    if (this.#suspect === null || now - this.#saidAt < REMIND_AFTER) return false;
    this.#saidAt = now;
    return true;
  }

  #isMost(address: string): boolean {
    const { length } = this.#last;
    return length >= ENOUGH && (this.#counts.get(address) ?? 0) >= MOST * length;
  }

  #add(address: string, difference: number): void {
    const count = (this.#counts.get(address) ?? 0) + difference;
    if (count === 0) this.#counts.delete(address);
    else this.#counts.set(address, count);
  }
}

/** What is said of it, and what to do. */
export function lostAddresses({ client_address, connections, of }: Suspect): string {
  return fill(LINES.lost_addresses.text, { address: client_address, connections, of });
}
