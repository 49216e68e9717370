// Lists as text, for what an export does not hold: pasted from a dialog, printed by a script, or typed.
//
// One entry a line under a heading that says which list it is, `[relay: only the list below]`; what ExIPSec and Ipsec.vbs
// call GrantByDefault, IPGrant and so on is understood too. A line that cannot be read is a fault: people can mend it.

import { nearest } from '../config/suggest.ts';
import { parseDomainPattern } from '../policy/domains.ts';
import type { Place } from '../policy/problem.ts';
import { type Entry, parseEntry } from './addresses.ts';
import type { Report } from './imported.ts';
import { type InputFile, unfinished } from './input-file.ts';

export interface Line {
  readonly text: string;
  readonly where: Place;
}

/** `Only the list below` or `All except the list below`. */
export interface AccessList {
  readonly mode: 'only' | 'except';
  readonly entries: Entry[];
  readonly where: Place;
}

/** Of one virtual server, or of the Internet Mail Service. */
export interface ServerLists {
  connection?: AccessList;
  relay?: AccessList;
  relayForLogins?: { readonly value: boolean; readonly where: Place };
  anonymous?: { readonly value: boolean; readonly where: Place };
  /** Without a login only from the connection list, with one from anywhere. */
  restricted?: { readonly value: boolean; readonly where: Place };
  relayUsers?: Line[];
  submitUsers?: Line[];
  bindings?: Line[];
}

export class Lists {
  readonly acceptedDomains: Line[] = [];
  readonly relayDomains: Line[] = [];
  readonly routing: Line[] = [];
  readonly windowsDomains = new Map<string, Line>();
  readonly loginSenders = new Map<string, { senders: string[]; where: Place }>();
  ownDomains: { readonly value: 'authenticated' | 'deny'; readonly where: Place } | null = null;
  readonly globalAccept: Entry[] = [];
  readonly globalDeny: Entry[] = [];
  /** By the name in `[virtual server NAME]`; '' stands before any such heading. */
  readonly servers = new Map<string, ServerLists>();

  server(name: string): ServerLists {
    const known = this.servers.get(name) ?? {};
    this.servers.set(name, known);
    return known;
  }
}

export const HEADINGS = [
  'accepted domains',
  'relay domains',
  'routing table',
  'virtual server NAME',
  'bindings',
  'connection: only the list below',
  'connection: all except the list below',
  'relay: only the list below',
  'relay: all except the list below',
  'relay for logins: on',
  'relay users',
  'submit users',
  'anonymous: off',
  'anonymous only from the connection list: on',
  'global accept list',
  'global deny list',
  'windows domains',
  'login must match',
  'own domains: authenticated',
] as const;

const HEADING = /^\s*\[([^\]]+)\]\s*$/;
const EXIPSEC = /^\s*(GrantByDefault|IPGrant|IPDeny|DomainGrant|DomainDeny)\b\s*[:=]?\s*(.*)$/i;
const DIALOG = /^\s*(only|all except) the list below\s*:?\s*$/i;
const WHICH = /^\s*.*\b(computer\(s\) that may relay|relay restrictions|GetRelayIpList)\b.*$/i;
const WHICH_CONNECTION = /^\s*.*\b(connection control|GetIpSecurityList)\b.*$/i;

