// Where clients seem to be when their own address is lost: the addresses of this host and its default gateways.
//
// Read once, when a configuration is loaded, and handed to the policy, which never looks at the machine itself. What
// cannot be read is not known, and `unknown` says so: a sandbox must not keep the firewall from starting.

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

export interface Host {
  readonly ownAddresses: readonly string[];
  readonly gateways: readonly string[];
  /** What of it cannot be had, and what the lost-address guard then does not know; left out where all is known. */
  readonly unknown?: string;
}

export function thisHost(): Host {
  const own = ownAddresses();
  const route = read('/proc/net/route');
  const ipv6Route = read('/proc/net/ipv6_route'); // not there where IPv6 is off
  const unknown = [
    ...(typeof own === 'string' ? [unknownAddresses(own)] : []),
    ...(route === null && process.platform === 'linux' ? [UNKNOWN_GATEWAYS] : []),
  ];
  return {
    ownAddresses: typeof own === 'string' ? [] : own,
    gateways: [...ipv4Gateways(route ?? ''), ...ipv6Gateways(ipv6Route ?? '')],
    ...(unknown.length === 0 ? {} : { unknown: unknown.join('; ') }),
  };
}

/** A string is the reason why they cannot be had: Linux tells them through a netlink socket, which may be forbidden. */
function ownAddresses(): readonly string[] | string {
  try {
    const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    return own.filter(({ internal }) => !internal).map(({ address }) => address.replace(/%.*$/, ''));
  } catch (error) {
    return (error as Error).message;
  }
}

function unknownAddresses(why: string): string {
  return (
    `this host's own addresses cannot be read (${why}), so a client that comes from one of them is not known for one whose ` +
    'own address was lost on the way; under systemd RestrictAddressFamilies must name AF_NETLINK'
  );
}

const UNKNOWN_GATEWAYS =
  'the default gateway cannot be read from /proc/net/route, so a client that comes from it is not known for one whose own ' +
  'address was lost on the way';

function read(file: string): string | null {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return null;
  }
}

const ROUTE_GATEWAY = 0x0002; // RTF_GATEWAY

/** /proc/net/route: addresses are hexadecimal words in this machine's octet order, which is little-endian wherever
 * Node runs on Linux. */
export function ipv4Gateways(table: string): string[] {
  const gateways = new Set<string>();
  for (const line of table.split('\n').slice(1)) {
    const [, destination, gateway, flags, , , , mask] = line.trim().split(/\s+/);
    if (destination !== '00000000' || mask !== '00000000' || gateway === undefined) continue;
    if ((Number.parseInt(flags ?? '0', 16) & ROUTE_GATEWAY) === 0) continue;
    const octets = gateway.match(/../g) ?? [];
    gateways.add(
      octets
        .reverse()
        .map((octet) => Number.parseInt(octet, 16))
        .join('.'),
    );
  }
  return [...gateways];
}

/** /proc/net/ipv6_route: 32 hexadecimal digits, most significant first. */
export function ipv6Gateways(table: string): string[] {
  const gateways = new Set<string>();
  for (const line of table.split('\n')) {
    const [destination, length, , , gateway, , , , flags] = line.trim().split(/\s+/);
    if (destination !== '0'.repeat(32) || length !== '00' || gateway === undefined) continue;
    if ((Number.parseInt(flags ?? '0', 16) & ROUTE_GATEWAY) === 0) continue;
    gateways.add((gateway.match(/..../g) ?? []).join(':'));
  }
  return [...gateways];
}

/** How many file descriptors this process may have; null where the system does not say (only Linux does). */
export function descriptorLimit(): number | null {
  try {
    const line = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return line === null ? null : line[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line[1]);
  } catch {
    return null;
  }
}
