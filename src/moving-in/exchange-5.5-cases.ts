// What an Exchange 5.5 Internet Mail Service answers by its own settings: the cases of an import.
//
// KB Q193922, and nothing of ours: it is worked out with the old server's arithmetic, of what was imported. An entry that was
// left out holds nobody. Nothing here looks at a policy.

import { formatIp, type Ip, parseIp } from '../policy/ip.ts';
import { type Address, holds, rangeOf, samples } from './addresses.ts';
import { FLAGS } from './exchange-5.5-settings.ts';
import type { Given, Imported, WrittenCase } from './imported.ts';
import type { AccessList } from './lists.ts';
import { type Row, rowFor } from './routing-table.ts';

export interface SaidService {
  readonly flags: number;
  /** It relays for everyone whom NEVER does not hold. */
  readonly isOpen: boolean;
  readonly never: readonly Address[];
  readonly clients: readonly Address[];
  readonly internal: readonly Address[];
  readonly rows: readonly Row[];
  /** Rows that could not be cut out of others: refused for everyone here. */
  readonly blocked: readonly string[];
  /** Of the Connections tab. */
  readonly connection: AccessList | null;
}

const MOST_ENTRIES = 40; // of a list that get cases
const STRANGER = parseIp('203.0.113.7') as Ip;

/** `domains`: those that pass for everyone. */
export function casesOf(said: SaidService, domains: readonly string[], given: Given): Imported['cases'] {
  return new Cases(said, given).groups(domains);
}

class Cases {
  readonly #said: SaidService;
  readonly #inside: readonly Address[];
  readonly #keepOpen: boolean;

  constructor(said: SaidService, given: Given) {
    this.#said = said;
    this.#inside = given.inside.map(rangeOf);
    this.#keepOpen = given.keepOpen;
  }

  groups(domains: readonly string[]): Imported['cases'] {
    const { never, clients, internal, rows } = this.#said;
    const local = internal.flatMap((one) => ('net' in one ? [one.net] : []));
    const behind = this.#inside.flatMap(samples);
    return [
      {
        heading: 'domains that are delivered here, and those that everyone may reach',
        cases: domains.map((domain) => this.#to(`user@${instanceOf(domain)}`, true)),
      },
      {
        heading: 'a stranger, with and without a login',
        cases: [this.#foreign(STRANGER), this.#foreign(STRANGER, 'CORP\\alice')],
      },
      {
        heading: 'NEVER, with and without a login',
        cases: probes(never).flatMap((ip) => [this.#foreign(ip), this.#foreign(ip, 'CORP\\alice')]),
      },
      {
        heading: 'these client addresses, and those beside them',
        cases: probes(clients).map((ip) => this.#foreign(ip)),
      },
      {
        heading: 'internal addresses',
        cases: local.flatMap((own) => behind.filter((ip) => ip !== own).map((ip) => this.#foreign(ip, '', own))),
      },
      { heading: 'rows of the routing table', cases: rows.map((row) => this.#row(row)) },
    ];
  }

  #foreign(ip: Ip, login = '', local: Ip | null = null): WrittenCase {
    const words = [formatIp(ip), login && `login=${login}`, local === null ? '' : `local=${formatIp(local)}`];
    const may = this.#mayRelay(ip, login !== '', local) ? 'proceed' : 'reject';
    return {
      expected: this.#mayConnect(ip) ? may : 'refuse-connection',
      asked: `${words.filter((word) => word !== '').join(' ')} -> x@foreign.example`,
    };
  }

  #to(recipient: string, passes: boolean): WrittenCase {
    const may = passes || this.#mayRelay(STRANGER, false, null) ? 'proceed' : 'reject';
    return {
      expected: this.#mayConnect(STRANGER) ? may : 'refuse-connection',
      asked: `${formatIp(STRANGER)} -> ${recipient}`,
    };
  }

  #row({ pattern, where, goes }: Row): WrittenCase {
    const domain = instanceOf(pattern);
    const isBlocked = goes === 'on' && this.#said.blocked.includes(pattern);
    const row = rowFor(this.#said.rows, domain);
    const asked = this.#to(`user@${domain}`, row !== null && row.goes !== 'on');
    return {
      ...asked,
      expected: isBlocked && asked.expected === 'proceed' ? 'reject' : asked.expected,
      comment: `line ${where.line}`,
    };
  }

  #mayConnect(ip: Ip): boolean {
    const { connection } = this.#said;
    if (connection === null) return true;
    return connection.entries.some(({ address }) => holds(address, ip)) === (connection.mode === 'only');
  }

  #mayRelay(ip: Ip, isLoggedIn: boolean, local: Ip | null): boolean {
    const { never, isOpen, clients, internal, flags } = this.#said;
    const isInside = isIn(this.#inside, ip);
    if (isIn(never, ip)) return false;
    if (isOpen) return this.#inside.length > 0 ? isInside : this.#keepOpen;
    if (isIn(clients, ip)) return true;
    // Whoever reached the address; here also from where.
    if (local !== null && isInside && isIn(internal, local)) return true;
    return isLoggedIn && (flags & FLAGS.logins) !== 0;
  }
}

function isIn(list: readonly Address[], ip: Ip): boolean {
  return list.some((entry) => holds(entry, ip));
}

function probes(list: readonly Address[]): Ip[] {
  return [...new Set(list.slice(0, MOST_ENTRIES).flatMap(samples))];
}

/** A domain that a pattern holds. */
function instanceOf(pattern: string): string {
  return pattern.replace(/^\*\./, 'sub.');
}
