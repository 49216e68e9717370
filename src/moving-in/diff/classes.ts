// Candidates that no condition of either policy tells apart are one class, and one of them is asked for all.

import type { ForwardPath } from '../../smtp/path.ts';
import type { Login } from '../../smtp/types.ts';
import { NOTHING_SAID } from './atoms.ts';
import {
  type Candidate,
  heloCandidates,
  loginCandidates,
  ptrCandidates,
  recipientCandidates,
  recipientPath,
  type SaidSender,
  type Secured,
  securedCandidates,
  senderCandidates,
} from './candidates.ts';
import { type Compared, truthsOfBoth, type World } from './compared.ts';
import { type Local, placesOf, type Source } from './places.ts';
import type { Words } from './words.ts';

export interface Class<V> {
  readonly value: V;
  readonly written: string;
  /** What says the same to all connectors. */
  readonly kind: string;
  /** All that are meant, for people. */
  readonly labels: string[];
}

export interface Classes {
  readonly sources: readonly Source[];
  readonly locals: readonly Local[];
  readonly logins: readonly Class<Login | null>[];
  readonly secured: readonly Class<Secured>[];
  readonly ptrs: readonly Class<readonly string[] | null>[];
  readonly helos: readonly Class<string>[];
  readonly senders: readonly Class<SaidSender>[];
  readonly recipients: readonly Class<ForwardPath>[];
  readonly leftOut: readonly string[];
}

export async function classesOf(both: readonly Compared[], words: Words, world: World): Promise<Classes> {
  const valid = disputedRecipients(both);
  const { locals, sources, leftOut } = await placesOf(both, words, world);
  const owned = new Set(both.flatMap(({ document }) => document.connectors).flatMap(ownedSenders));
  const asksOwn = both.some(({ atoms }) => atoms.asksOwnAddress);
  const known = (domain: string | null | undefined): string =>
    typeof domain === 'string' ? both.map(({ knownAs }) => knownAs(domain)).join() : '';
  const logins = grouped(loginCandidates(words), ({ value }) => {
    const owner = both.map(({ atoms: { users, owners, ownerKeys } }) => {
      if (value?.name == null) return '';
      const key = users.keyOfWritten(value.name);
      return `${asksOwn || ownerKeys.has(key) ? key : ''}<${[...owners.whoMayBe(value)].join()}`;
    });
    return `${owner.join('|')}|${truthsOfBoth(both, 'login', {}, { login: value })}`;
  });
  const ptrs = grouped(
    ptrCandidates(words),
    ({ value }) => truthsOfBoth(both, 'ptr', { names: value }, {}) + namesKept(both, value),
  );
  const named = ptrs.filter(({ value }) => value !== null && value.length > 0);
  if (named.length > MOST_UNIONS)
    words.leftOut.add(`${named.length} kinds of names in DNS: clients with two of them at once were not asked about`);
  return {
    sources,
    locals,
    leftOut: [...words.leftOut, ...leftOut],
    logins,
    secured: grouped(securedCandidates(words), ({ value: { tls, subject } }) =>
      truthsOfBoth(both, 'tls', {}, { tls, tlsSubject: subject }),
    ),
    ptrs: [...ptrs, ...unionsOf(named)],
    helos: grouped(heloCandidates(words), ({ value }) => truthsOfBoth(both, 'helo', {}, { helo: value })),
    senders: grouped(senderCandidates(words), ({ value: { written, address }, tag }) => {
      const own = (asksOwn && tag !== '') || owned.has(tag) ? tag : '';
      const said = { sender: written, senderAddress: address };
      return `${own}|${known(address?.domain)}|${truthsOfBoth(both, 'sender', {}, said)}`;
    }),
    recipients: grouped(recipientCandidates(words, valid), ({ value }) => {
      const kinds = both.map((one) => kindOf(one, value)).join();
      return `${kinds}|${truthsOfBoth(both, 'recipient', { recipient: value.address }, {})}`;
    }),
  };
}

function grouped<V>(candidates: readonly Candidate<V>[], signature: (one: Candidate<V>) => string): Class<V>[] {
  const classes = new Map<string, Class<V>>();
  for (const one of candidates) {
    const said = signature(one);
    const key = `${TAGGED.has(one.tag) ? one.tag : ''}|${said}`;
    const known = classes.get(key);
    const { value, written, label, tag } = one;
    if (known === undefined)
      classes.set(key, { value, written, kind: `${tag}${said.split('|', 1)[0]}`, labels: [label] });
    else known.labels.push(one.label);
  }
  return [...classes.values()];
}

/** Of another kind than all others, whatever the conditions say. */
const TAGGED = new Set(['none', '?', 'clear', 'tls', '<>', 'bare', 'route', 'postmaster', 'gateway', '[]']);

function ownedSenders({ senders }: Compared['document']['connectors'][number]): string[] {
  return Object.values(senders.login_must_match).flat();
}

/** What the names in connect lists say of a client; rules have atoms of their own. */
function namesKept(both: readonly Compared[], names: readonly string[] | null): string {
  if (
    !both.some(({ document }) =>
      document.connectors.some(({ connect }) => [...connect.allow, ...connect.deny].some(isName)),
    )
  )
    return '';
  return names?.join() ?? '?'; // each by itself: connect lists are not taken apart
}

function isName(entry: string): boolean {
  return /[a-z]/i.test(entry) && !entry.includes(':') && entry !== 'any';
}

const MOST_UNIONS = 24;

/** A client may have several names, so that several conditions hold at once: each two of them. */
function unionsOf(named: readonly Class<readonly string[] | null>[]): Class<readonly string[] | null>[] {
  if (named.length < 3 || named.length > MOST_UNIONS) return [];
  return named.flatMap((one, i) =>
    named.slice(i + 1).map((other) => ({
      value: [...(one.value ?? []), ...(other.value ?? [])],
      written: `${one.written} ${other.written}`,
      kind: '',
      labels: [`${one.labels[0]} and ${other.labels[0]}`],
    })),
  );
}

/** What all connectors of a policy say alike of a recipient; the rest is up to their rules. */
function kindOf({ policy }: Compared, { addresses, written, bare, gateway }: ForwardPath): string {
  if (bare || gateway) return '';
  const [connector] = policy.connectors;
  const judge = connector?.judgeFor({ address: '192.0.2.1', localAddress: '0.0.0.0', localPort: 25 });
  const decision = judge?.({ ...NOTHING_SAID, recipient: written, addresses });
  if (decision === undefined || decision instanceof Promise) return 'rules';
  const { reason } = decision;
  return reason === 'rule' || reason === 'no_rule' || reason === 'cannot_tell' ? 'rules' : reason;
}

/** Of each way in which the policies take a listed address, the first few; and all on which they do not agree. */
function disputedRecipients(both: readonly Compared[]): string[] {
  const seen = new Map<string, number>();
  const found: string[] = [];
  for (const list of both) {
    for (const text of list.validRecipients()) {
      const path = recipientPath(text);
      if (path === null) continue;
      const kinds = both.map((one) => kindOf(one, path));
      const count = (seen.get(kinds.join()) ?? 0) + 1;
      seen.set(kinds.join(), count);
      if (count <= (new Set(kinds).size === 1 ? 1 : MOST_DISPUTED)) found.push(text);
    }
  }
  return found;
}

const MOST_DISPUTED = 10_000;
