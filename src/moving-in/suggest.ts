// The smallest rules that would let pass what a policy refuses and the old server accepted: for a person to accept or strike out.
//
// A rule names the very addresses that came and the very domains that they wrote to, an owner to be filled in, and an end. Nothing
// is ever proposed for `any`, or for a range. What looks like abuse is shown and not proposed, and so is what no rule can mend (a deny
// that somebody wrote, a sender that is not the login's): that is for a person to decide.

import { parseDomainPattern } from '../policy/domains.ts';
import { parseIp } from '../policy/ip.ts';
import { whyNoUser } from '../policy/names.ts';
import { isPrivate } from '../policy/spans.ts';
import type { IsAccepted } from './accepted.ts';
import type { Conduct, Example, Wish } from './replay.ts';

/** More than these of one client look like abuse. */
export const MANY_DOMAINS = 20;
const MANY_SENDER_DOMAINS = 5;
const MANY_SENDERS = 50;
const MANY_SOURCES = 20; // of one login; then the login alone is named
const DAYS = 90;

interface Counts {
  readonly recipients: number;
  readonly messages: number;
  readonly first: number | null;
  readonly last: number | null;
  readonly example: Example | null;
}

export interface ProposedRule extends Counts {
  readonly connector: string;
  readonly name: string;
  readonly sources: readonly string[];
  readonly login: string | null;
  readonly recipientDomains: readonly string[];
  readonly expires: string;
}

/** Addresses for the file of valid recipients. */
export interface ProposedRecipients extends Counts {
  readonly addresses: readonly string[];
}

/** Shown, and not proposed. */
export interface NotProposed extends Counts {
  readonly who: string;
  readonly connector: string | null;
  readonly reason: string;
  readonly why: string;
}

export interface Suggestion {
  readonly rules: readonly ProposedRule[];
  readonly recipients: ProposedRecipients | null;
  readonly abuse: readonly NotProposed[];
  readonly others: readonly NotProposed[];
}

export interface Known {
  readonly conductOf: (source: string) => Conduct;
  /** Whether an address is of ours. */
  readonly isAccepted: IsAccepted;
  /** Names of rules that are taken. */
  readonly ruleNames: ReadonlySet<string>;
  readonly now: number;
  readonly manyDomains: number;
}

export function suggestFor(wishes: readonly Wish[], known: Known): Suggestion {
  const rules = new Map<string, { wish: Wish; sources: string[]; domains: string[]; all: Wish[] }>();
  const unknown: Wish[] = [];
  const abuse: NotProposed[] = [];
  const others: NotProposed[] = [];
  for (const wish of wishes) {
    const looks = abuseIn(wish, known);
    const obstacle = obstacleIn(wish);
    if (looks !== null) abuse.push(notProposed(wish, looks));
    else if (wish.reason === 'unknown_recipient' && !wish.hides) unknown.push(wish);
    else if (obstacle !== null) others.push(notProposed(wish, obstacle));
    else {
      const domains = [...wish.domains.all].sort();
      const sources = wish.sources.hasMore || wish.sources.all.size > MANY_SOURCES ? [] : [...wish.sources.all];
      const key = JSON.stringify([wish.connector, wish.login, domains, wish.login === null ? '' : sources]);
      const alike = rules.get(key);
      if (alike === undefined) rules.set(key, { wish, sources, domains, all: [wish] });
      else {
        alike.sources.push(...sources);
        alike.all.push(wish);
      }
    }
  }
  const expires = new Date(known.now + DAYS * 86_400_000).toISOString().slice(0, 10);
  let number = 0;
  const nameOf = (): string => {
    do number += 1;
    while (known.ruleNames.has(`from-log-${number}`));
    return `from-log-${number}`;
  };
  return {
    rules: [...rules.values()].map(({ wish, sources, domains, all }) => ({
      connector: wish.connector as string,
      name: nameOf(),
      sources,
      login: wish.login,
      recipientDomains: domains,
      expires,
      ...countsOf(all),
    })),
    recipients:
      unknown.length === 0
        ? null
        : {
            addresses: [...new Set(unknown.flatMap(({ addresses }) => [...addresses.all]))].sort(),
            ...countsOf(unknown),
          },
    abuse,
    others,
  };
}

