// Reaching the mail server: the servers in their order, the next one when one does not answer.
//
// One connection for one session; nothing is pooled, since what a server remembers of a connection (login, transaction,
// capabilities) belongs to one client. Not done here: any choice by load.

import { type Endpoint, formatEndpoint } from './address.ts';
import { type Answer, Call, type CallSettings } from './call.ts';

/** What dialling tells the observer. */
export interface DialObserver {
  upstreamUp(server: string, up: boolean, why?: string): void;
  upstreamConnected(server: string, seconds: number): void;
}

export class Upstream {
  readonly #servers: readonly Endpoint[];
  readonly #settings: CallSettings;
  readonly #observer: DialObserver;

  constructor(servers: readonly Endpoint[], settings: CallSettings, observer: DialObserver) {
    this.#servers = servers;
    this.#settings = settings;
    this.#observer = observer;
  }

  /** Calls back once, perhaps before it returns: with a server that answered, or with null when none did. The function
   * returned gives up. */
  dial(done: (answer: Answer | null) => void): () => void {
    return this.#dial(this.#settings, done);
  }

  #dial(settings: CallSettings, done: (answer: Answer | null) => void): () => void {
    let call: Call | null = null;
    let over = false;
    let refusal: Answer | null = null; // what the last one that refused to greet said
    const attempt = (index: number): void => {
      const server = this.#servers[index];
      if (over) return;
      if (server === undefined) {
        over = true;
        done(refusal);
        return;
      }
      const name = formatEndpoint(server);
      call = new Call(server, settings, {
        connected: (seconds) => this.#observer.upstreamConnected(name, seconds),
        answered: (answer) => {
          this.#observer.upstreamUp(name, answer.socket !== null, textOf(answer.greeting));
          if (answer.socket === null) {
            refusal = answer;
            attempt(index + 1);
            return;
          }
          over = true;
          done(answer);
        },
        failed: (why) => {
          this.#observer.upstreamUp(name, false, why);
          attempt(index + 1);
        },
      });
    };
    attempt(0);
    return () => {
      over = true;
      call?.giveUp();
    };
  }

  /** Whether a server greets with 2yz: what /readyz wants to know. */
  greets(): Promise<boolean> {
    const settings = { ...this.#settings, greetWithin: this.#settings.connectWithin };
    return new Promise((resolve) => {
      this.#dial(settings, (answer) => {
        const socket = answer?.socket ?? null;
        resolve(answer?.greeting[0] === 0x32);
        if (socket === null) return;
        socket.on('error', () => {});
        socket.setTimeout(1000, () => socket.destroy());
        socket.resume();
        socket.end('QUIT\r\n');
      });
    });
  }
}

/** The first line of a reply, for the log. */
function textOf(greeting: Buffer): string {
  return greeting.toString('latin1').split('\n', 1)[0]?.trimEnd() ?? '';
}
