// Which setting of a policy refused: its key, where it stands, and why it does not let this one pass. For people.
//
// Rules are not told here: explain.ts lists each of them. What the grammar refuses has no setting.

import type { Question } from '../smtp/types.ts';
import type { Connector, SessionEnds } from './connector.ts';
import type { SenderKey } from './judge.ts';
import { UNQUALIFIED_GRAMMAR, type Verdict } from './policy-question.ts';
import { formatPath, type Path, type Place } from './problem.ts';
import { fromOctets } from './spellings.ts';

/** Where a path of the policy stands in its file. */
export type PlaceOf = (path: Path) => Place;

export interface Setting {
  /** As `connectors[1].senders.own_domains`. */
  readonly key: string;
  readonly place: string;
  readonly why: string;
}

/** `office.yaml:3`; a flag or a variable alone, which has no lines. */
export function formatPlace({ file, line }: { readonly file: string; readonly line: number }): string {
  return line === 0 ? file : `${file}:${line}`;
}

/** Null when nothing was refused, or a rule or the grammar did it. */
export function settingOf(
  verdict: Verdict,
  ends: SessionEnds,
  names: readonly string[] | null,
  place: PlaceOf,
): Setting | null {
  const { connector, refusedAt, question, decision } = verdict;
  const setting = (path: Path, why: string): Setting => {
    return { key: formatPath(path), place: formatPlace(place(path)), why };
  };
  if (connector === null) {
    const at = `${ends.localAddress === '0.0.0.0' ? 'that address' : ends.localAddress}, port ${ends.localPort}`;
    return setting(
      ['connectors'],
      `none of their remote_ip_ranges holds ${ends.address}, of those that answer at ${at}`,
    );
  }
  if (refusedAt === 'connection') {
    const refusal = connector.connectSetting(ends.address, names);
    return refusal === null ? null : setting(refusal.path, refusal.why);
  }
  if (question === null) return null;
  if (refusedAt === 'MAIL') {
    const { key, open, spelling } = connector.senderKey(ends, question);
    if (key === null) return null;
    const at = pathOf(key, question, connector);
    if (open) return setting(at, 'the name of the login is not known');
    return setting(at, `${whySender(key, question, connector)}${spelling === null ? '' : `; ${spelling}`}`);
  }
  if (verdict.grammar === UNQUALIFIED_GRAMMAR)
    return setting([...connector.path, 'unqualified_recipients'], 'reject: the address has no domain');
  switch (decision?.reason) {
    case 'blocked_domain':
      return setting(['blocked_domains'], 'what it holds is never passed, for anyone');
    case 'unknown_recipient':
      return setting(['valid_recipients'], 'the address is not in the list, and its domain receives for those alone');
    case 'relay_trick':
      return setting(['accepted_literals'], 'the address literal is none of them');
    default:
      return null;
  }
}

function pathOf(key: SenderKey, { login }: Question, connector: Connector): Path {
  const { path, document } = connector;
  if (key === 'require_tls' || key === 'submit') return [...path, key];
  if (key !== 'login_must_match') return [...path, 'senders', key];
  const name = login?.name ?? null;
  const user = name === null ? null : connector.userKey(name);
  const written = Object.keys(document.senders.login_must_match).find((one) => connector.userKey(one) === user);
  return [...path, 'senders', key, ...(written === undefined ? [] : [written])];
}

function whySender(key: SenderKey, { login, sender, senderAddress }: Question, connector: Connector): string {
  const { document } = connector;
  const own = login === null || document.senders.own_address !== 'required' ? null : connector.addressOf(login);
  const who = login === null ? 'nobody has logged in' : login.name === null ? 'the login has no name' : null;
  switch (key) {
    case 'require_tls':
      return 'true, and the session is in clear text';
    case 'submit':
      return document.submit === 'authenticated'
        ? 'authenticated, and nobody has logged in'
        : `only these users and groups, and ${who ?? `${login?.name} is none of them`}`;
    case 'own_domains': {
      const is = senderAddress?.domain === undefined || senderAddress.domain === null ? 'may be' : 'is';
      const but = document.senders.own_domains === 'authenticated' ? ', and nobody has logged in' : '';
      return `${document.senders.own_domains}: <${fromOctets(sender)}> ${is} an address of an accepted domain${but}`;
    }
    case 'login_must_match':
      return `<${fromOctets(sender)}> is none of the senders of ${login?.name}${own === null ? '' : `, nor is it ${fromOctets(own)}`}`;
    case 'own_address':
      return own === null
        ? `required, and <${fromOctets(sender)}> is not known to be the address of ${login?.name}`
        : `required: ${login?.name} is ${fromOctets(own)}, not <${fromOctets(sender)}>`;
    case 'others':
      return `deny, and ${who ?? `${login?.name} is not named in login_must_match`}${document.senders.own_address !== 'required' ? '' : ', and no address of its own is known'}`;
  }
}
