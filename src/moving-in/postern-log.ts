// Postern's own log: the line of each message, and those of what was refused, or would be in observe.
//
// A message that the server answered tells its recipients, with those that we refused as far as it names them; more of them have
// lines of their own, and so have the refusals of an earlier transaction of the same sender, which are told apart by their order.
// A refusal of a transaction that came to no message is told when its session ends. A line that has nothing to do with mail is
// passed over. Not told by these lines: the local address, TLS, and which recipients were refused where that was only counted.

import type { LoggedAnswer } from './logged.ts';
import type { OpenRecipient } from './transaction.ts';
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

type Fields = Readonly<Record<string, unknown>>;

interface Open {
  readonly client: Client;
  readonly transaction: Transaction;
}

export class PosternLog {
  readonly #out: Out;
  /** Of each session, the transaction of which only refusals are known. */
  readonly #refused: OpenTable<Open>;

  constructor(out: Out) {
    this.#out = out;
    this.#refused = new OpenTable((open) => this.#tell(open));
  }

  line(line: string, place: Place): boolean {
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
    const more = this.#refusedIn(sessionOf(fields), transaction);
    for (const { address, answer, reply } of more) transaction.add(address, answer, reply);
    const untold = isCount(fields.recipients_untold) ? fields.recipients_untold : 0;
    transaction.untold += Math.max(0, untold - more.length);
    this.#tell({ client, transaction });
    return true;
  }

  /** What had a line of its own, is of this message, and is not named there. What came before it is of an earlier transaction. */
  #refusedIn(session: string, { sender, recipients: named }: Transaction): readonly OpenRecipient[] {
    const open = this.#refused.get(session);
    if (open?.transaction.sender !== sender) {
      this.#leave(session);
      return [];
    }
    const told = open.transaction.recipients.splice(0);
    const places = new Map<string, number[]>();
    for (const [at, { address }] of told.entries()) {
      const known = places.get(address);
      if (known === undefined) places.set(address, [at]);
      else known.push(at);
    }
    const found = new Set(named.toReversed().flatMap(({ address }) => places.get(address)?.pop() ?? []));
    const first = Math.min(told.length, ...found);
    open.transaction.recipients.push(...told.slice(0, first));
    if (first > 0) this.#leave(session);
    else this.#refused.delete(session);
    return told.filter((_, at) => at > first && !found.has(at));
  }

  #recipient(fields: Fields, place: Place): boolean {
    const open = this.#open(fields, place);
    const recipient = textOf(fields.recipient);
    if (open === null || recipient === null) return false;
    const reply = textOf(fields.reply) ?? '';
    const isLetPass = fields.decision === 'would_reject' && fields.answer === undefined;
    const known = open.transaction.recipients.find(
      ({ address, answer }) => address === recipient && answer === 'unknown',
    );
    if (isLetPass) open.transaction.add(recipient);
    else if (known === undefined) open.transaction.add(recipient, answerOf(reply.charCodeAt(0)), reply);
    else Object.assign(known, { answer: answerOf(reply.charCodeAt(0)), reply });
    return true;
  }

  #sender(fields: Fields, place: Place): boolean {
    this.#leave(sessionOf(fields));
    const open = this.#open(fields, place);
    if (open === null) return false;
    open.transaction.senderAnswer = answerOf((textOf(fields.reply) ?? '').charCodeAt(0));
    this.#leave(sessionOf(fields));
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
    const open = { client, transaction: new Transaction(place, timeOf(fields), sender) };
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

  #tell({ client, transaction }: Open): void {
    this.#out.message(transaction.logged(client));
  }
}

const ONLY_COUNTED =
  'lines of Postern say only how many more it refused (repeated), and not whom: those are in no sum here';

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
