// Where clients seem to be when their own address is lost: the addresses of this host and its default gateways.
//
// Read once, when a configuration is loaded, and handed to the policy, which never looks at the machine itself. What
// cannot be read (no /proc, no such route) is simply not known.

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

export interface Host {
  readonly ownAddresses: readonly string[];
  readonly gateways: readonly string[];
}

export function thisHost(): Host {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return {
    ownAddresses: own.filter(({ internal }) => !internal).map(({ address }) => address.replace(/%.*$/, '')),
    gateways: [...ipv4Gateways(read('/proc/net/route')), ...ipv6Gateways(read('/proc/net/ipv6_route'))],
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
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
