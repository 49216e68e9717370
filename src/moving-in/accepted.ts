// Whether a recipient is of an accepted domain: by a policy, by --accepted-domain, or by both. What is not is relayed.

import { DomainTable, foldName, parseDomainPattern } from '../policy/domains.ts';
import type { Policy } from '../policy/policy.ts';
import { toOctets } from '../policy/spellings.ts';
import { isUtf8Text, parseForwardPath } from '../smtp/path.ts';

/** Null: no accepted domain is known, so nobody can tell. */
export type IsAccepted = ((address: string) => boolean) | null;

/** A string says what is wrong with one of `domains`. */
export function acceptedBy(policy: Policy | null, domains: readonly string[]): IsAccepted | string {
  if (policy === null && domains.length === 0) return null;
  const table = new DomainTable();
  for (const domain of domains) {
    const pattern = parseDomainPattern(domain);
    if (typeof pattern === 'string') return `--accepted-domain: ${pattern}`;
    table.add(pattern, true);
  }
  const ask = (address: string): boolean => {
    const domain = domainOf(address);
    // Without a domain it is the server's own; what hides a second address is the policy's to read.
    if (domain === '' || (!HIDES.test(address) && table.holds(foldName(toOctets(domain))))) return true;
    return policy?.isLocal(toOctets(address)) ?? false;
  };
  return remembered(ask);
}

const HIDES = /[%!"@:].*@|^imcea/i;
const REMEMBERED = 10_000;

/** By domain, where nothing but the domain matters. */
function remembered(ask: (address: string) => boolean): (address: string) => boolean {
  const known = new Map<string, boolean>();
  return (address) => {
    if (HIDES.test(address)) return ask(address);
    const domain = domainOf(address);
    const answer = known.get(domain);
    if (answer !== undefined) return answer;
    const asked = ask(address);
    if (known.size >= REMEMBERED) known.clear();
    known.set(` ${domain}`.slice(1), asked);
    return asked;
  };
}

/** Whether the policy judges more than one address in it, as in `user%foreign.example@example.com`. */
export function hidesAnother(address: string): boolean {
  if (!HIDES.test(address)) return false;
  const octets = toOctets(`<${address}>`);
  const path = parseForwardPath(octets, 0, isUtf8Text(octets));
  return 'addresses' in path && path.addresses.length > 1;
}

/** As written, in lower case; '' where there is none. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1 || address.length).toLowerCase();
}
