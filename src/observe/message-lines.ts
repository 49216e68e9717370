// The line for each message that the server answered: what is kept of a transaction until then, and where the line goes.
//
// A message is of one transaction, and a recipient knows its message: however MAIL, RSET and MAIL are pipelined, an answer that
// comes late is one to its own message, and no two are ever mixed. Bounded: so many recipients are named, the rest is counted.
// To relay is to pass a recipient whose domain is not an accepted one. Where a limit would have refused it in observe the decision does
// not say which it was, and the domain is looked at again (`isLocal`).
// Not here: how many lines about refusals there may be (session-lines.ts), the file for relayed mail (relayed-file.ts).

import type { Reason, SessionEvent } from '../smtp/types.ts';
import type { FieldsOf } from './lines.ts';
import { harmless } from './log.ts';
import type { Answer } from './session-counts.ts';
import type { Who } from './who.ts';

export type MessagesLogged = 'all' | 'relayed' | 'none';

type Write = (fields: FieldsOf<'message'>) => void;

/** The lines of an observer. */
export class MessageLines {
  readonly #logged: MessagesLogged;
  readonly #log: Write;
  readonly #relayed: Write | null;

  /** `log`, `relayed`: how a line is written to the log, and to the file for relayed mail where there is one. */
  constructor(logged: MessagesLogged, log: Write, relayed: Write | null) {
    this.#logged = logged;
    this.#log = log;
    this.#relayed = relayed;
  }

  /** Whether a message has a line anywhere. */
  wants(relayed: boolean): boolean {
    return this.#isLogged(relayed) || (relayed && this.#relayed !== null);
  }

  write(fields: FieldsOf<'message'>, relayed: boolean): void {
    if (this.#isLogged(relayed)) this.#log(fields);
    if (relayed) this.#relayed?.(fields);
  }

  /** Whether one has a line whose recipients the server took, or may have taken, and whose end it never answered. */
  wantsUnended(message: Message | null): message is Message {
    return message?.isUnended === true && this.#isLogged(message.relayed !== null);
  }

  #isLogged(relayed: boolean): boolean {
    return this.#logged === 'all' || (this.#logged === 'relayed' && relayed);
  }
}

/** A recipient that was tried. */
export interface Put {
  readonly message: Message;
  readonly decision: 'proceed' | 'reject' | 'would_reject';
  readonly reason: Reason;
  readonly rule: string | null;
  /** '' where it will not be told. */
  readonly recipient: string;
  /** Its domain is an accepted one. */
  readonly local: boolean;
  /** Undefined until the server answers. */
  answer: Answer | undefined;
  reply: string;
}

type Tried = SessionEvent & { name: 'recipient' };

const NAMED = 100; //         recipients that went to the server
const NAMED_IN_VAIN = 5; //   the same of a message that it did not take: anybody can bring that about
const NAMED_REFUSED = 5; //   recipients that we refused; each has a line of its own, as far as these go

/** The server is responsible for the domain, and we asked it nothing else. */
const LOCAL: ReadonlySet<Reason> = new Set(['accepted_domain', 'unknown_recipient']);

/** Whether this forward-path names accepted domains alone. */
export type IsLocal = (recipient: string) => boolean;

export class Message {
  /** Of its transaction. */
  readonly number: number;
  readonly sender: string;
  /** When its first recipient came. */
  readonly since: number;
  /** How many recipients the server took that are relayed, by the rule that let them pass; null: none. */
  relayed: Map<string, number> | null = null;
  readonly #put: Put[] = [];
  readonly #refused: Put[] = [];
  readonly #who: Who;
  #tried = 0;
  #answered = 0; // of those put

  constructor(
    { transaction, sender }: { readonly transaction: number; readonly sender: string },
    since: number,
    who: Who,
  ) {
    this.number = transaction;
    this.sender = sender;
    this.since = since;
    this.#who = who;
  }

  /** We refused it. */
  refuse(event: Tried): void {
    this.#tried += 1;
    if (this.#refused.length < NAMED_REFUSED)
      this.#refused.push(this.#tryOf(event, event.recipient, event.reply, false));
  }

  /** It went to the server. `mayBeTold`: it may have a line of its own when the server has answered. */
  put(event: Tried, mayBeTold: boolean, isLocal: IsLocal): Put {
    this.#tried += 1;
    const isNamed = this.#put.length < NAMED;
    const local = event.reason === 'limit' ? isLocal(event.recipient) : LOCAL.has(event.reason);
    const put = this.#tryOf(event, isNamed || mayBeTold ? event.recipient : '', '', local);
    if (isNamed) this.#put.push(put);
    return put;
  }

  answer(put: Put, answer: Answer, reply: string): void {
    put.answer = answer;
    put.reply = reply;
    if (answer !== 'accepted' || put.local) return;
    const rule = put.reason === 'limit' || put.rule === null ? `(${put.reason})` : put.rule;
    this.relayed ??= new Map();
    this.relayed.set(rule, (this.relayed.get(rule) ?? 0) + 1);
  }

  /** The server has answered it. A DATA that was refused may be said again, with more recipients. */
  answered(): void {
    this.#answered = this.#put.length;
  }

  /** The server took recipients, or owes an answer to some, and has not answered the message. */
  get isUnended(): boolean {
    return this.#put.slice(this.#answered).some(({ answer = 'accepted' }) => answer === 'accepted');
  }

  /** Told when the next one begins, or at the end: by then the client may be somebody else. */
  unended(): Who & ReturnType<Message['formatted']> {
    return { ...this.#who, ...this.formatted(false) };
  }

  formatted(isTaken: boolean): Pick<FieldsOf<'message'>, 'sender' | 'recipients' | 'recipients_untold'> {
    const named = [...this.#put.slice(0, isTaken ? NAMED : NAMED_IN_VAIN), ...this.#refused];
    return {
      sender: harmless(this.sender),
      recipients: named.map(formatRecipient),
      recipients_untold: this.#tried - named.length || undefined,
    };
  }

  #tryOf({ decision, reason, rule }: Tried, recipient: string, reply: string, local: boolean): Put {
    return { message: this, decision, reason, rule, recipient, local, answer: undefined, reply };
  }
}

function formatRecipient({ recipient, decision, reason, rule, answer, reply }: Put): object {
  return {
    recipient: harmless(recipient),
    decision,
    reason,
    rule: rule ?? undefined,
    answer,
    reply: reply === '' ? undefined : harmless(reply.trimEnd()),
  };
}
