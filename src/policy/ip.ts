// IP addresses as values: a number is IPv4, a bigint is IPv6, so that a range may be compared with plain operators.
//
// Only the one spelling that everybody reads alike is accepted: four decimal parts without leading zeros (010.0.0.1 is
// 8.0.0.1 to some and 10.0.0.1 to others, 10.1 is 10.0.0.1 to inet_aton). IPv4-mapped IPv6 becomes IPv4. A zone id is
// refused here; the listener drops it before.

import ipaddr from 'ipaddr.js';

export type Ip = number | bigint;

export const LAST_IPV4 = 0xffffffff;
export const LAST_IPV6 = (1n << 128n) - 1n;

const ZERO = 0x30; // '0'
const DOT = 0x2e - ZERO; // '.', counted from '0' like a digit
const MAPPED_PREFIX = 0xffffn; // ::ffff:0:0/96, above the low 32 bits

/** The address, or null where `text` is not one in the strict spelling. */
export function parseIp(text: string): Ip | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): number | null {
  let value = 0;
  let dots = 0;
  let part = -1; // -1: no digit yet
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit >= 0 && digit <= 9) {
      if (part === 0) return null; // a leading zero
      part = part === -1 ? digit : part * 10 + digit;
      if (part > 255) return null;
    } else {
      if (digit !== DOT || part === -1 || ++dots > 3) return null;
      value = value * 256 + part;
      part = -1;
    }
  }
  return dots === 3 && part !== -1 ? value * 256 + part : null;
}

function parseIpv6(text: string): Ip | null {
  const value = parseIpv6Bits(text);
  return value === null ? null : unmapped(value);
}

/** All 128 bits, a mapped address too: what a prefix length of an IPv6 range is counted on. */
export function parseIpv6Bits(text: string): bigint | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groups(halves[0] as string, halves.length === 1);
  const tail = groups(halves[1] ?? '', true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  let value = 0n;
  for (const group of [...head, ...new Array<number>(missing).fill(0), ...tail]) value = (value << 16n) | BigInt(group);
  return value;
}

/** The 16-bit groups of one side of `::`; an IPv4 tail is allowed only at the very end. */
function groups(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const last = parts.at(-1) as string;
  const values: number[] = [];
  if (last.includes('.')) {
    const ipv4 = mayEndInIpv4 ? parseIpv4(last) : null;
    if (ipv4 === null) return null;
    parts.pop();
    values.push(ipv4 >>> 16, ipv4 & 0xffff);
  }
  const whole: number[] = [];
  for (const part of parts) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
    whole.push(Number.parseInt(part, 16));
  }
  return [...whole, ...values];
}

function unmapped(value: bigint): Ip {
  return value >> 32n === MAPPED_PREFIX ? Number(value & 0xffffffffn) : value;
}

/** The usual spelling (RFC 5952). */
export function formatIp(ip: Ip): string {
  if (typeof ip === 'number') return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
  return new ipaddr.IPv6([...Buffer.from(ip.toString(16).padStart(32, '0'), 'hex')]).toRFC5952String();
}

export function isIpv4(ip: Ip): ip is number {
  return typeof ip === 'number';
}

export function after(ip: Ip): Ip {
  return typeof ip === 'number' ? ip + 1 : ip + 1n;
}

export function before(ip: Ip): Ip {
  return typeof ip === 'number' ? ip - 1 : ip - 1n;
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(ip: Ip): boolean {
  return typeof ip === 'number' ? ip >>> 24 === 127 : ip === 1n;
}

/** Of one family. */
export function compare(a: Ip, b: Ip): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
