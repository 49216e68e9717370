// The log that the SMTP service of Windows writes about its sessions: W3C Extended, one file a day.
//
// One row a command, with its status; a message is one row. Blanks are plus signs, `-` is nothing, QUIT has status 240, the HELO name
// stands where a user's would. Which columns there are is a setting, and it was changed on the way: until then there is no date
// in a row, and behind it a second #Fields line stands in the middle of a file. What the service itself delivers to others stands in
// the same file. Logins are in no column.

import type { Caller, Journal } from './house.ts';

const FEW = 'time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-query sc-status';
const ALL =
  'date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)';

interface Row {
  readonly address: string;
  readonly who: string;
  readonly site: string;
  readonly method: string;
  readonly query: string;
  readonly status: string;
  readonly octets: number;
}

const NEXT_HOP = '198.51.100.200';

export class SmtpsvcLog implements Journal {
  readonly #now: () => Date;
  readonly #allFrom: number;
  readonly #siteOf: (caller: Caller) => string;
  readonly #files = new Map<string, string[]>();
  readonly #asked = new Map<number, string>(); // by session, the command that has no answer
  #fields = '';
  #messages = 0;

  /** `allFrom`: when an administrator ticked all columns, in milliseconds. */
  constructor(now: () => Date, allFrom: number, siteOf: (caller: Caller) => string) {
    this.#now = now;
    this.#allFrom = allFrom;
    this.#siteOf = siteOf;
  }

  /** By name: ex261130.log. */
  get files(): ReadonlyMap<string, string> {
    return new Map([...this.#files].map(([name, lines]) => [name, `${lines.join('\r\n')}\r\n`]));
  }

  came(): void {}

  loggedIn(): void {}

  said({ session }: Caller, line: string): void {
    if (!/^(AUTH|X-EXPS)\b/i.test(line)) this.#asked.set(session, line);
  }

  answered(caller: Caller, reply: string): void {
    const line = this.#asked.get(caller.session);
    const status = reply.slice(0, 3);
    if (line === undefined || status === '354') return; // a message is logged when it is there
    this.#asked.delete(caller.session);
    const [, verb = '', argument = ''] = /^(\S*) *(.*?) *$/s.exec(line) ?? [];
    const method = verb === '' ? '-' : verb;
    const isQuit = /^quit$/i.test(verb);
    const isData = /^data$/i.test(verb);
    const query = isData ? `+<${++this.#messages}@${caller.heloName}>` : isQuit ? caller.heloName : plussed(argument);
    const who = caller.heloName === '' ? '-' : caller.heloName;
    const site = this.#siteOf(caller);
    this.#row({
      ...{ address: caller.address, who, site, method, query: query === '' ? '-' : query },
      ...{ status: isQuit ? '240' : status, octets: reply.length },
    });
    if (isData && status === '250') this.#handedOn();
  }

  left({ session }: Caller): void {
    this.#asked.delete(session);
  }

  /** Its own delivery of the message, in the same file. */
  #handedOn(): void {
    const to = (who: string, method: string, query: string, status: string): void =>
      this.#row({ address: NEXT_HOP, who, site: 'SMTPSVC1', method, query, status, octets: 0 });
    to('OutboundConnectionResponse', '-', '220+mx.example.net+ESMTP', '0');
    to('OutboundConnectionCommand', 'EHLO', 'mail.example.com', '0');
    to('OutboundConnectionCommand', 'QUIT', '-', '0');
  }

  #row({ address, who, site, method, query, status, octets }: Row): void {
    const now = this.#now();
    const [date = '', rest = ''] = now.toISOString().split('T');
    const time = rest.slice(0, 8);
    const name = `ex${date.slice(2).replaceAll('-', '')}.log`;
    const fields = now.getTime() < this.#allFrom ? FEW : ALL;
    const lines = this.#files.get(name) ?? [];
    if (lines.length === 0 || fields !== this.#fields)
      lines.push(
        '#Software: Microsoft Internet Information Services 6.0',
        '#Version: 1.0',
        `#Date: ${date} ${time}`,
        `#Fields: ${fields}`,
      );
    this.#fields = fields;
    this.#files.set(name, lines);
    const few = [address, who, site, 'MAIL01', '10.0.0.10', '0', method];
    if (fields === FEW) lines.push([time, ...few, query, status].join(' '));
    else lines.push([date, time, ...few, '-', query, status, '0', octets, 0, 0, 'SMTP', '-', '-', '-', '-'].join(' '));
  }
}

/** `FROM:<a@b> SIZE=1` is `+FROM:<a@b>+SIZE=1`. */
function plussed(argument: string): string {
  return argument === '' ? '' : `+${argument.replaceAll(' ', '+')}`;
}
