// Postfix: smtpd says who the client is and what it refuses, qmgr the sender, the delivery agents the recipients it accepted.
//
// A message is put together by its queue id. A refusal has none until a recipient is accepted: those of one client process and
// sender belong to the message that follows. Recipients are told when they are delivered or put off, under the address that the
// client gave (orig_to). Mail that comes back from a content filter with its first client (orig_client) is not counted twice.
// Not told by Postfix: HELO names but of refusals, the local address, and recipients of what is still in the queue at the end.

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

interface Connection {
  client: Client;
  /** Refused, and not yet known to be of a message that was accepted. */
  refused: Transaction | null;
}

interface Queued {
  readonly client: Client;
  readonly transaction: Transaction;
  /** Of the same connection, and perhaps of the same transaction. */
  perhaps: Transaction | null;
  recipients: number;
}

const CLIENT = /^([0-9A-Za-z]+): client=(\S*?)\[([^\]]+)\](?::\d+)?(.*)$/;
const REFUSAL =
  /^([0-9A-Za-z]+): (?:milter-)?reject: ([A-Z-]+)(?: command)? from (\S*?)\[([^\]]+)\](?::\d+)?: (.*?); (from=<.*)$/;
const OF_REFUSAL = /from=<(.*?)>,? (?:to=<(.*?)>,? )?proto=\S+?,?(?: helo=<(.*?)>)?(?: sasl_username=<?(.*?)>?)?$/;
const DELIVERY = /^([0-9A-Za-z]+): to=<(.*?)>, (?:orig_to=<(.*?)>, )?relay=/;
const DELIVERS: ReadonlySet<string> = new Set([
  'smtp',
  'lmtp',
  'local',
  'virtual',
  'pipe',
  'error',
  'discard',
  'relay',
  'bounce',
  'retry',
]);

export class PostfixLog {
  readonly #out: Out;
  readonly #connections: OpenTable<Connection>;
  readonly #queue: OpenTable<Queued>;

