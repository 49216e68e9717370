// A near-valid client, the firewall and a lenient server, in memory: one conversation from the greeting to its end.
//
// The server answers behind each burst of the client, until nothing moves any more; so what is heard depends on the
// octets alone and not on how they were cut. Every reply of the server carries the number of the unit that it answers.
// A client that was told to begins its handshake behind the burst, and it is complete at once; what its burst said in
// clear text behind STARTTLS has come by then.

import type { Action } from './backend.ts';
import { type Cut, whole } from './cuts.ts';
import { Harness, type HarnessOptions } from './harness.ts';
import type { LenientServer } from './lenient-server.ts';
import type { Atom, Burst } from './near-valid.ts';

export interface Conversation {
  readonly harness: Harness;
  readonly server: LenientServer;
  readonly clientHeard: string;
  readonly upstreamHeard: string;
  /** Replies that the server gave. */
  readonly replies: number;
  /** The most commands that the server heard before it could answer. */
  readonly mostAtOnce: number;
}

export interface ConversationOptions extends HarnessOptions {
  readonly clientCut?: Cut;
  readonly upstreamCut?: Cut;
}

export function converse(
  bursts: readonly Burst[],
  server: LenientServer,
  options: ConversationOptions = {},
): Conversation {
  const { clientCut = whole, upstreamCut = whole, ...rest } = options;
  const harness = new Harness(rest);
  const talk = new Talk(harness, server, upstreamCut);
  talk.upstreamSays(server.greeting());
  for (const burst of bursts) {
    for (const chunk of clientCut(Buffer.from(octetsOf(burst), 'latin1'), 0)) harness.clientSays(chunk);
    talk.settle();
    harness.shakeHands();
    talk.settle();
  }
  return {
    harness,
    server,
    clientHeard: harness.clientHeard,
    upstreamHeard: talk.upstreamHeard,
    replies: talk.replies,
    mostAtOnce: talk.mostAtOnce,
  };
}

export function octetsOf(atoms: readonly Atom[]): string {
  return atoms.map((atom) => atom.octets).join('');
}

class Talk {
  replies = 0;
  mostAtOnce = 0;
  upstreamHeard = '';
  readonly #harness: Harness;
  readonly #server: LenientServer;
  readonly #cut: Cut;

  constructor(harness: Harness, server: LenientServer, cut: Cut) {
    this.#harness = harness;
    this.#server = server;
    this.#cut = cut;
  }

  upstreamSays(octets: Buffer): void {
    for (const chunk of this.#cut(octets, 0)) this.#harness.upstreamSays(chunk);
  }

  /** The server hears, and answers, until it has nothing more to hear; only then does whatever else is owed come: what
   * waits in the tarpit, and a decision that was to be asked for. */
  settle(): void {
    for (;;) {
      const heard = this.#harness.takeUpstreamHeard();
      if (heard === '' && !this.#owed()) return;
      if (heard === '') continue;
      this.upstreamHeard += heard;
      const said: Buffer[] = [];
      const before = this.#server.commands.length;
      let closes = false;
      for (const piece of heard.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
        for (const action of this.#server.receive(Buffer.from(piece, 'latin1'))) {
          if (action.kind === 'close') closes = true;
          else if (!closes) said.push(this.#numbered(action));
        }
      }
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#server.commands.length - before);
      if (said.length > 0) this.upstreamSays(Buffer.concat(said));
      if (closes) this.#harness.upstreamEnds();
    }
  }

  #owed(): boolean {
    if (this.#harness.inTarpit) this.#harness.waited();
    else if (this.#harness.asked) this.#harness.answer();
    else return false;
    return true;
  }

  /** The reply with the number of the unit that it answers behind its first line. */
  #numbered(action: Extract<Action, { kind: 'reply' }>): Buffer {
    this.replies++;
    const number = /[a-z](\d+)n/.exec(this.#server.commands.at(-1) ?? '');
    const tag = number === null ? '' : ` unit=${number[1]}`;
    return Buffer.from(action.bytes.toString('latin1').replace(/\r\n/, `${tag}\r\n`), 'latin1');
  }
}
