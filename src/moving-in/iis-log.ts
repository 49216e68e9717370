// The logs of IIS's SMTP service (Exchange 2000 and 2003, and printers' relays to this day): W3C extended, and NCSA.
//
// One line a command, with its status; no session has a name. Whoever has the same address, HELO name and port is taken for one
// session, which begins with HELO or EHLO and ends with QUIT (240). What the server sent itself stands in the same file
// (OutboundConnection…) and is left out. Blanks are `+` in arguments. Not known: TLS, where STARTTLS is not logged; logins.

import { Conversation } from './conversation.ts';
import { addressOf } from './exchange-log.ts';
import { OpenTable, type Out, type Place, unknownClient } from './transaction.ts';

interface Row {
  readonly at: () => number | null;
  readonly source: string;
  readonly port: string;
  readonly local: string | null;
  readonly server: string | null;
  readonly helo: string;
  readonly method: string;
  readonly argument: string;
  /** '' where it is not logged. */
  readonly status: string;
}

/** Sessions of rows, whichever format they stood in. */
class Sessions {
  readonly #out: Out;
  readonly #open: OpenTable<Conversation>;

  constructor(out: Out) {
    this.#out = out;
    this.#open = new OpenTable((conversation) => {
      conversation.end();
      out.note(
        'clients had sessions at the same time beyond the 50 000 that are kept: of the oldest, the end is not told',
      );
    });
  }

  row(row: Row, place: Place): void {
    const verb = row.method.toUpperCase();
    const isHello = verb === 'HELO' || verb === 'EHLO';
    const name = `${row.source} ${row.helo} ${row.port} ${row.server ?? ''}`;
    let conversation = this.#open.get(name);
    if (conversation === undefined) {
      const client = unknownClient('', row.source);
      client.local = row.local;
      client.connector = row.server;
      client.helo = row.helo === '' ? null : row.helo;
      conversation = new Conversation(client, false, (message) => this.#out.message(message));
      this.#open.set(name, conversation);
    }
    if (isHello) {
      conversation.end();
      conversation.client.login = undefined;
      conversation.client.tls = null;
    }
    if (verb === 'QUIT' || verb === 'TIMEOUT') {
      conversation.end();
      this.#open.delete(name);
      return;
    }
    // A message is one row: the 354 between is not logged.
    const isData = verb === 'DATA';
    conversation.command(isData ? 'BDAT 0 LAST' : `${verb} ${row.argument}`, row.at, place);
    conversation.reply(row.status, 0, row.status.length);
  }

  end(): void {
    for (const conversation of this.#open.drain()) conversation.end();
  }
}

const NONE = '-';

const DAY = 86_400_000;
const HOUR = 3_600_000;

/** The day of times that stand without one: that of `#Date`, or of the file's name, and the next where they begin anew. */
class Days {
  #midnight: number | null = null;
  #last = 0;
  #hasTurned = false;

  /** `2026-01-31 08:00:00`, `2026-01-31`, or nothing that is a day. */
  begin(written: string): void {
    const [, day, time] = /^(\d{4}-\d\d-\d\d)(?:[ T]+(\d\d?:\d\d:\d\d))?/.exec(written) ?? [];
    const midnight = Date.parse(`${day}T00:00:00Z`);
    this.#midnight = Number.isNaN(midnight) ? null : midnight;
    this.#last = clockOf(time ?? '') ?? 0;
    this.#hasTurned = false;
  }

  /** Lines stand in their order, but for those of the same moment. */
  at(time: string): number | null {
    const clock = clockOf(time);
    if (clock === null || this.#midnight === null) return null;
    if (this.#hasTurned && this.#last < HOUR && clock > DAY - HOUR) return this.#midnight - DAY + clock;
    if (clock < this.#last - HOUR) {
      this.#midnight += DAY;
      this.#hasTurned = true;
    }
    this.#last = clock;
    return this.#midnight + clock;
  }
}

/** Milliseconds since midnight. */
function clockOf(time: string): number | null {
  const [, hours, minutes, seconds] = /^(\d\d?):(\d\d):(\d\d)/.exec(time) ?? [];
  return hours === undefined ? null : (Number(hours) * 60 + Number(minutes)) * 60_000 + Number(seconds) * 1000;
}

/** `ex260131.log`, `u_ex26013108.log` (of an hour); '': the name has no day. */
function dayInName(file: string): string {
  const [, year, month, day] = /(?:^|[\\/:_])(?:u_)?ex(\d\d)(\d\d)(\d\d)(?:\d\d)?\.[^\\/:]*$/i.exec(file) ?? [];
  return year === undefined ? '' : `20${year}-${month}-${day}`;
}

export class W3cLog {
  readonly #out: Out;
  readonly #sessions: Sessions;
  /** The column of each field; null: no #Fields line has come. */
  #columns: ReadonlyMap<string, number> | null = null;
  readonly #days = new Days();
  /** `#Date` has said which day it is. */
  #isDated = false;
  #file = '';

  constructor(out: Out) {
    this.#out = out;
    this.#sessions = new Sessions(out);
  }

  line(line: string, place: Place): boolean {
    if (place.file !== this.#file) {
      this.#file = place.file;
      this.#days.begin(dayInName(place.file)); // the day of another file is not this one's
      this.#isDated = false;
      this.#columns = null;
    }
    if (line.startsWith('#')) return this.#header(line);
    if (this.#columns === null) return false;
    const values = line.trimEnd().split(/ +/);
    const value = (name: string): string => {
      const at = this.#columns?.get(name);
      const text = at === undefined ? undefined : values[at];
      return text === undefined || text === NONE ? '' : text;
    };
    const helo = value('cs-username');
    if (helo.startsWith('OutboundConnection')) return true;
    const source = addressOf(value('c-ip'));
    const method = value('cs-method');
    if (source === null || (this.#columns.has('sc-status') && !/^\d*$/.test(value('sc-status')))) return false;
    if (method === '') return true; // a connection that said nothing
    const address = value('s-ip');
    const port = value('s-port');
    const at = this.#timeOf(value('date'), value('time'));
    const row = {
      at: () => at,
      source,
      port: value('c-port'),
      local: address === '' ? null : endpoint(address, port),
      server: value('s-sitename') || null,
      helo,
      method,
      argument: argumentOf(value('cs-uri-query')),
      status: value('sc-status'),
    };
    this.#sessions.row(row, place);
    return true;
  }

  end(): void {
    this.#sessions.end();
  }

  #header(line: string): boolean {
    const [, name = '', rest = ''] = /^#([A-Za-z-]+):\s*(.*)$/.exec(line) ?? [];
    if (name.toLowerCase() === 'date' && /^\d{4}-\d\d-\d\d/.test(rest)) {
      this.#days.begin(rest);
      this.#isDated = true;
    }
    if (name.toLowerCase() === 'fields') {
      const fields = rest.trim().split(/\s+/);
      this.#columns = new Map(fields.map((field, at) => [field.toLowerCase(), at]));
      if (!this.#columns.has('c-ip') || !this.#columns.has('cs-method')) {
        this.#columns = null;
        return false;
      }
    }
    return true;
  }

  /** UTC. */
  #timeOf(date: string, time: string): number | null {
    if (date !== '') {
      const at = Date.parse(`${date}T${time.padStart(8, '0')}Z`);
      return Number.isNaN(at) ? null : at;
    }
    const at = this.#days.at(time);
    if (at !== null && !this.#isDated) {
      this.#isDated = true; // once for a file
      this.#out.note(`${this.#file}: neither a #Date line nor a date column: the day is that of its name`);
    }
    return at;
  }
}

/** A port of 0 is none: IIS does not log it. */
function endpoint(address: string, port: string): string {
  const known = port === '' || port === '0' ? '25' : port;
  return address.includes(':') ? `[${address}]:${known}` : `${address}:${known}`;
}

/** `+FROM:<a@b>+SIZE=1`: blanks are plus signs, and so are plus signs; within the brackets of a path a plus is one. */
export function argumentOf(text: string): string {
  const open = text.indexOf('<');
  const close = text.lastIndexOf('>');
  if (open === -1 || close < open) return text.replaceAll('+', ' ').trim();
  const blank = (part: string): string => part.replaceAll('+', ' ');
  return `${blank(text.slice(0, open))}${text.slice(open, close + 1)}${blank(text.slice(close + 1))}`.trim();
}

const NCSA =
  /^(\S+) \S+ (\S+) \[(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d:\d\d:\d\d) ?([-+]) ?(\d\d)(\d\d)\] "(\S+)(?: [^"?]*\??(.*?))?(?: SMTP)?" (\d+|-)/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export class NcsaLog {
  readonly #sessions: Sessions;

  constructor(out: Out) {
    this.#sessions = new Sessions(out);
  }

  line(line: string, place: Place): boolean {
    const found = NCSA.exec(line);
    if (found === null) return false;
    const [
      ,
      client = '',
      helo = '',
      day,
      month = '',
      year,
      time,
      sign,
      hours,
      minutes,
      method = '',
      argument = '',
      status = '',
    ] = found;
    if (helo.startsWith('OutboundConnection')) return true;
    const source = addressOf(client);
    if (source === null) return false;
    if (method === NONE) return true;
    const date = `${year}-${String(MONTHS.indexOf(month) + 1).padStart(2, '0')}-${day}`;
    const parsed = Date.parse(`${date}T${time}${sign}${hours}:${minutes}`);
    const at = (): number | null => (Number.isNaN(parsed) ? null : parsed);
    const name = helo === NONE ? '' : helo;
    const row = {
      at,
      source,
      port: '',
      local: null,
      server: null,
      helo: name,
      method,
      argument: argumentOf(argument),
      status,
    };
    this.#sessions.row(row, place);
    return true;
  }

  end(): void {
    this.#sessions.end();
  }
}
