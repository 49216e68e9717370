// What counts as one source, and under which networks an address may be banned: an address cut to a prefix, as text.
//
// Bans are found by their very text, so the lengths they may have are few; that is how a question about an address stays a few
// look-ups.

import { formatIp, type Ip, parseIp } from './ip.ts';

/** Lengths that a ban may have beside those that sources are counted by. */
export const IPV4_LENGTHS: readonly number[] = [32, 24, 16, 8];
export const IPV6_LENGTHS: readonly number[] = [128, 64, 56, 48, 32];

/** One customer's: an IPv4 address, or the IPv6 network that a line is given. */
const OWN_IPV4 = 32;
const OWN_IPV6 = 64;

export interface Prefixes {
  readonly ipv4_prefix: number;
  readonly ipv6_prefix: number;
}

/** `192.0.2.0/24`, `2001:db8::/64`. */
export function networkOf(ip: Ip, length: number): string {
  if (typeof ip === 'number')
    return `${formatIp(length === 0 ? 0 : (ip >>> (32 - length)) * 2 ** (32 - length))}/${length}`;
  const rest = BigInt(128 - length);
  return `${formatIp((ip >> rest) << rest)}/${length}`;
}

/** The network that this address counts as. */
export function sourceOf(ip: Ip, { ipv4_prefix, ipv6_prefix }: Prefixes): string {
  return networkOf(ip, typeof ip === 'number' ? ipv4_prefix : ipv6_prefix);
}

/** Every network under which this address may be banned, its source first. */
export function networksOf(ip: Ip, prefixes: Prefixes): readonly string[] {
  const lengths = typeof ip === 'number' ? IPV4_LENGTHS : IPV6_LENGTHS;
  return [...new Set([sourceOf(ip, prefixes), ...lengths.map((length) => networkOf(ip, length))])];
}

/** Reads what an operator wants banned: an address (IPv6: its /64), or a network of one of the lengths above or in `prefixes`. */
export function parseNetwork(text: string, prefixes: readonly Prefixes[]): { network: string } | { problem: string } {
  const [address = '', length, ...more] = text.split('/');
  const ip = parseIp(address);
  if (ip === null || more.length > 0)
    return {
      problem: `'${text}' is neither an address nor a network: 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64 is wanted`,
    };
  const isIpv4 = typeof ip === 'number';
  if (length === undefined) return { network: networkOf(ip, isIpv4 ? OWN_IPV4 : OWN_IPV6) };
  const counted = prefixes.map(({ ipv4_prefix, ipv6_prefix }) => (isIpv4 ? ipv4_prefix : ipv6_prefix));
  const lengths = [...new Set([...(isIpv4 ? IPV4_LENGTHS : IPV6_LENGTHS), ...counted])].sort((a, b) => b - a);
  if (!/^[0-9]{1,3}$/.test(length) || !lengths.includes(Number(length)))
    return { problem: `'/${length}': a ban may have the length /${lengths.join(', /')}` };
  const network = networkOf(ip, Number(length));
  if (network !== `${formatIp(ip)}/${Number(length)}`)
    return { problem: `'${text}' has bits behind its length: ${network} is meant, or one address` };
  return { network };
}

/** Whether an address lies in a network as written above. */
export function isWithin(address: string, network: string): boolean {
  const ip = parseIp(address);
  return ip !== null && networkOf(ip, Number(network.slice(network.indexOf('/') + 1))) === network;
}
