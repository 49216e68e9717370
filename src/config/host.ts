// Where clients seem to be when their own address is lost: the addresses of this host and its default gateways.
//
// Read once, when a configuration is loaded, and handed to the policy, which never looks at the machine itself. What
// cannot be read is not known, and `unknown` says so: a sandbox must not keep the firewall from starting.

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface Host {
  readonly ownAddresses: readonly string[];
  readonly gateways: readonly string[];
  /** What of it cannot be had, and what the lost-address guard then does not know; left out where all is known. */
  readonly unknown?: string;
}

export function thisHost(): Host {
  const own = ownAddresses();
  const gateways = process.platform === 'win32' ? gatewaysOfWindows() : gatewaysOfLinux();
  const unknown = [
    ...(typeof own === 'string' ? [unknownAddresses(own)] : []),
    ...(gateways === null ? [UNKNOWN_GATEWAYS] : []),
  ];
  return {
    ownAddresses: typeof own === 'string' ? [] : own,
    gateways: gateways ?? [],
    ...(unknown.length === 0 ? {} : { unknown: unknown.join('; ') }),
  };
}

/** Whether several listeners may share a port, so that there can be several workers: SO_REUSEPORT as Linux has it. */
export function canSharePorts(): boolean {
  return process.platform !== 'win32' && process.platform !== 'darwin';
}

/** Null: not known, as on every other system that is neither Linux nor Windows. */
function gatewaysOfLinux(): string[] | null {
  const route = read('/proc/net/route');
  if (route === null) return null;
  return [...ipv4Gateways(route), ...ipv6Gateways(read('/proc/net/ipv6_route') ?? '')]; // not there where IPv6 is off
}

/** Windows has no file that tells them, and Node no call; null: not known. */
function gatewaysOfWindows(): string[] | null {
  const program = `${process.env.SystemRoot ?? 'C:\\Windows'}\\System32\\route.exe`;
  const { spawnSync } = process.getBuiltinModule('node:child_process'); // wanted nowhere else
  const { status, stdout } = spawnSync(program, ['PRINT'], { encoding: 'latin1', timeout: 5000, windowsHide: true });
  return status === 0 ? printedGateways(stdout) : null;
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
  'the default gateway cannot be read (/proc/net/route, or route.exe PRINT on Windows), so a client that comes from it is not known for one whose own ' +
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

/** `route PRINT` of Windows, whose words are translated and whose columns are not: destination, mask, gateway, interface,
 * metric; and interface, metric, destination, gateway for IPv6. What is no address stands for "on-link". */
export function printedGateways(table: string): string[] {
  const ipv4 = /^ *0\.0\.0\.0 +0\.0\.0\.0 +([\d.]+) /gm;
  const ipv6 = /^ *\d+ +\d+ +::\/0 +([\da-f:]+)(?:%\d+)?\r?$/gim;
  const found = [...table.matchAll(ipv4), ...table.matchAll(ipv6)].map(([, gateway]) => gateway as string);
  return [...new Set(found.filter((gateway) => isIP(gateway) !== 0))];
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
