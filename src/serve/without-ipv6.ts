// What is left of the listeners on a machine that has no IPv6: every address of ours is two addresses, and one is enough.
//
// Only the wildcard is left out, and only where a listener has other addresses: whoever names an address wants that one.

import type { Config } from '../config/schema.ts';
import { type Endpoint, formatEndpoint } from '../proxy/address.ts';
import { hasIpv6 } from '../proxy/listener.ts';

/** The same configuration where nothing has to be left out; `missing`: what is, as `[::]:25`. */
export async function reachable(config: Config): Promise<{ readonly config: Config; readonly missing: string[] }> {
  const missing: string[] = [];
  if (!config.listeners.some(({ bind }) => bind.some(isIpv6)) || (await hasIpv6())) return { config, missing };
  const listeners = config.listeners.map((listener) => {
    const bind = listener.bind.filter((endpoint) => !isIpv6(endpoint));
    if (bind.length === 0) return listener;
    missing.push(...listener.bind.filter(isIpv6).map(formatEndpoint));
    return { ...listener, bind };
  });
  return { config: missing.length === 0 ? config : { ...config, listeners }, missing };
}

function isIpv6({ address }: Endpoint): boolean {
  return address === '::';
}
