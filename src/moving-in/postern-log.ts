// Postern's own log: the line of each message, and those of what was refused, or would be in observe.
//
// A message that the server answered tells its recipients, with those that we refused as far as it names them; more of them have
// lines of their own, and so have the refusals of an earlier transaction of the same sender: which is which shows by their order.
// A refusal of a transaction that came to no message is told when its session ends. A line that has nothing to do with mail is
// passed over. Not told by these lines: the local address, TLS, and which recipients were refused where that was only counted.

import { posternLineIn } from './log-kinds.ts';
import type { LoggedAnswer } from './logged.ts';
import type { OpenRecipient } from './transaction.ts';
import {
  answerOf,
  type Client,
  copyOf,
  MOST_RECIPIENTS,
  OpenTable,
  type Out,
  type Place,
  Transaction,
  unknownClient,
} from './transaction.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What had a line of its own. */
interface Told extends OpenRecipient {
  /** We refused it, and the server never heard of it. */
  readonly isOurs: boolean;
}

interface Open {
  readonly client: Client;
  readonly transaction: Transaction;
  readonly told: Told[];
}

export class PosternLog {
  readonly #out: Out;
  /** Of each session, the transaction of which only refusals are known. */
  readonly #refused: OpenTable<Open>;

  constructor(out: Out) {
    this.#out = out;
    this.#refused = new OpenTable((open) => this.#tell(open));
  }

  line(said: string, place: Place): boolean {
    const line = said.startsWith('{') ? said : (posternLineIn(said) ?? said);
    if (line.startsWith('postern: listening on ')) return true; // the start line, where standard error goes to the same file
    let fields: Fields;
    try {
      const parsed: unknown = JSON.parse(line);
      if (typeof parsed !== 'object' || parsed === null) return false;
      fields = parsed as Fields;
    } catch {
      return false;
    }
    if (typeof fields.log === 'string') return this.line(fields.log, place); // as Docker keeps it
    if (typeof fields.msg !== 'string') return false;
    switch (fields.msg) {
      case 'message':
      case 'message not ended':
        return this.#message(fields, place);
      case 'recipient refused':
      case 'recipient would be refused':
      case 'recipient refused by the server':
      case 'recipient deferred by the server':
        return this.#recipient(fields, place);
      case 'sender refused':
      case 'sender refused by the server':
      case 'sender deferred by the server':
        return this.#sender(fields, place);
      case 'session ended':
        this.#leave(sessionOf(fields));
        this.#counted(fields.repeated);
        return true;
      case 'listening': // sessions are numbered anew
        for (const open of this.#refused.drain()) this.#tell(open);
        return true;
      default:
        if (fields.source !== undefined) this.#counted(fields.repeated);
        return true;
    }
  }

  #counted(repeated: unknown): void {
    if (isCount(repeated)) this.#out.note(ONLY_COUNTED);
  }

  end(): void {
    for (const open of this.#refused.drain()) this.#tell(open);
  }

  #message(fields: Fields, place: Place): boolean {
    const { answer } = fields;
    const client = clientOf(fields);
    const recipients = recipientsOf(fields.recipients);
    if (client === null || recipients === null) return false;
    const transaction = new Transaction(place, timeOf(fields), textOf(fields.sender) ?? '');
    transaction.senderAnswer = 'accepted';
    transaction.delivered = answer === 'accepted' ? 'yes' : 'no';
    for (const { address, answer, reply } of recipients) transaction.add(address, answer, reply);
    const untold = isCount(fields.recipients_untold) ? fields.recipients_untold : 0;
    const more = this.#moreOf(transaction, sessionOf(fields), untold);
    for (const { address, answer, reply } of more) transaction.add(address, answer, reply);
    transaction.untold += untold - more.length;
    this.#send(client, transaction);
    return true;
  }