/** What looks like abuse; null: nothing does. */
function abuseIn(wish: Wish, { conductOf, isAccepted, manyDomains }: Known): string | null {
  const { domains, senders, senderDomains, sources, login } = wish;
  const signs: string[] = [];
  if (domains.all.size > manyDomains) signs.push(`${counted(domains)} recipient domains`);
  if (senderDomains.all.size > MANY_SENDER_DOMAINS) signs.push(`${counted(senderDomains)} sender domains`);
  if (senders.all.size > MANY_SENDERS) signs.push(`${counted(senders)} senders`);
  const conducts = [...sources.all].map(conductOf);
  const refused = conducts.reduce((sum, conduct) => sum + conduct.refused, 0);
  const accepted = conducts.reduce((sum, conduct) => sum + conduct.accepted, 0);
  if (refused > 0 && refused >= accepted) signs.push(`${refused} recipients refused by the old server too`);
  const isStrange = login === null && [...sources.all].some((source) => !isPrivate(source));
  if (
    isStrange &&
    isAccepted !== null &&
    ![...senders.all].some((sender) => sender.includes('@') && isAccepted(sender))
  )
    signs.push('a client from the Internet that never sent from a domain of yours');
  return signs.length === 0 ? null : signs.join(', ');
}

function counted({ all, hasMore }: Wish['domains']): string {
  return hasMore ? `more than ${all.size}` : String(all.size);
}

/** Why no rule can be proposed; null: one can. */
function obstacleIn({ connector, reason, rule, login, hides, domains, sources }: Wish): string | null {
  if (connector === null) return 'no connector answers this client: give it one';
  if (hides && (reason === 'no_rule' || reason === 'unknown_recipient'))
    return 'a second address is hidden in the one that it writes to: see the example';
  switch (reason) {
    case 'no_rule':
      break;
    case 'rule':
      return `rule '${rule}' denies it: somebody meant that`;
    case 'blocked_domain':
      return 'blocked_domains has the domain';
    case 'connection':
      return 'the connect list of the connector keeps the client out';
    case 'submit':
      return 'it may not submit: see `submit` of the connector';
    case 'sender':
      return 'it may not use this sender: see `senders` of the connector';
    case 'tls_required':
      return 'the connector asks for TLS first';
    default:
      return `no rule would let that pass (${reason.replaceAll('_', ' ')})`;
  }
  if (login !== null && whyNoUser(login) !== null) return 'its login cannot be written into a rule';
  if (domains.hasMore) return 'it writes to more domains than were kept';
  if ([...domains.all].some((domain) => typeof parseDomainPattern(domain) === 'string'))
    return 'it writes to what is no domain name: see the example';
  if (login === null && [...sources.all].some((source) => parseIp(source) === null)) return 'its source is no address';
  return null;
}

function notProposed(wish: Wish, why: string): NotProposed {
  const { login, sources, connector, reason } = wish;
  const who = login === null ? [...sources.all].join(', ') : `login ${login} from ${counted(sources)} addresses`;
  return { who, connector, reason, why, ...countsOf([wish]) };
}

function countsOf(wishes: readonly Wish[]): Counts {
  const times = (pick: (wish: Wish) => number | null): number[] => wishes.map(pick).filter((at) => at !== null);
  const firsts = times(({ first }) => first);
  const lasts = times(({ last }) => last);
  return {
    recipients: wishes.reduce((sum, wish) => sum + wish.recipients, 0),
    messages: wishes.reduce((sum, wish) => sum + wish.messages, 0),
    first: firsts.length === 0 ? null : Math.min(...firsts),
    last: lasts.length === 0 ? null : Math.max(...lasts),
    example: wishes[0]?.examples[0] ?? null,
  };
}
