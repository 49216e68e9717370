// Postern's own log: the line of each message, and those of what was refused, or would be in observe.
//
// A message that the server answered tells its recipients, with those that we refused as far as it names them. A refusal of a
// transaction that came to no message is told when its session ends. A line that has nothing to do with mail is passed over.
// Not told by these lines: the local address, and TLS.

import type { LoggedAnswer } from './logged.ts';
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
        return true;
      case 'listening': // sessions are numbered anew
        for (const open of this.#refused.drain()) this.#tell(open);
        return true;
      default:
        return true;
    }
  }

  end(): void {
    for (const open of this.#refused.drain()) this.#tell(open);
  }

  #message(fields: Fields, place: Place): boolean {
    const { recipients, answer, sender } = fields;
    const client = clientOf(fields);
    if (client === null || !Array.isArray(recipients)) return false;
    const session = sessionOf(fields);
    const refused = this.#refused.get(session)?.transaction;
    if (refused !== undefined && refused.sender === sender) this.#refused.delete(session);
    const transaction = new Transaction(place, timeOf(fields), textOf(sender) ?? '');
    transaction.senderAnswer = 'accepted';
    transaction.delivered = answer === 'accepted' ? 'yes' : 'no';
    transaction.untold = Number(fields.recipients_untold ?? 0);
    for (const one of recipients as Fields[]) {
      const ours =
        one.decision === 'reject' ? answerOf((textOf(one.reply) ?? '5').charCodeAt(0)) : answerNamed(one.answer);
      transaction.add(textOf(one.recipient) ?? '', ours, textOf(one.reply) ?? '');
    }
    this.#tell({ client, transaction });
    return true;
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

function sessionOf({ worker, session }: Fields): string {
  return worker === undefined ? String(session) : `${worker}.${session}`;
}

function clientOf(fields: Fields): Client | null {
  const source = textOf(fields.client_address);
  if (source === null) return null;
  const client = unknownClient(sessionOf(fields), source);
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
