// Exim's mainlog: `<=` is a message, `=>` and its like are its recipients, and refusals stand on lines of their own.
//
// A refusal names no message: those of one client and sender within a minute belong to the message that follows, or are one of
// their own. Recipients are told when they are delivered, put off or failed, under the address that the client gave (in
// brackets), or at once where log_selector has +received_recipients. Not told: what is still in the queue at the end.

import { EXIM_TIME } from './log-kinds.ts';
import { type Client, copyOf, OpenTable, type Out, type Place, Transaction, unknownClient } from './transaction.ts';

interface Queued {
  readonly client: Client;
  readonly transaction: Transaction;
}

const ID = /^([0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})) (.*)$/;
const HOST = /(?:^| )H=(?:([^\s([]\S*) )?(?:\((.*?)\) )?\[([0-9A-Fa-f.:]+)\]/;
const DELIVERY = /^(?:=>|->|>>|\*>|==|\*\*) (\S+|"[^"]*"\S*)(?: \([^)]*\))?(?: <([^>]*)>)?/;
const REFUSAL = /(?:^| )F=<([^>]*)>.*? (temporarily )?rejected (RCPT|MAIL) (.*)$/;
const TOGETHER_MS = 60_000;

export class EximLog {
  readonly #out: Out;
  readonly #queue: OpenTable<Queued>;
  readonly #refused: OpenTable<Queued>;

  constructor(out: Out) {
    this.#out = out;
    this.#queue = new OpenTable((queued) => this.#tell(queued));
    this.#refused = new OpenTable((queued) => this.#tell(queued));
  }

  line(line: string, place: Place): boolean {
    const time = EXIM_TIME.exec(line);
    if (time === null) return false;
    const zoned = (time[1] as string).replace(
      /^(\S+) (\S+)(?: (.*))?$/,
      (_, day, clock, zone = '') => `${day}T${clock}${zone}`,
    );
    const at = Date.parse(zoned);
    return this.entry(line.slice(time[0].length), Number.isNaN(at) ? null : at, place);
  }

  /** A line without its time. */
  entry(text: string, at: number | null, place: Place): boolean {
    const [, id, rest = ''] = ID.exec(text) ?? [];
    if (id !== undefined) this.#ofMessage(id, rest, at, place);
    else if (text.startsWith('H=')) this.#refusal(text, at, place);
    return true;
  }

  end(): void {
    for (const queued of this.#queue.drain()) this.#tell(queued);
    for (const queued of this.#refused.drain()) this.#tell(queued);
  }

  #ofMessage(id: string, rest: string, at: number | null, place: Place): void {
    const queued = this.#queue.get(id);
    if (rest.startsWith('<= ')) this.#arrives(id, rest, at, place);
    else if (/^\S*H=.* rejected /.test(rest)) this.#rejectedMessage(rest, at, place);
    else if (queued === undefined) return;
    else if (!/^Completed( |$)/.test(rest)) this.#delivery(queued, rest);
    else {
      this.#queue.delete(id);
      this.#tell(queued);
    }
  }

  #delivery(queued: Queued, rest: string): void {
    const [, final, asked] = DELIVERY.exec(rest) ?? [];
    const address = asked ?? final;
    if (address !== undefined && queued.transaction.find(address) === undefined)
      queued.transaction.add(copyOf(address), 'accepted');
  }

  #arrives(id: string, rest: string, at: number | null, place: Place): void {
    const client = clientOf(rest);
    if (client === null) return; // of a program on the machine itself
    const [, path = ''] = /^<= (\S+)/.exec(rest) ?? [];
    const sender = path === '<>' ? '' : copyOf(path);
    const transaction = new Transaction(place, at, sender);
    transaction.senderAnswer = 'accepted';
    transaction.delivered = 'yes';
    const key = keyOf(client, sender);
    const refused = this.#refused.get(key);
    if (refused !== undefined) {
      this.#refused.delete(key);
      if (isTogether(refused.transaction.at, at))
        for (const one of refused.transaction.recipients) transaction.add(one.address, one.answer, one.reply);
      else this.#tell(refused);
    }
    const [, list] = / for (\S+@\S+(?: \S+)*)$/.exec(rest) ?? [];
    for (const address of list?.split(' ') ?? []) transaction.add(copyOf(address), 'accepted');
    const earlier = this.#queue.get(id);
    if (earlier !== undefined) this.#tell(earlier); // of another server's log
    this.#queue.set(id, { client, transaction });
  }

  #refusal(text: string, at: number | null, place: Place): void {
    const found = REFUSAL.exec(text);
    const client = found === null ? null : clientOf(text);
    if (found === null || client === null) return;
    const [, sender = '', temporarily, state, what = ''] = found;
    const answer = temporarily === undefined ? 'refused' : 'deferred';
    const key = keyOf(client, sender);
    let refused = this.#refused.get(key);
    if (refused !== undefined && !isTogether(refused.transaction.at, at)) {
      this.#refused.delete(key);
      this.#tell(refused);
      refused = undefined;
    }
    if (refused === undefined) {
      refused = { client, transaction: new Transaction(place, at, copyOf(sender)) };
      refused.transaction.senderAnswer = 'accepted';
      refused.transaction.delivered = 'no';
      this.#refused.set(key, refused);
    }
    const [, address = '', reply = ''] = /^<?([^>\s]*)>?:? ?(.*)$/.exec(what) ?? [];
    if (state === 'MAIL') refused.transaction.senderAnswer = answer;
    else refused.transaction.add(copyOf(address), answer, copyOf(reply));
  }

  #rejectedMessage(rest: string, at: number | null, place: Place): void {
    const client = clientOf(rest);
    if (client === null) return;
    const sender = / F=<([^>]*)>/.exec(rest)?.[1];
    const transaction = new Transaction(place, at, sender === undefined ? null : copyOf(sender));
    transaction.senderAnswer = 'accepted';
    transaction.delivered = 'no';
    this.#tell({ client, transaction });
  }

  #tell({ client, transaction }: Queued): void {
    this.#out.message(transaction.logged(client));
  }
}

function keyOf({ source, helo }: Client, sender: string): string {
  return `${source} ${helo} ${sender}`;
}

function isTogether(before: number | null, now: number | null): boolean {
  return before === null || now === null || now - before <= TOGETHER_MS;
}

/** Null: no host is named. */
function clientOf(text: string): Client | null {
  const [, name, helo, address] = HOST.exec(text) ?? [];
  if (address === undefined) return null;
  const client = unknownClient('', copyOf(address.replace(/^::ffff:(?=\d+\.)/i, '')));
  client.ptr = name === undefined ? null : copyOf(name);
  client.helo = helo === undefined ? client.ptr : copyOf(helo); // the same name is told once
  const local = / I=\[([^\]]+)\]:(\d+)/.exec(text);
  if (local !== null)
    client.local = copyOf(local[1]?.includes(':') ? `[${local[1]}]:${local[2]}` : `${local[1]}:${local[2]}`);
  const login = / A=[^\s:]+(?::(\S+))?/.exec(text);
  client.login = login === null ? (/ P=\S+a(?: |$)/.test(text) ? '?' : null) : copyOf(login[1] ?? '?');
  client.tls = / X=/.test(text) || / P=\S*s(a)?(?: |$)/.test(text);
  return client;
}