export function looksLikeLists({ text }: InputFile): boolean {
  const lines = text.split(/\r\n|\n|\r/).filter((line) => line.trim() !== '' && !/^\s*[#;]/.test(line));
  const [first = ''] = lines;
  const heading = HEADING.exec(first)?.[1];
  if (heading !== undefined) return /^[a-z]/i.test(heading) && !/[\\{}"]/.test(heading); // no registry, no JSON
  return (
    lines.some((line) => EXIPSEC.test(line) || DIALOG.test(line)) ||
    (lines.length > 0 && lines.every((line) => typeof parseEntry(line) !== 'string'))
  );
}

/** `as`: which list it is where no heading says so. */
export function readLists(file: InputFile, into: Lists, as: 'relay' | null, report: Report): void {
  const cut = unfinished(file);
  if (cut !== null) report.fault(cut, cut.message);
  new Reader(file, into, report).read(as);
}

type Take = (line: Line) => void;

class Reader {
  readonly #file: InputFile;
  readonly #lists: Lists;
  readonly #report: Report;
  #server: ServerLists;
  #take: Take | null = null;
  /** Of GrantByDefault and the like. */
  #which: 'relay' | 'connection' | null = null;

  constructor(file: InputFile, lists: Lists, report: Report) {
    this.#file = file;
    this.#lists = lists;
    this.#report = report;
    this.#server = lists.server('');
  }

  read(as: 'relay' | null): void {
    this.#which = as;
    if (as !== null) this.#take = this.#access(as, 'only', this.#file.place());
    for (const { text, offset } of this.#file.lines()) {
      // A # with a word behind it is none: that is how a routing table writes an exact domain.
      const content = text.replace(/(^|\s)[#;](\s.*)?$/, '').trim();
      const where = this.#file.place(offset + text.search(/\S|$/));
      const heading = HEADING.exec(content)?.[1];
      if (content === '' || /^[=_-]{3,}$/.test(content)) continue;
      if (heading !== undefined) this.#take = this.#section(heading.trim().replace(/\s+/g, ' '), where);
      else if (!this.#script(content, where)) this.#entry({ text: content, where });
    }
  }

  /** Words under no heading are a script's banner: only what may be an entry has to be one of a list. */
  #entry(line: Line): void {
    if (this.#take !== null) this.#take(line);
    else if (/[0-9.@\\]/.test(line.text)) {
      this.#report.fault(
        line.where,
        `'${line.text}' stands under no heading, so that nobody knows which list it is of: a line [relay: only the list below] or another heading is wanted above it (docs/moving-in.md has them all)`,
      );
      this.#take = () => {}; // once is enough
    }
  }

  /** What ExIPSec's properties and the scripts around them print. */
  #script(text: string, where: Place): boolean {
    if (/^Replacing Re[p]?layIpList/i.test(text))
      this.#take = () => {}; // its dialog, behind what it printed
    else if (WHICH.test(text)) this.#which = 'relay';
    else if (WHICH_CONNECTION.test(text)) this.#which = 'connection';
    else if (/^\*?(nil|none|empty)\*?$/i.test(text)) return true;
    else if (DIALOG.test(text))
      this.#take = this.#access(this.#listMeant(where), /^\s*only/i.test(text) ? 'only' : 'except', where);
    else return this.#property(text, where);
    return true;
  }

  #property(text: string, where: Place): boolean {
    const [, name = '', rest = ''] = EXIPSEC.exec(text) ?? [];
    if (name === '') return false;
    if (name.toLowerCase() === 'grantbydefault') {
      const grants = /^(1|-1|true|wahr|vrai|verdadero)$/i.test(rest)
        ? true
        : /^(0|false|falsch|faux|falso)$/i.test(rest)
          ? false
          : null;
      if (grants === null)
        this.#report.fault(
          where,
          `GrantByDefault is '${rest}': 0 (only the list) or 1 (all except the list) is wanted`,
        );
      else this.#take = this.#access(this.#listMeant(where), grants ? 'except' : 'only', where);
      return true;
    }
    const list = this.#server[this.#listMeant(where)];
    if (list === undefined) {
      this.#report.fault(
        where,
        `${name} without GrantByDefault before it: whether the list grants or denies is not known`,
      );
      return true;
    }
    // Only the list opposite to the default is alive.
    const isLive = /grant$/i.test(name) === (list.mode === 'only');
    this.#take = isLive ? this.#entryInto(list) : () => {};
    for (const item of rest.replace(/^[{(]|[)}]$/g, '').split(/[;|]|"\s*,\s*"/)) {
      const one = item.replace(/"/g, '').trim();
      if (one !== '') this.#take({ text: one, where });
    }
    return true;
  }

  #listMeant(where: Place): 'relay' | 'connection' {
    if (this.#which === null) {
      this.#report.fault(
        where,
        'is this the relay list or the list of connection control? a line [relay: …] or [connection: …] is wanted above it',
      );
      this.#which = 'relay';
    }
    return this.#which;
  }

  #section(heading: string, where: Place): Take {
    const [name = '', ...rest] = heading.toLowerCase().split(/\s*:\s*/);
    const value = rest.join(':');
    const flag = (): { value: boolean; where: Place } => {
      if (value !== 'on' && value !== 'off') this.#report.fault(where, `[${heading}]: on or off is wanted`);
      return { value: value === 'on', where };
    };
    const lists = this.#lists;
    if (name.startsWith('virtual server ')) {
      this.#server = lists.server(heading.slice('virtual server '.length).trim());
      return (line) => this.#nothingHere(line, heading);
    }
    switch (name) {
      case 'accepted domains':
        return this.#domainInto(lists.acceptedDomains);
      case 'relay domains':
        return this.#domainInto(lists.relayDomains);
      case 'routing table':
        return (line) => lists.routing.push(line);
      case 'connection':
      case 'relay': {
        const mode = /^only/.test(value) ? 'only' : /^all except/.test(value) ? 'except' : null;
        if (mode === null)
          this.#report.fault(
            where,
            `[${heading}]: [${name}: only the list below] or [${name}: all except the list below] is wanted`,
          );
        this.#which = name;
        return this.#access(name, mode ?? 'only', where);
      }
      case 'bindings':
        this.#server.bindings ??= [];
        return into(this.#server.bindings);
      case 'relay users':
        this.#server.relayUsers ??= [];
        return into(this.#server.relayUsers);
      case 'submit users':
        this.#server.submitUsers ??= [];
        return into(this.#server.submitUsers);
      case 'relay for logins':
        this.#server.relayForLogins = flag();
        break;
      case 'anonymous':
        this.#server.anonymous = flag();
        break;
      case 'anonymous only from the connection list':
        this.#server.restricted = flag();
        break;
      case 'global accept list':
        return this.#addressInto(lists.globalAccept);
      case 'global deny list':
        return this.#addressInto(lists.globalDeny);
      case 'windows domains':
        return (line) =>
          this.#pair(line, (windows, mail) => lists.windowsDomains.set(windows, { text: mail, where: line.where }));
      case 'login must match':
        return (line) =>
          this.#pair(line, (login, senders) =>
            lists.loginSenders.set(login, { senders: senders.split(/\s*,\s*|\s+/), where: line.where }),
          );
      case 'own domains':
        if (value === 'authenticated' || value === 'deny') lists.ownDomains = { value, where };
        else this.#report.fault(where, `[${heading}]: [own domains: authenticated] or [own domains: deny] is wanted`);
        break;
      default: {
        const meant = nearest(heading.toLowerCase(), HEADINGS);
        this.#report.fault(
          where,
          `[${heading}] is no heading: ${meant === null ? `${HEADINGS.join(', ')} are known` : `did you mean [${meant}]?`}`,
        );
        return () => {};
      }
    }
    return (line) => this.#nothingHere(line, heading);
  }

  #nothingHere({ text, where }: Line, heading: string): void {
    this.#report.fault(where, `'${text}': nothing is listed under [${heading}]`);
  }

  #pair({ text, where }: Line, take: (first: string, second: string) => void): void {
    const [, first = '', second = ''] = /^(\S+)\s*[=:\s]\s*(\S.*)$/.exec(text) ?? [];
    if (second === '') this.#report.fault(where, `'${text}': two words are wanted`);
    else take(first, second);
  }

  #access(name: 'relay' | 'connection', mode: AccessList['mode'], where: Place): Take {
    const there = this.#server[name];
    if (there !== undefined && there.mode !== mode)
      this.#report.fault(
        where,
        `the ${name} list is the other kind already, in ${there.where.file}:${there.where.line}`,
      );
    const list = there ?? { mode, entries: [], where };
    this.#server[name] = list;
    return this.#entryInto(list);
  }

  #entryInto({ entries }: AccessList): Take {
    return this.#addressInto(entries);
  }

  #addressInto(entries: Entry[]): Take {
    return ({ text, where }) => {
      const address = parseEntry(text.replace(/^"(.*)"$/, '$1'));
      if (typeof address === 'string') this.#report.fault(where, address);
      else entries.push({ address, written: text, where });
    };
  }

  #domainInto(domains: Line[]): Take {
    return ({ text, where }) => {
      const pattern = parseDomainPattern(text);
      if (typeof pattern === 'string') this.#report.fault(where, pattern);
      else domains.push({ text, where });
    };
  }
}

function into(lines: Line[]): Take {
  return (line) => lines.push(line);
}
