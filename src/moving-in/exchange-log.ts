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
const HASH = 0x23;
const CAME = 0x2b; //     +
const LEFT = 0x2d; //     -
const SAID = 0x3c; //     <
const ANSWERED = 0x3e; // >
const TOLD = 0x2a; //     *

const TIME_LENGTH = 24; // 2026-01-31T08:00:00.000Z
const ID_LENGTH = 16;
const RECENT = 0x3ff; // sessions looked for first, by the last bits of their id

const TWO_ROLES = 15; // the version of Exchange 2013
const FRONT = 1;
const HUB = 2;

class Session {
  /** The two halves of its id. */
  readonly high: number;
  readonly low: number;
  readonly id: string;
  readonly conversation: Conversation;
  /** The id of the front end's session, where this one was handed on by it. */
  handedOn: string | null = null;

  constructor(
    high: number,
    low: number,
    client: Client,
    fromStart: boolean,
    tell: (session: Session, message: LoggedMessage) => void,
  ) {
    this.high = high;
    this.low = low;
    this.id = client.session;
    this.conversation = new Conversation(client, fromStart, (message) => tell(this, message));
  }
}

export class ExchangeLog {
  readonly #out: Out;
  readonly #open: OpenTable<Session>;
  readonly #recent: (Session | undefined)[] = new Array(RECENT + 1).fill(undefined);
  readonly #names = new Interned();
  readonly #told: SeenSessions;
  /** Before Exchange 2013 no session is handed on. */
  #mayRepeat = true;
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
    return this.span(line, 0, line.length, place);
  }

  /** A line as it stands in a block of text, from here to there: to cut each out first takes as long as to read it. */
  span(text: string, from: number, to: number, place: Place): boolean {
    if (text.charCodeAt(from) === HASH) return this.#header(text.slice(from, to));
    if (this.#isOther) return false;
    const timeEnd = text.charCodeAt(from + TIME_LENGTH) === COMMA ? from + TIME_LENGTH : text.indexOf(',', from);
    const connectorEnd = endOfField(text, timeEnd + 1);
    const idAt = connectorEnd + 1;
    const idEnd = idAt + ID_LENGTH;
    if (timeEnd < from + 19 || connectorEnd === -1 || idEnd >= to || text.charCodeAt(idEnd) !== COMMA) return false;
    const localAt = text.indexOf(',', idEnd + 1);
    if (localAt === -1) return false;

    const localEnd = text.indexOf(',', localAt + 1);
    const remoteEnd = localEnd === -1 ? -1 : text.indexOf(',', localEnd + 1);
    if (remoteEnd === -1 || remoteEnd + 2 >= to || text.charCodeAt(remoteEnd + 2) !== COMMA) return false;
    const event = text.charCodeAt(remoteEnd + 1);
    // Lines of a session follow each other closely: most are found by number, without a string to look with.
    const high = hexAt(text, idAt);
    const low = hexAt(text, idAt + 8);
    const recent = this.#recent[low & RECENT];
    const isRecent = recent !== undefined && recent.low === low && recent.high === high;
    let session = isRecent ? recent : this.#open.get(text.slice(idAt, idEnd));
    if (session === undefined) {
      if (event === LEFT) return true;
      const connector = unquoted(text.slice(timeEnd + 1, connectorEnd));
      session = this.#begin(
        high,
        low,
        text.slice(idAt, idEnd),
        connector,
        text.slice(localAt + 1, remoteEnd),
        event === CAME,
      );
      if (session === undefined) return false;
    }
    this.#recent[low & RECENT] = session;
    const dataAt = remoteEnd + 3;
    switch (event) {
      case SAID:
        this.#command(session, dataOf(text, dataAt, to), () => timeOf(text.slice(from, timeEnd)), place);
        return true;
      case ANSWERED:
        if (text.charCodeAt(dataAt) !== QUOTE) session.conversation.reply(text, dataAt, endOfData(text, dataAt, to));
        else {
          const data = dataOf(text, dataAt, to);
          session.conversation.reply(data, 0, data.length);
        }
        return true;
      case TOLD:
        this.#information(session, text.slice(dataAt, to));
        return true;
      case CAME:
        return true;
      case LEFT:
        session.conversation.end();
        this.#recent[low & RECENT] = undefined;
        this.#open.delete(session.id);
        return true;
      default:
        return false;
    }
  }

  /** Undefined: it has no address. */
  #begin(
    high: number,
    low: number,
    id: string,
    connector: string,
    ends: string,
    fromStart: boolean,
  ): Session | undefined {
    const [local = '', remote = ''] = ends.split(',');
    const source = addressOf(remote);
    if (source === null) return undefined;
    const client = unknownClient(copyOf(id), source);
    client.local = this.#names.of(local) || null;
    client.connector = this.#names.of(connector) || null;
    const session = new Session(high, low, client, fromStart, this.#tell);
    this.#open.set(id, session);
    return session;
  }

  end(): void {
    for (const { conversation } of this.#open.drain()) conversation.end();
    if (this.#told.isFull)
      this.#out.note(
        'more sessions were read than can be told apart: one that is in the logs of both roles may be counted twice',
      );
  }

  readonly #tell = ({ handedOn }: Session, message: LoggedMessage): void => {
    if (!this.#mayRepeat || this.#told.claim(handedOn ?? message.session, handedOn === null ? FRONT : HUB))
      this.#out.message(message);
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

  #information({ conversation }: Session, line: string): void {
    if (line.endsWith(',Set Session Permissions')) {
      conversation.client.mayRelay = line.includes('SMTPAcceptAnyRecipient');
      return;
    }
    if (line.endsWith(',authenticated')) {
      const name = dataOf(line, 0, line.length);
      if (name !== '' && !/^NT AUTHORITY\\/i.test(name)) conversation.loggedIn(name);
      return;
    }
    const named = line.indexOf('User Name: ');
    if (named === -1) return;
    const name = /^[^",]+/.exec(line.slice(named + 11))?.[0].trim();
    if (name !== undefined && name !== 'NULL') conversation.tries(name);
  }

  #header(line: string): boolean {
    const version = /^#Version:\s*(\d+)\./i.exec(line)?.[1];
    if (version !== undefined) this.#mayRepeat = Number(version) >= TWO_ROLES;
    const fields = /^#Fields:\s*(.*)$/i.exec(line)?.[1];
    if (fields !== undefined)
      this.#isOther =
        !/^date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data\b/.test(
          fields.trim(),
        );
    return !this.#isOther;
  }
}

/** Eight hexadecimal digits, as 32 bits. */
function hexAt(text: string, at: number): number {
  let value = 0;
  for (let i = at; i < at + 8; i++) {
    const character = text.charCodeAt(i);
    value = (value << 4) | ((character & 15) + (character >> 6) * 9);
  }
  return value;
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
function dataOf(text: string, start: number, to: number): string {
  if (text.charCodeAt(start) !== QUOTE) return text.slice(start, endOfData(text, start, to));
  const end = endOfField(text, start);
  if (end !== -1 && end < to) return unquoted(text.slice(start, end));
  return text
    .slice(start + 1, to)
    .replace(/"$/, '')
    .replaceAll('""', '"');
}

function endOfData(text: string, start: number, to: number): number {
  const end = text.indexOf(',', start);
  return end === -1 || end > to ? to : end;
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
