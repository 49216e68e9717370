// One mail transaction while its lines come in, and the tables of what is open: both bounded.
//
// What is kept is copied: a piece of a line would hold the whole block of text that it was cut from.

import type { LoggedAnswer, LoggedMessage, LoggedRecipient } from './logged.ts';

/** Where a reader stands. */
export interface Place {
  file: string;
  line: number;
}

/** What readers write to. */
export interface Out {
  message(message: LoggedMessage): void;
  /** What was told of with less than the log holds: counted by its sentence. */
  note(sentence: string): void;
}

export const MOST_RECIPIENTS = 1000; // kept of one message; the rest is counted
export const MOST_OPEN = 50_000; //     sessions or queue ids at a time; the oldest goes first

/** The same text, in memory of its own. */
export function copyOf(text: string): string {
  return text.length < 13 ? text : ` ${text}`.slice(1); // V8 copies short ones anyway
}

/** By the first digit of a reply. */
export function answerOf(digit: number): LoggedAnswer {
  return digit === 0x32 || digit === 0x33
    ? 'accepted'
    : digit === 0x35
      ? 'refused'
      : digit === 0x34
        ? 'deferred'
        : 'unknown';
}

/** Who the client is, as far as the log has told it until now. */
export interface Client {
  session: string;
  source: string;
  ptr: string | null;
  local: string | null;
  connector: string | null;
  helo: string | null;
  login: string | null | undefined;
  tls: boolean | null;
  mayRelay: boolean | null;
}

export function unknownClient(session: string, source: string): Client {
  const nothing = { ptr: null, local: null, connector: null, helo: null, login: undefined, tls: null, mayRelay: null };
  return { session, source, ...nothing };
}

/** A recipient, of which the answer may still come. */
export interface OpenRecipient {
  address: string;
  answer: LoggedAnswer;
  reply: string;
}

export class Transaction {
  readonly #file: string;
  readonly #line: number;
  readonly at: number | null;
  sender: string | null;
  senderAnswer: LoggedAnswer = 'unknown';
  delivered: LoggedMessage['delivered'] = 'unknown';
  readonly recipients: OpenRecipient[] = [];
  untold = 0;

  constructor({ file, line }: Place, at: number | null, sender: string | null) {
    this.#file = file;
    this.#line = line;
    this.at = at;
    this.sender = sender;
  }

  /** Null: there are too many, and it is only counted. */
  add(address: string, answer: LoggedAnswer = 'unknown', reply = ''): OpenRecipient | null {
    if (this.recipients.length >= MOST_RECIPIENTS) {
      this.untold += 1;
      return null;
    }
    const recipient = { address, answer, reply };
    this.recipients.push(recipient);
    return recipient;
  }

  /** The same recipient told once more is the same. */
  find(address: string): LoggedRecipient | undefined {
    return this.recipients.find((one) => one.address === address);
  }

  logged(client: Client): LoggedMessage {
    const { at, sender, senderAnswer, delivered, recipients, untold } = this;
    return { at, file: this.#file, line: this.#line, ...client, sender, senderAnswer, delivered, recipients, untold };
  }
}

/** What is open, by its name; `leave` hears of the oldest when there is no more room. */
export class OpenTable<V> {
  readonly #all = new Map<string, V>();
  readonly #most: number;
  readonly #leave: (value: V) => void;

  constructor(leave: (value: V) => void, most = MOST_OPEN) {
    this.#leave = leave;
    this.#most = most;
  }

  get(name: string): V | undefined {
    return this.#all.get(name);
  }

  set(name: string, value: V): void {
    if (this.#all.size >= this.#most && !this.#all.has(name)) {
      const [oldest, left] = this.#all.entries().next().value as [string, V];
      this.#all.delete(oldest);
      this.#leave(left);
    }
    this.#all.set(copyOf(name), value);
  }

  delete(name: string): void {
    this.#all.delete(name);
  }

  /** All that are open, which then are no longer. */
  *drain(): Generator<V> {
    yield* this.#all.values();
    this.#all.clear();
  }
}

/** Texts that are the same again and again, each kept once. */
export class Interned {
  readonly #all = new Map<string, string>();
  readonly #most: number;

  constructor(most = 1000) {
    this.#most = most;
  }

  of(text: string): string {
    const known = this.#all.get(text);
    if (known !== undefined) return known;
    const copy = copyOf(text);
    if (this.#all.size < this.#most) this.#all.set(copy, copy);
    return copy;
  }
}
