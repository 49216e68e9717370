// One of the two policies: read from its file, with a clock and a DNS that the comparison sets.
//
// This machine's own addresses do not count, as in `test`: the answer is the same everywhere.

import { join, resolve } from 'node:path';
import type { Finding } from '../../config/finding.ts';
import { linesOf } from '../../config/list-files.ts';
import { loadAny } from '../../config/load.ts';
import type { PolicyDocument } from '../../policy/document.ts';
import { DomainTable, parseDomainPattern, patternIn } from '../../policy/domains.ts';
import type { Policy } from '../../policy/policy.ts';
import { readingsOf } from '../../policy/spellings.ts';
import type { Question } from '../../smtp/types.ts';
import { type Atoms, atomsOf, factsOf, type Given, type Side, truthsOf } from './atoms.ts';

/** What the world is to both policies while a question is put to them. */
export interface World {
  now: number;
  /** The client's confirmed names; null: DNS does not answer. */
  names: readonly string[] | null;
}

export interface Compared {
  readonly file: string;
  readonly policy: Policy;
  readonly document: PolicyDocument;
  readonly atoms: Atoms;
  /** Addresses of valid_recipients as written; empty where there is no such list. */
  readonly validRecipients: () => Iterable<string>;
  /** How a domain is known, in whatever spelling. */
  readonly knownAs: (domain: string) => string;
}

export function readCompared(file: string, world: World): Compared | readonly Finding[] {
  const {
    policy,
    document,
    config,
    findings,
    world: read,
  } = loadAny(file, {
    host: { ownAddresses: [], gateways: [] },
    now: () => world.now,
    resolve: async () => world.names,
  });
  if (policy === null || document === null) return findings;
  const guard = config?.lost_address_guard ?? 'refuse';
  const list = document.valid_recipients?.file;
  const path =
    list === undefined ? undefined : [...read.texts.keys()].find((name) => resolve(name).endsWith(join('/', list)));
  const octets = path === undefined ? undefined : read.texts.get(path);
  const validRecipients = function* (): Iterable<string> {
    if (octets === undefined || !('octets' in octets)) return;
    for (const { text } of linesOf(octets.octets, path as string)) yield text;
  };
  return { file, policy, document, atoms: atomsOf(document, guard), validRecipients, knownAs: knownIn(document) };
}

function knownIn(document: PolicyDocument): Compared['knownAs'] {
  const known = new DomainTable<string>();
  const blocked = new DomainTable();
  for (const [list, kind] of [
    [document.accepted_domains, 'a'],
    [document.relay_domains, 'r'],
  ] as const) {
    for (const text of list) {
      const pattern = parseDomainPattern(text);
      if (typeof pattern !== 'string') known.add(pattern, kind);
    }
  }
  for (const text of document.blocked_domains) {
    const pattern = parseDomainPattern(text);
    if (typeof pattern !== 'string') blocked.add(pattern, true);
  }
  return (domain) => {
    const kinds = [domain, ...readingsOf(domain)].map((one) => known.find(one) ?? '-');
    return `${patternIn(blocked, domain) === null ? '' : 'b'}${kinds[0]}${kinds.includes('a') ? 'o' : ''}`;
  };
}

/** What the atoms of one side say in either policy. */
export function truthsOfBoth(both: readonly Compared[], side: Side, given: Given, said: Partial<Question>): string {
  return both.map(({ atoms }) => truthsOf(atoms, side, factsOf(atoms.users, given, said))).join('|');
}
