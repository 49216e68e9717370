// The receive log of Exchange 2007 and later: SMTP Receive Protocol Log, one line an event, one file a day.
//
// Sessions that run at the same time stand mixed. Fields are quoted only where they must be. A reply of several lines is one
// line, its keywords separated by blanks. The rights of a session stand in it, and again behind a login. What a client says to log in
// is not written down.

import type { Caller, Journal } from './house.ts';

const HEADER = [
  '#Software: Microsoft Exchange Server',
  '#Version: 14.0.0.0',
  '#Log-type: SMTP Receive Protocol Log',
] as const;
const FIELDS =
  '#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context';

/** What the connector of a session is called, and what the session may do. */
export type SessionFacts = (caller: Caller) => { readonly connector: string; readonly rights: readonly string[] };

export class ReceiveLog implements Journal {
  readonly #now: () => Date;
  readonly #factsOf: SessionFacts;
  readonly #files = new Map<string, string[]>();
  readonly #sequences = new Map<number, number>();
  #restartedAt: number;

  /** `restartAt`: the service was restarted then, and wrote its header again. */
  constructor(now: () => Date, factsOf: SessionFacts, restartAt: number) {
    this.#now = now;
    this.#factsOf = factsOf;
    this.#restartedAt = restartAt;
  }

  /** By name: RECV20261130-1.LOG. */
  get files(): ReadonlyMap<string, string> {
    return new Map([...this.#files].map(([name, lines]) => [name, `${lines.join('\r\n')}\r\n`]));
  }

  came(caller: Caller): void {
    this.#line(caller, '+');
    this.#rights(caller);
  }

  said(caller: Caller, line: string): void {
    this.#line(caller, '<', line.replace(/^(AUTH \S+) .*/i, '$1'));
    if (/^MAIL\b/i.test(line))
      this.#line(caller, '*', `${idOf(caller)};${this.#now().toISOString()};1`, 'receiving message');
  }

  answered(caller: Caller, reply: string): void {
    const [first = '', ...others] = reply.split('\r\n');
    const text = [first, ...others.map((line) => line.slice(4))].join(' ');
    this.#line(caller, '>', /^334 /.test(text) ? '334 <authentication response>' : text);
  }

  loggedIn(caller: Caller): void {
    this.#line(caller, '*', caller.login ?? '', 'authenticated');
    this.#rights(caller);
  }

  left(caller: Caller): void {
    this.#line(caller, '-', '', 'Remote');
    this.#sequences.delete(caller.session);
  }

  #rights(caller: Caller): void {
    this.#line(caller, '*', this.#factsOf(caller).rights.join(' '), 'Set Session Permissions');
  }

  #line(caller: Caller, event: string, data = '', context = ''): void {
    const now = this.#now();
    const time = now.toISOString();
    const name = `RECV${time.slice(0, 10).replaceAll('-', '')}-1.LOG`;
    const lines = this.#files.get(name) ?? [];
    const restarted = now.getTime() >= this.#restartedAt;
    if (lines.length === 0 || restarted) lines.push(...HEADER, `#Date: ${time}`, FIELDS);
    if (restarted) this.#restartedAt = Number.POSITIVE_INFINITY;
    this.#files.set(name, lines);
    const sequence = this.#sequences.get(caller.session) ?? 0;
    this.#sequences.set(caller.session, sequence + 1);
    const local = `${caller.localAddress}:${caller.localPort}`;
    const remote = `${caller.address}:${caller.port}`;
    const { connector } = this.#factsOf(caller);
    lines.push([time, connector, idOf(caller), sequence, local, remote, event, data, context].map(cell).join(','));
  }
}

function idOf({ session }: Caller): string {
  return `08D0${session.toString(16).toUpperCase().padStart(12, '0')}`;
}

function cell(value: string | number): string {
  const text = String(value);
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
