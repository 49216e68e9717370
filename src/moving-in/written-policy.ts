// The parts of a written policy that every reader needs, in the order of the policy file.

import { type Given, Noted, type Written, type WrittenBlock, type WrittenPolicy } from './imported.ts';
import type { Line, Lists } from './lists.ts';

export interface Parts {
  readonly accepted: readonly string[];
  readonly relayed?: readonly string[];
  readonly blocked?: readonly string[];
  readonly groups?: Readonly<Record<string, readonly Written[]>>;
  readonly windowsDomains?: ReadonlyMap<string, Line>;
  readonly connectors: readonly Written[];
}

/** What is empty is left out, but for accepted domains, which somebody has to fill in. */
export function policyOf(parts: Parts, given?: Given): WrittenPolicy {
  const {
    accepted,
    relayed = [],
    blocked = [],
    groups = {},
    windowsDomains = new Map<string, Line>(),
    connectors,
  } = parts;
  const recipients = given?.validRecipients ?? null;
  return {
    version: 1,
    accepted_domains:
      accepted.length === 0
        ? (new Noted([], 'The domains that the server behind takes mail for: no file said which.') as never)
        : accepted,
    relay_domains: relayed.length === 0 ? undefined : relayed,
    blocked_domains: blocked.length === 0 ? undefined : blocked,
    valid_recipients: recipients === null ? undefined : { file: recipients },
    groups: Object.keys(groups).length === 0 ? undefined : groups,
    user_domains:
      windowsDomains.size === 0
        ? undefined
        : Object.fromEntries([...windowsDomains].map(([windows, { text }]) => [windows, text])),
    connectors,
  };
}

/** What lists say of senders. */
export function sendersOf({ ownDomains, loginSenders }: Lists): WrittenBlock | undefined {
  if (ownDomains === null && loginSenders.size === 0) return undefined;
  return {
    own_domains: ownDomains?.value,
    login_must_match:
      loginSenders.size === 0
        ? undefined
        : Object.fromEntries([...loginSenders].map(([login, { senders }]) => [login, senders])),
  };
}