  constructor(out: Out) {
    this.#out = out;
    this.#connections = new OpenTable((connection) => this.#end(connection));
    this.#queue = new OpenTable((queued) => {
      this.#finish(queued);
      out.note(
        'messages were in the queue beyond the 50 000 that are kept: of the oldest, later recipients are not told',
      );
    });
  }

  entry(daemon: string, { host, process, text, at }: Entry, place: Place): boolean {
    if (daemon === 'qmgr' || daemon === 'nqmgr') this.#qmgr(host, text);
    else if (DELIVERS.has(daemon)) this.#delivery(host, text);
    else if (daemon === 'smtpd' || daemon === 'cleanup' || daemon === 'postscreen')
      return this.#smtpd(`${host} ${process}`, host, text, at, place);
    return true;
  }

  end(): void {
    for (const queued of this.#queue.drain()) this.#finish(queued);
    for (const connection of this.#connections.drain()) this.#end(connection);
  }

  #smtpd(process: string, host: string, text: string, at: number | null, place: Place): boolean {
    const connect = /^connect from (\S*?)\[([^\]]+)\]/.exec(text);
    if (connect !== null) {
      this.#leave(process);
      this.#connections.set(process, { client: clientOf(process, connect[1], connect[2], true), refused: null });
      return true;
    }
    if (text.startsWith('disconnect from ')) this.#leave(process);
    else if (/TLS connection established from /.test(text)) {
      const connection = this.#connections.get(process);
      if (connection !== undefined) connection.client.tls = true;
    } else if (text.includes(': client=')) return this.#accepts(process, host, text, at, place);
    else if (/^\S+: (milter-)?reject: /.test(text)) return this.#refuses(process, host, text, at, place);
    return true;
  }

  /** The first recipient was accepted: there is a queue id. */
  #accepts(process: string, host: string, text: string, at: number | null, place: Place): boolean {
    const found = CLIENT.exec(text);
    if (found === null) return false;
    const [, id = '', name, address, more = ''] = found;
    if (more.includes(', orig_client=')) return true;
    const connection = this.#connections.get(process);
    const client = { ...(connection?.client ?? clientOf(process, name, address, false)) };
    const login = /, sasl_username=([^,]*)/.exec(more)?.[1];
    client.login = login === undefined ? (more.includes(', sasl_method=') ? '?' : null) : copyOf(login);
    const queue = `${host} ${id}`;
    const earlier = this.#queue.get(queue);
    if (earlier !== undefined) this.#finish(earlier); // short queue ids are used again
    const transaction = new Transaction(place, at, null);
    transaction.senderAnswer = 'accepted';
    this.#queue.delete(queue);
    this.#queue.set(queue, { client, transaction, perhaps: connection?.refused ?? null, recipients: 0 });
    if (connection !== undefined) connection.refused = null;
    return true;
  }

  #refuses(process: string, host: string, text: string, at: number | null, place: Place): boolean {
    const found = REFUSAL.exec(text);
    const state = /reject: ([A-Z-]+)/.exec(text)?.[1];
    if (found === null)
      return (
        state === 'CONNECT' ||
        state === 'EHLO' ||
        state === 'HELO' ||
        state === 'AUTH' ||
        state === 'STARTTLS' ||
        state === 'VRFY'
      );
    const [, id = '', , name, address, reply = '', rest = ''] = found;
    const [, sender = '', recipient, helo, login] = OF_REFUSAL.exec(rest) ?? [];
    const queued = this.#queue.get(`${host} ${id}`);
    const client = queued?.client ?? this.#connection(process, name, address).client;
    if (helo !== undefined) client.helo = copyOf(helo);
    if (login !== undefined && login !== '') client.login = copyOf(login);
    const answer = answerOf(reply.charCodeAt(0));
    if (state !== 'RCPT' && state !== 'MAIL') {
      if (queued !== undefined) queued.transaction.delivered = 'no';
      return true;
    }
    const transaction = queued?.transaction ?? this.#refused(process, at, place, copyOf(sender));
    if (state === 'MAIL') transaction.senderAnswer = answer;
    else if (recipient !== undefined) transaction.add(copyOf(recipient), answer, copyOf(reply));
    return true;
  }

  #connection(process: string, name: string | undefined, address: string | undefined): Connection {
    const known = this.#connections.get(process);
    if (known !== undefined && known.client.source === plainAddress(address)) return known;
    this.#leave(process);
    const connection: Connection = { client: clientOf(process, name, address, false), refused: null };
    this.#connections.set(process, connection);
    return connection;
  }

  #refused(process: string, at: number | null, place: Place, sender: string): Transaction {
    const connection = this.#connections.get(process) as Connection;
    if (connection.refused !== null && connection.refused.sender === sender) return connection.refused;
    if (connection.refused !== null) this.#tell(connection.refused, connection.client);
    connection.refused = new Transaction(place, at, sender);
    connection.refused.senderAnswer = 'accepted';
    connection.refused.delivered = 'no';
    return connection.refused;
  }

  #qmgr(host: string, text: string): void {
    const end = text.indexOf(': ');
    const queue = `${host} ${text.slice(0, end)}`;
    const queued = this.#queue.get(queue);
    if (queued === undefined) return;
    if (text.endsWith(': removed')) {
      this.#finish(queued);
      this.#queue.delete(queue);
      return;
    }
    const found = /: from=<(.*?)>, size=\d+, nrcpt=(\d+)/.exec(text);
    if (found === null) return;
    queued.transaction.sender = copyOf(found[1] ?? '');
    queued.transaction.delivered = 'yes';
    queued.recipients = Math.max(queued.recipients, Number(found[2]));
  }

  #delivery(host: string, text: string): void {
    const found = DELIVERY.exec(text);
    if (found === null) return;
    const [, id = '', to = '', asked] = found;
    const transaction = this.#queue.get(`${host} ${id}`)?.transaction;
    const address = asked ?? to;
    if (transaction !== undefined && transaction.find(address) === undefined)
      transaction.add(copyOf(address), 'accepted');
  }

  #finish({ client, transaction, perhaps, recipients }: Queued): void {
    if (perhaps !== null && perhaps.sender === transaction.sender)
      for (const { address, answer, reply } of perhaps.recipients) transaction.add(address, answer, reply);
    else if (perhaps !== null) this.#tell(perhaps, client);
    const accepted = transaction.recipients.filter(({ answer }) => answer === 'accepted').length;
    transaction.untold += Math.max(0, recipients - accepted - transaction.untold);
    if (transaction.delivered === 'unknown' && transaction.sender === null) transaction.delivered = 'no';
    this.#tell(transaction, client);
  }

  #leave(process: string): void {
    const connection = this.#connections.get(process);
    if (connection === undefined) return;
    this.#connections.delete(process);
    this.#end(connection);
  }

  #end({ refused, client }: Connection): void {
    if (refused !== null) this.#tell(refused, client);
  }

  #tell(transaction: Transaction, client: Client): void {
    this.#out.message(transaction.logged(client));
  }
}

/** A name that is not known is written `unknown`; who has not logged in is told so when a message is accepted. */
function clientOf(process: string, name = '', address = '', fromStart: boolean): Client {
  const client = unknownClient(copyOf(process.slice(process.indexOf(' ') + 1)), copyOf(plainAddress(address)));
  client.ptr = name === '' || name === 'unknown' ? null : copyOf(name);
  client.tls = fromStart ? false : null;
  return client;
}

function plainAddress(address = ''): string {
  return address.replace(/^(?:IPv6:)?(?:::ffff:(?=\d+\.))?/i, '');
}