  /** What had a line of its own and is of this message, which does not name it. What came before is of an earlier transaction. */
  #moreOf({ sender, delivered, recipients }: Transaction, session: string, untold: number): readonly Told[] {
    const open = this.#refused.get(session);
    if (open?.transaction.sender !== sender) return [];
    const named = new Map<string, number>();
    for (const { address } of recipients) named.set(address, (named.get(address) ?? 0) + 1);
    const more: Told[] = [];
    let began = open.told.length;
    let beyond = 0;
    for (let at = began - 1; at >= 0; at--) {
      const told = open.told[at] as Told;
      const left = named.get(told.address);
      if (left !== undefined && left > 0) named.set(told.address, left - 1);
      else if (more.push(told) > untold) break;
      // Of those that went to the server a message that it did not take names only a few.
      if (left === undefined && (told.isOurs || delivered === 'yes')) continue;
      began = at;
      beyond = more.length;
    }
    open.told.length = began;
    this.#leave(session);
    return more.slice(0, beyond).reverse();
  }

  #recipient(fields: Fields, place: Place): boolean {
    const open = this.#open(fields, place);
    const recipient = textOf(fields.recipient);
    if (open === null || recipient === null) return false;
    const reply = textOf(fields.reply) ?? '';
    const answer = answerOf(reply.charCodeAt(0));
    const isOurs = fields.decision === 'reject';
    const isLetPass = fields.decision === 'would_reject' && fields.answer === undefined;
    const known = open.told.find(({ address, answer: before }) => address === recipient && before === 'unknown');
    if (!isLetPass && known !== undefined) Object.assign(known, { answer, reply });
    else if (open.told.length >= MOST_RECIPIENTS) open.transaction.untold += 1;
    else if (isLetPass) open.told.push({ address: recipient, answer: 'unknown', reply: '', isOurs });
    else open.told.push({ address: recipient, answer, reply, isOurs });
    return true;
  }

  /** A MAIL that was refused ends no transaction that was open. */
  #sender(fields: Fields, place: Place): boolean {
    const client = clientOf(fields);
    if (client === null) return false;
    const transaction = new Transaction(place, timeOf(fields), textOf(fields.sender) ?? '');
    transaction.senderAnswer = answerOf((textOf(fields.reply) ?? '').charCodeAt(0));
    transaction.delivered = 'no';
    this.#send(client, transaction);
    return true;
  }

  #open(fields: Fields, place: Place): Open | null {
    const session = sessionOf(fields);
    const sender = textOf(fields.sender) ?? '';
    const known = this.#refused.get(session);
    if (known !== undefined && known.transaction.sender === sender) return known;
    this.#leave(session);
    const client = clientOf(fields);
    if (client === null) return null;
    const open = { client, transaction: new Transaction(place, timeOf(fields), sender), told: [] };
    open.transaction.senderAnswer = 'accepted';
    open.transaction.delivered = 'no';
    this.#refused.set(session, open);
    return open;
  }

  #leave(session: string): void {
    const open = this.#refused.get(session);
    if (open === undefined) return;
    this.#refused.delete(session);
    this.#tell(open);
  }

  #tell({ client, transaction, told }: Open): void {
    for (const { address, answer, reply } of told) transaction.add(address, answer, reply);
    if (told.length > 0) this.#send(client, transaction);
  }

  #send(client: Client, transaction: Transaction): void {
    this.#out.message(transaction.logged(client));
  }
}

const ONLY_COUNTED =
  'lines of Postern say of some refusals only how many they were (repeated): recipients among them are in no sum here';

function numberOf({ worker, session }: Fields): string {
  return worker === undefined ? String(session) : `${worker}.${session}`;
}

/** With the client's end: two programs that write to one file number their sessions alike. */
function sessionOf(fields: Fields): string {
  return `${numberOf(fields)} ${fields.client_address} ${fields.client_port}`;
}

/** Null: they are no recipients. */
function recipientsOf(listed: unknown): OpenRecipient[] | null {
  if (!Array.isArray(listed)) return null;
  const recipients: OpenRecipient[] = [];
  for (const one of listed as unknown[]) {
    const {
      recipient,
      decision,
      answer,
      reply: said,
    }: Fields = typeof one === 'object' && one !== null ? { ...one } : {};
    const address = textOf(recipient);
    if (address === null) return null;
    const reply = textOf(said) ?? '';
    recipients.push({
      address,
      answer: decision === 'reject' ? answerOf((reply || '5').charCodeAt(0)) : answerNamed(answer),
      reply,
    });
  }
  return recipients;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function clientOf(fields: Fields): Client | null {
  const source = textOf(fields.client_address);
  if (source === null) return null;
  const client = unknownClient(
    fields.worker === undefined ? String(fields.session) : `${fields.worker}.${fields.session}`,
    source,
  );
  client.connector = textOf(fields.connector);
  client.helo = textOf(fields.helo_name);
  client.login = textOf(fields.sasl_username) ?? (fields.sasl_method === undefined ? null : '?');
  return client;
}

function timeOf({ time }: Fields): number | null {
  const at = typeof time === 'string' ? Date.parse(time) : typeof time === 'number' ? time : Number.NaN;
  return Number.isNaN(at) ? null : at;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? copyOf(value) : null;
}

function answerNamed(answer: unknown): LoggedAnswer {
  return answer === 'accepted' || answer === 'refused' || answer === 'deferred' ? answer : 'unknown';
}
