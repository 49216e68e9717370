// Which setting of the connector is why something is refused, by the name that it has in the configuration; for the log.

import type { Profile } from './types.ts';

/** The setting that takes this verb's keyword out of the EHLO reply; null where the server does not offer it. */
export function hiddenBy(profile: Profile, verb: string): string | null {
  const { auth, exchangeVerbs, starttls, chunking } = profile;
  switch (verb) {
    case 'AUTH':
      return auth === 'hide' ? 'auth' : null;
    case 'STARTTLS':
    case 'X-ANONYMOUSTLS':
      return starttls === 'hide' ? 'starttls' : null;
    case 'BDAT':
      return chunking === 'hide' ? 'chunking' : null;
    default:
      if (verb === 'X-EXPS' && auth === 'hide') return 'auth';
      return exchangeVerbs === 'hide' ? 'exchange_verbs' : null;
  }
}

/** A key of the servers that sessions of this connector go to. */
export function ofUpstream({ upstream }: Profile, key: string): string {
  return upstream === 'default' ? `upstream.${key}` : `upstreams.${upstream}.${key}`;
}

/** The setting that makes a message of so many octets too large; null where it is what the server said of itself. */
export function sizeLimitOf(profile: Profile, octets: number): string | null {
  return octets > profile.maxMessageSize ? 'max_message_size' : null;
}
