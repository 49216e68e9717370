// Lint of `senders.own_address`: required, where it holds fewer logins than it seems to, or leaves nobody anything to send as.

import { foldAscii } from '../smtp/bytes.ts';
import type { UserNames } from './accounts.ts';
import type { ConnectorDocument, PolicyDocument } from './document.ts';
import type { Domains } from './judge.ts';
import type { Notes } from './lists.ts';
import type { Path } from './problem.ts';
import { toOctets } from './spellings.ts';
import { STEP, type Steps } from './steps.ts';

export function* lintOwnAddress(
  { senders, auth, submit, rules }: ConnectorDocument,
  connectorPath: Path,
  { groups, user_domains }: PolicyDocument,
  users: UserNames,
  notes: Notes,
): Steps<void> {
  if (senders.own_address !== 'required') return;
  const path = [...connectorPath, 'senders', 'own_address'];
  const rest =
    senders.others === 'allow'
      ? 'sends as it likes, since others is allow'
      : 'sends as what login_must_match lists for it, or not at all';
  if (auth === 'hide') notes.warn(path, 'required, and nobody logs in here (auth: hide)');
  if (Object.keys(user_domains).length === 0) {
    notes.warn(
      path,
      `required, and without user_domains no address is known: every login ${rest}; user_domains: { CORP: example.com } says that CORP\\steven is steven@example.com, and { example.com: example.com } that steven@example.com is`,
    );
    return;
  }
  const named: string[][] = [...Object.values(groups).map((members) => [...members])];
  if (typeof submit === 'object') named.push([...(submit.users ?? [])]);
  for (const { allow } of rules) named.push([...(allow?.users ?? [])]);
  const listed = new Set(Object.keys(senders.login_must_match).map((user) => users.keyOfWritten(user)));
  let looked = 0;
  for (const list of named)
    for (const name of list) {
      if (++looked % STEP === 0) yield;
      if (users.addressOf({ mechanism: '', name }) !== null || listed.has(users.keyOfWritten(name))) continue;
      notes.warn(path, `required, and user_domains does not tell the address of '${name}': such a login ${rest}`);
      return;
    }
  if (senders.others === 'allow')
    notes.note(path, `a login whose address user_domains does not tell ${rest}: others: deny refuses it`);
}

/** Once, for all connectors: who has to send as an address of a domain that is not ours will hardly have that one. */
export function lintOwnDomains({ user_domains, connectors }: PolicyDocument, { known }: Domains, notes: Notes): void {
  if (connectors.every(({ senders }) => senders.own_address !== 'required')) return;
  for (const [windows, mail] of Object.entries(user_domains))
    if (known.find(foldAscii(toOctets(mail))) !== 'accepted')
      notes.warn(
        ['user_domains', windows],
        `logins of ${windows} have to send as …@${mail} (own_address: required), and no such domain is accepted`,
      );
}
