// The receive log of Exchange 2007 to 2019 (RECV*.LOG): one line an event, sessions mixed.
//
// `date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context`, comma-separated, quoted
// only where it must be. Sessions go on in the next file. From 2013 on a session comes twice where the logs of both roles are
// read, at the front end and at the hub that it was handed to (XPROXY, XPROXYFROM with the client's address): the side that
// tells of it first counts. This is the reader whose speed matters: a line is looked at as far as it has to be, and no regular
// expression runs over a whole one. Not understood is what has not these columns; events that tell nothing of mail are passed over.

import { Conversation } from './conversation.ts';
import type { LoggedMessage } from './logged.ts';
import { SeenSessions } from './seen-sessions.ts';
import { type Client, copyOf, Interned, OpenTable, type Out, type Place, unknownClient } from './transaction.ts';

const COMMA = 0x2c;
const QUOTE = 0x22;
const SESSION_LENGTH = 16;

const FRONT = 1;
const HUB = 2;

class Session {
  readonly conversation: Conversation;
  /** The id of the front end's session, where this one was handed on by it. */
  handedOn: string | null = null;

  constructor(client: Client, fromStart: boolean, tell: (session: Session, message: LoggedMessage) => void) {
    this.conversation = new Conversation(client, fromStart, (message) => tell(this, message));
  }
}

export class ExchangeLog {
  readonly #out: Out;
  readonly #open: OpenTable<Session>;
  readonly #names = new Interned();
  readonly #told: SeenSessions;
  /** `#Fields` says another order, or has other columns: nothing below it is understood. */
  #isOther = false;

  constructor(out: Out) {
    this.#out = out;
    this.#open = new OpenTable(({ conversation }) => {
      conversation.end();
      out.note(
        'sessions were open at the same time beyond the 50 000 that are kept: of the oldest, the end is not told',
      );
    });
    this.#told = new SeenSessions();
  }

  line(line: string, place: Place): boolean {
    if (line.charCodeAt(0) === 0x23) return this.#header(line);
    if (this.#isOther) return false;
    const timeEnd = line.indexOf(',');
    const connectorEnd = endOfField(line, timeEnd + 1);
    const sessionEnd = connectorEnd + 1 + SESSION_LENGTH;
    if (timeEnd < 19 || connectorEnd === -1 || line.charCodeAt(sessionEnd) !== COMMA) return false;
    const sequenceEnd = line.indexOf(',', sessionEnd + 1);
    const localEnd = line.indexOf(',', sequenceEnd + 1);
    const remoteEnd = line.indexOf(',', localEnd + 1);
    if (sequenceEnd === -1 || localEnd === -1 || remoteEnd === -1 || line.charCodeAt(remoteEnd + 2) !== COMMA)
      return false;

    const id = line.slice(connectorEnd + 1, sessionEnd);
    const event = line[remoteEnd + 1];
    let session = this.#open.get(id);
    if (session === undefined) {
      if (event === '-') return true;
      const source = addressOf(line.slice(localEnd + 1, remoteEnd));
      if (source === null) return false;
      const client = unknownClient(copyOf(id), source);
      client.local = this.#names.of(line.slice(sequenceEnd + 1, localEnd)) || null;
      client.connector = this.#names.of(unquoted(line.slice(timeEnd + 1, connectorEnd))) || null;
      session = new Session(client, event === '+', this.#tell);
      this.#open.set(id, session);
    }
    const dataStart = remoteEnd + 3;
    switch (event) {
      case '<':
        this.#command(session, dataOf(line, dataStart), () => timeOf(line.slice(0, timeEnd)), place);
        return true;
      case '>':
        session.conversation.reply(dataOf(line, dataStart));
        return true;
      case '*':
        this.#information(session, line, dataStart);
        return true;
      case '+':
        return true;
      case '-':
        session.conversation.end();
        this.#open.delete(id);
        return true;
      default:
        return false;
    }
  }

  end(): void {
    for (const { conversation } of this.#open.drain()) conversation.end();
    if (this.#told.isFull)
      this.#out.note(
        'more sessions were read than can be told apart: one that is in the logs of both roles may be counted twice',
      );
  }

  readonly #tell = ({ handedOn }: Session, message: LoggedMessage): void => {
    if (this.#told.claim(handedOn ?? message.session, handedOn === null ? FRONT : HUB)) this.#out.message(message);
  };

  #command(session: Session, line: string, at: () => number | null, place: Place): void {
    if ((line.charCodeAt(0) | 0x20) === 0x78 && /^XPROXY(FROM)? /i.test(line)) {
      const { client } = session.conversation;
      const word = (name: string): string | undefined => new RegExp(` ${name}=(\\S+)`, 'i').exec(line)?.[1];
      const source = word('IP');
      if (source !== undefined) client.source = addressOf(source) ?? client.source;
      const domain = word('DOMAIN');
      session.handedOn = copyOf(word('SID') ?? '') || null;
      session.conversation.command('NOOP', at, place);
      if (domain !== undefined) client.helo = copyOf(domain);
      return;
    }
    session.conversation.command(line, at, place);
  }

  #information({ conversation }: Session, line: string, dataStart: number): void {
    if (line.endsWith(',Set Session Permissions')) {
      conversation.client.mayRelay = line.includes('SMTPAcceptAnyRecipient', dataStart);
      return;
    }
    if (line.endsWith(',authenticated')) {
      const name = dataOf(line, dataStart);
      if (name !== '' && !/^NT AUTHORITY\\/i.test(name)) conversation.loggedIn(name);
      return;
    }
    const named = line.indexOf('User Name: ', dataStart);
    if (named === -1) return;
    const name = /^[^",]+/.exec(line.slice(named + 11))?.[0].trim();
    if (name !== undefined && name !== 'NULL') conversation.tries(name);
  }

  #header(line: string): boolean {
    const fields = /^#Fields:\s*(.*)$/i.exec(line)?.[1];
    if (fields !== undefined)
      this.#isOther =
        !/^date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data\b/.test(
          fields.trim(),
        );
    return !this.#isOther;
  }
}

/** The place of the comma behind a field, which may be quoted; -1: there is none. */
function endOfField(line: string, start: number): number {
  if (line.charCodeAt(start) !== QUOTE) return line.indexOf(',', start);
  for (let at = start + 1; ; at++) {
    at = line.indexOf('"', at);
    if (at === -1) return -1;
    if (line.charCodeAt(at + 1) !== QUOTE) return line.charCodeAt(at + 1) === COMMA ? at + 1 : -1;
    at++;
  }
}

function unquoted(field: string): string {
  return field.charCodeAt(0) === QUOTE ? field.slice(1, -1).replaceAll('""', '"') : field;
}

/** The data, which ends before the comma of the context, or with the line where it was cut off. */
function dataOf(line: string, start: number): string {
  const end = endOfField(line, start);
  if (end !== -1) return unquoted(line.slice(start, end));
  const rest = line.slice(start);
  return rest.charCodeAt(0) === QUOTE ? rest.slice(1).replace(/"$/, '').replaceAll('""', '"') : rest;
}

/** The address of `IP:port`, `[v6]:port` or a bare address, without zone; null: it is none. */
export function addressOf(endpoint: string): string | null {
  const text = /^\[([^\]]*)\](?::\d+)?$/.exec(endpoint)?.[1] ?? /^([\d.]+)(?::\d+)?$/.exec(endpoint)?.[1] ?? endpoint;
  const bare = text.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  return /^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/.test(bare) ? copyOf(bare) : null;
}

function timeOf(text: string): number | null {
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}
