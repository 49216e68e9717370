// A mail server on Postern's own host: most servers let their own host relay, so that behind a Postern there every client
// is one of their own, and nobody has marked anything. Asked by address, and never by looking: `check --live` looks.

import type { Path } from '../policy/problem.ts';
import type { Host } from './host.ts';
import type { NamedUpstream, UpstreamConfig } from './upstreams.ts';

/** The last words of the warning: what is only feared here is known there. */
export const ASK_IT = 'postern check --live asks whether it does';

export const DISTRUST_US =
  "take this host out of what it trusts (Postfix mynetworks, Exim relay_from_hosts, OpenSMTPD 'for any from local'; Sendmail always does), run Postern on another host, or name the client to it: upstream.identity proxy-v2 or xclient";

export function isThisHost(address: string, { ownAddresses }: Host): boolean {
  const plain = address.toLowerCase().replace(/^::ffff:(?=[0-9.]+$)/, '');
  return (
    /^127\.|^::1$|^(0:){7}0*1$|^0\.0\.0\.0$|^::$/.test(plain) ||
    /^(.*\.)?localhost6?(\.localdomain6?)?\.?$|^ip6-(localhost|loopback)$/.test(plain) ||
    ownAddresses.includes(plain)
  );
}

/** Whether it sees us and not the client. */
export function seesUs({ identity }: UpstreamConfig): boolean {
  return identity === 'none' || identity === 'xforward';
}

/** Once for an upstream, at the first of them; `isWrong` are servers of which something worse was said. */
export function lintSameHost(
  { upstream, path }: NamedUpstream,
  host: Host,
  isWrong: (index: number) => boolean,
  warn: (path: Path, message: string) => void,
): void {
  if (!seesUs(upstream)) return;
  const { servers } = upstream;
  const first = servers.findIndex(({ address }, i) => isThisHost(address, host) && !isWrong(i));
  const server = servers[first];
  if (server === undefined) return;
  warn(
    [...path, 'servers', first],
    `${server.address} is this host, and mail servers let the host they run on relay: behind Postern its own relay check would be off for every client; ${DISTRUST_US}; ${ASK_IT}`,
  );
}
