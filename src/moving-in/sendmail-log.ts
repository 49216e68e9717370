// Sendmail: one line of the sender (from=), one for each delivery (to=), and those of refused recipients, all with a queue id.
//
// A message is told when as many recipients as it had (nrcpts=) have been delivered, put off or returned, or at the end. What
// Sendmail submits for a program on its own machine has no client's address and is left out. Not told: HELO names, TLS where
// its line is missing, the local address.

import type { Entry } from './syslog-entry.ts';
import {
  answerOf,
  type Client,
  copyOf,
  OpenTable,
  type Out,
  type Place,
  Transaction,
  unknownClient,
} from './transaction.ts';

interface Queued {
  client: Client;
  readonly transaction: Transaction;
  /** Null: its from= line has not come. */
  recipients: number | null;
}

const RELAY = /, relay=(?:(\S+) )?\[(?:IPv6:)?([0-9A-Fa-f.:]+)\]/;
const REFUSED =
  /^ruleset=check_(rcpt|mail|relay|compat|data|eoh|eom)\w*, arg1=(.*?)(?:, arg2=[^,]*)?, relay=.*?, reject=(.*)$/;
const UNKNOWN_USER = /^<(.*)>\.\.\. (.*)$/;

export class SendmailLog {
  readonly #out: Out;
  readonly #queue: OpenTable<Queued>;
  /** What a process has told of its client before the message. */
  readonly #processes = new OpenTable<{ login: string | null; tls: boolean }>(() => {});

  constructor(out: Out) {
    this.#out = out;
    this.#queue = new OpenTable((queued) => this.#finish(queued));
  }

  entry({ host, process, text, at }: Entry, place: Place): boolean {
    const key = `${host} ${process}`;
    if (text.startsWith('STARTTLS=server, ')) this.#told(key).tls = true;
    else if (text.startsWith('AUTH=server, '))
      this.#told(key).login = copyOf(/, authid=([^,]*)/.exec(text)?.[1] ?? '?');
    const [, id = '', rest = ''] = /^([0-9A-Za-z]{8,}): (.*)$/.exec(text) ?? [];
    if (id === '') return true;
    const queue = `${host} ${id}`;
    if (rest.startsWith('from=')) this.#from(queue, key, rest, at, place);
    else if (rest.startsWith('to=')) this.#to(queue, rest);
    else if (rest.startsWith('ruleset=')) return this.#refused(queue, key, rest, at, place);
    else if (UNKNOWN_USER.test(rest)) this.#unknownUser(queue, key, rest, at, place);
    return true;
  }

  end(): void {
    for (const queued of this.#queue.drain()) this.#finish(queued);
  }

  #told(key: string): { login: string | null; tls: boolean } {
    let told = this.#processes.get(key);
    if (told === undefined) {
      told = { login: null, tls: false };
      this.#processes.set(key, told);
    }
    return told;
  }

  #open(queue: string, key: string, rest: string, at: number | null, place: Place): Queued {
    const known = this.#queue.get(queue);
    if (known !== undefined) {
      if (known.client.source === '') known.client = this.#clientOf(key, rest);
      return known;
    }
    const queued: Queued = {
      client: this.#clientOf(key, rest),
      transaction: new Transaction(place, at, null),
      recipients: null,
    };
    this.#queue.set(queue, queued);
    return queued;
  }

  /** Its source is '' where the line names none. */
  #clientOf(key: string, rest: string): Client {
    const [, name, address = ''] = RELAY.exec(rest) ?? [];
    const client = unknownClient(copyOf(key.slice(key.indexOf(' ') + 1)), copyOf(address));
    client.ptr = name === undefined || rest.includes('(may be forged)') ? null : copyOf(name);
    const told = this.#processes.get(key);
    client.login = told?.login ?? null;
    client.tls = told?.tls ?? null;
    return client;
  }

  #from(queue: string, key: string, rest: string, at: number | null, place: Place): void {
    const queued = this.#open(queue, key, rest, at, place);
    queued.client = this.#clientOf(key, rest);
    const [, sender = ''] = /^from=(<[^>]*>|.*?), size=/.exec(rest) ?? [];
    queued.transaction.sender = copyOf(withoutBrackets(sender));
    if (queued.transaction.senderAnswer === 'unknown') queued.transaction.senderAnswer = 'accepted';
    queued.recipients = Number(/, nrcpts=(\d+)/.exec(rest)?.[1] ?? 0);
    queued.transaction.delivered = queued.recipients > 0 ? 'yes' : 'no';
    if (queued.recipients === 0) this.#done(queue, queued);
  }

  #to(queue: string, rest: string): void {
    const queued = this.#queue.get(queue);
    if (queued === undefined) return;
    const [, list = ''] = /^to=(.*?), (?:\[more\], )?(?:ctladdr|delay|xdelay|mailer|pri)=/.exec(rest) ?? [];
    for (const one of list.match(/<[^>]*>|[^,<>]+/g) ?? []) {
      const address = withoutBrackets(one);
      if (queued.transaction.find(address) === undefined) queued.transaction.add(copyOf(address), 'accepted');
    }
    const { recipients, transaction } = queued;
    const told = transaction.recipients.filter(({ answer }) => answer === 'accepted').length + transaction.untold;
    if (recipients !== null && told >= recipients) this.#done(queue, queued);
  }

  #refused(queue: string, key: string, rest: string, at: number | null, place: Place): boolean {
    const found = REFUSED.exec(rest);
    if (found === null) return !rest.includes('reject=');
    const [, ruleset, argument = '', reply = ''] = found;
    if (ruleset === 'relay') return true;
    const { transaction } = this.#open(queue, key, rest, at, place);
    const address = copyOf(withoutBrackets(argument));
    if (ruleset === 'rcpt') transaction.add(address, answerOf(reply.charCodeAt(0)), copyOf(reply));
    else if (ruleset === 'mail') {
      transaction.sender = address;
      transaction.senderAnswer = answerOf(reply.charCodeAt(0));
      transaction.delivered = 'no';
    } else transaction.delivered = 'no';
    return true;
  }

  #unknownUser(queue: string, key: string, rest: string, at: number | null, place: Place): void {
    const [, address = '', reply = ''] = UNKNOWN_USER.exec(rest) ?? [];
    this.#open(queue, key, rest, at, place).transaction.add(copyOf(address), 'refused', copyOf(reply));
  }

  #done(queue: string, queued: Queued): void {
    this.#queue.delete(queue);
    this.#finish(queued);
  }

  #finish({ client, transaction, recipients }: Queued): void {
    if (client.source === '') return;
    const accepted = transaction.recipients.filter(({ answer }) => answer === 'accepted').length;
    transaction.untold += Math.max(0, (recipients ?? 0) - accepted - transaction.untold);
    this.#out.message(transaction.logged(client));
  }
}

function withoutBrackets(text: string): string {
  return text.replace(/^<(.*)>$/, '$1');
}
