// Accepted domains of Exchange: what the server behind takes, and what it passes on for everyone.
//
// `*.d` is d and everything below it there as here. A star alone, or over a whole top-level domain, would be a relay for the
// world: it is left out and told.

import { parseDomainPattern } from '../policy/domains.ts';
import { enumOf, flagOf, textOf } from './exchange-values.ts';
import { type Exported, fieldOf, isExported, type Value } from './exported.ts';
import { type Given, Noted, type Report, type Written } from './imported.ts';

export interface ImportedDomains {
  readonly accepted: readonly Written[];
  readonly relay: readonly Written[];
  /** An address of ours, for the cases; null: there is none. */
  readonly example: string | null;
}

/** AcceptedDomainType; InternalRelay is 2 in a real export. */
const TYPES = ['Authoritative', 'ExternalRelay', 'InternalRelay'];

export function importDomains(domains: readonly Exported[], given: Given, report: Report): ImportedDomains {
  const accepted = new Map<string, Written>();
  const relay = new Map<string, Written>();
  for (const object of domains) {
    const field = fieldOf(object, 'DomainName');
    const name = field === null ? null : nameOf(field.value);
    const type = enumOf(fieldOf(object, 'DomainType')?.value ?? null, TYPES);
    if (field === null || name === null || type === null) {
      report.fault(
        field ?? object,
        `an accepted domain needs DomainName and DomainType (${TYPES.join(', ')}): is it cut off?`,
      );
      continue;
    }
    const setting = `AcceptedDomain, ${type}`;
    const wrong = parseDomainPattern(name);
    if (name === '*' || /^\*\.[^.]+$/.test(name)) {
      const why = 'everybody might have mail for all of these passed on: left out; name the domains that are yours';
      report.loud(field, setting, name, 'stricter', '', why);
    } else if (typeof wrong === 'string') report.cannotBeSaid(field, setting, name, wrong);
    else {
      const key = type === 'ExternalRelay' ? 'relay_domains' : 'accepted_domains';
      if (type === 'ExternalRelay') relay.set(name.toLowerCase(), name);
      else accepted.set(name.toLowerCase(), type === 'InternalRelay' ? new Noted(name, 'internal relay') : name);
      report.exact(field, setting, name, key);
      if (flagOf(fieldOf(object, 'MatchSubDomains')?.value ?? null) === true && !name.startsWith('*.')) {
        const why = `without what is below it: write '*.${name}' if it is yours`;
        report.stricter(field, 'MatchSubDomains', name, key, why);
      }
    }
  }
  for (const name of given.acceptedDomains) accepted.set(name.toLowerCase(), name);
  const first = [...accepted.keys()][0];
  return {
    accepted: [...accepted.values()],
    relay: [...relay.values()].filter((name) => !accepted.has(String(name).toLowerCase())),
    example: first === undefined ? null : `user@${first.replace(/^\*\./, '')}`,
  };
}

function nameOf(value: Value): string | null {
  const name = textOf(value);
  if (name === null || !isExported(value) || name.startsWith('*')) return name;
  if (flagOf(fieldOf(value, 'IsStar')?.value ?? null) === true) return '*';
  return flagOf(fieldOf(value, 'IncludeSubDomains')?.value ?? null) === true ? `*.${name}` : name;
}
