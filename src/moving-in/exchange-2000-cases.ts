// What an SMTP virtual server of Exchange 2000, 2003 or IIS answers by its own settings: the cases of an import.
//
// Worked out with the old server's arithmetic, of what was imported: an entry that was left out holds nobody. Nothing here
// looks at a policy.

import { formatIp, type Ip, parseIp } from '../policy/ip.ts';
import { type Address, holds, rangeOf, samples } from './addresses.ts';
import type { SaidServer } from './exchange-2000.ts';
import type { Given, Imported, WrittenCase } from './imported.ts';
import type { Lists } from './lists.ts';
import type { SaidList } from './said-lists.ts';

const MOST_ENTRIES = 40; // of a list that get cases
const STRANGER = parseIp('203.0.113.7') as Ip;
const FOREIGN = 'x@foreign.example';

interface Who {
  readonly ip: Ip;
  readonly names?: readonly string[];
  readonly login?: string;
}

export function casesOf(said: SaidServer, lists: Lists, domains: readonly string[], given: Given): Imported['cases'] {
  return new Cases(said, lists, given).groups(domains);
}

class Cases {
  readonly #said: SaidServer;
  readonly #lists: Lists;
  readonly #inside: readonly Address[];

  constructor(said: SaidServer, lists: Lists, given: Given) {
    this.#said = said;
    this.#lists = lists;
    this.#inside = given.inside.map(rangeOf);
  }

  groups(domains: readonly string[]): Imported['cases'] {
    const { server, connection, relay } = this.#said;
    const probes = (list: readonly Address[]) => [...new Set(list.slice(0, MOST_ENTRIES).flatMap(samples))];
    const users = [...(server.relayUsers ?? []), ...(server.submitUsers ?? [])].map(({ text }) => text);
    const denied = this.#lists.globalDeny.map(({ address }) => address);
    const accepted = this.#lists.globalAccept.map(({ address }) => address);
    const to = (recipient: string) => (who: Who) => this.#case(who, recipient, recipient !== FOREIGN);
    const own = domains[0] === undefined ? FOREIGN : `user@${instanceOf(domains[0])}`;
    const title = (what: string) => `virtual server ${server.name}: ${what}`;
    return [
      {
        heading: title('domains that are delivered here, or that everyone may reach'),
        cases: domains.map((domain) => to(`user@${instanceOf(domain)}`)({ ip: STRANGER })),
      },
      {
        heading: title('a stranger, with and without a login'),
        cases: [
          to(FOREIGN)({ ip: STRANGER }),
          to(FOREIGN)({ ip: STRANGER, login: 'CORP\\someone' }),
          ...(this.#said.kerberos ? [to(FOREIGN)({ ip: STRANGER, login: '?' })] : []),
        ],
      },
      {
        heading: title('who may connect'),
        cases: probes([...(connection?.addresses ?? []), ...denied, ...accepted]).map((ip) => to(own)({ ip })),
      },
      {
        heading: title('names that may or may not connect'),
        cases: namesIn(connection).map((names) => to(own)({ ip: STRANGER, names })),
      },
      {
        heading: title('the relay list, and those beside it'),
        cases: probes(relay?.addresses ?? []).flatMap((ip) => [
          to(FOREIGN)({ ip }),
          to(FOREIGN)({ ip, login: 'CORP\\someone' }),
        ]),
      },
      {
        heading: title('names on the relay list'),
        cases: namesIn(relay).map((names) => to(FOREIGN)({ ip: STRANGER, names })),
      },
      {
        heading: title('those inside'),
        cases: this.#said.except === 'inside' ? probes(this.#inside).map((ip) => to(FOREIGN)({ ip })) : [],
      },
      {
        heading: title('users'),
        cases: [...new Set(users)].flatMap((login) => [
          to(FOREIGN)({ ip: STRANGER, login }),
          to(own)({ ip: STRANGER, login }),
        ]),
      },
    ];
  }

  #case(who: Who, recipient: string, isKnown: boolean): WrittenCase {
    const [binding] = this.#said.server.bindings;
    const local = binding === undefined ? '' : `local=${binding.replace(/^\*/, '192.0.2.25')}`;
    const words = [
      formatIp(who.ip),
      this.#said.server.requireTls ? 'tls' : '',
      local,
      who.login && `login=${who.login}`,
      ...(who.names ?? []).map((name) => `ptr=${name}`),
    ];
    return { expected: this.#answer(who, isKnown), asked: `${words.filter((word) => word).join(' ')} -> ${recipient}` };
  }

  #answer({ ip, names = [], login }: Who, isKnown: boolean): string {
    const { server } = this.#said;
    const isAccepted = this.#isGloballyAccepted(ip);
    if (!isAccepted && this.#lists.globalDeny.some(({ address }) => holds(address, ip))) return 'refuse-connection';
    const onControl = isIn(this.#said.connection, ip, names);
    const control = server.connection?.mode;
    const isRestricted = this.#said.connectors.some(({ name }) => String(name).endsWith('-list'));
    if (control !== undefined && !isRestricted && onControl !== (control === 'only')) return 'refuse-connection';
    const needsLogin = server.anonymous === false || (isRestricted && !onControl);
    if (needsLogin && login === undefined) return 'refuse-sender';
    if (server.submitUsers !== null && !isUser(server.submitUsers, login)) return 'refuse-sender';
    if (isKnown) return 'proceed';
    return !isAccepted && this.#mayRelay(ip, names, login) ? 'proceed' : 'reject';
  }

  /** Here it only lets past a denial, and such a host relays nothing. */
  #isGloballyAccepted(ip: Ip): boolean {
    const { globalAccept, globalDeny } = this.#lists;
    const isDenied = globalDeny.some(({ address }) => holds(address, ip));
    return isDenied && globalAccept.some(({ address }) => holds(address, ip));
  }

  #mayRelay(ip: Ip, names: readonly string[], login: string | undefined): boolean {
    const { server, relay, except, kerberos } = this.#said;
    if (login !== undefined && server.relayForLogins === true && (login !== '?' || kerberos)) return true;
    if (server.relayUsers !== null && isUser(server.relayUsers, login)) return true;
    if (server.relay === null || server.relay === 'unknown') return false;
    const isListed = isIn(relay, ip, names);
    if (server.relay !== 'open' && server.relay.mode === 'only') return isListed;
    const mayAtAll = except === 'everyone' || (except === 'inside' && this.#inside.some((range) => holds(range, ip)));
    return mayAtAll && !isListed;
  }
}

function isIn(list: SaidList | null, ip: Ip, names: readonly string[]): boolean {
  return (list?.addresses ?? []).some((address) => holds(address, ip, names));
}

function isUser(users: readonly { readonly text: string }[], login: string | undefined): boolean {
  return users.some(({ text }) => text.toLowerCase() === login?.toLowerCase());
}

/** Names that a list holds, and one beside each. */
function namesIn(list: SaidList | null): string[][] {
  const names = (list?.addresses ?? []).flatMap((address) => ('name' in address ? [address.name] : []));
  return names
    .slice(0, MOST_ENTRIES)
    .flatMap((name) => [[instanceOf(name)], [name.replace(/^\*\./, '')], [`not${name.replace(/^\*\./, '')}`]]);
}

function instanceOf(pattern: string): string {
  return pattern.replace(/^\*\./, 'sub.');
}
