// The PROXY protocol header, versions 1 and 2: as a balancer in front of us sends it, and as we send it to the server.
//
// Read only from listed peers, mandatory there, never guessed (protocol.md 1.15): a header that is not exactly one is the
// end of the connection. Pure: octets in, a verdict out, and the other way round. Both versions are bounded, so what is kept is too:
// a TLV may hold a client's whole certificate, so version 2 may have all that its 16 bits can say.

import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Endpoint } from './address.ts';

/** The addresses that the header names; null where it names none (UNKNOWN, LOCAL): then the peer's own count. */
export interface ProxyHeader {
  readonly length: number;
  readonly source: Endpoint | null;
  readonly destination: Endpoint | null;
}

export const INCOMPLETE = 'incomplete';
export const BAD = 'bad';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V1_LIMIT = 107; // octets with CRLF
const V2_HEAD = 16;
const FIRST_ROOM = 512; // octets: most headers, whole

/** Gathers a header that comes in pieces, however small: each octet is copied a few times at most. */
export class ProxyHeaderReader {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  /** All octets so far. What stands behind the header came early. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Takes the next octets. */
  take(chunk: Buffer): ProxyHeader | typeof INCOMPLETE | typeof BAD {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(FIRST_ROOM, 2 * this.#bytes.length, length));
      this.bytes.copy(larger);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = length;
    return readProxyHeader(this.bytes);
  }
}

/** Reads the header at the start of `bytes`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | typeof INCOMPLETE | typeof BAD {
  const compared = Math.min(bytes.length, SIGNATURE.length);
  if (bytes.subarray(0, compared).equals(SIGNATURE.subarray(0, compared))) {
    return bytes.length < V2_HEAD ? INCOMPLETE : readVersion2(bytes);
  }
  return readVersion1(bytes);
}

function readVersion1(bytes: Buffer): ProxyHeader | typeof INCOMPLETE | typeof BAD {
  const start = 'PROXY '.slice(0, bytes.length);
  if (bytes.toString('latin1', 0, start.length) !== start) return BAD;
  const lineFeed = bytes.indexOf(0x0a);
  if (lineFeed === -1) return bytes.length >= V1_LIMIT ? BAD : INCOMPLETE;
  if (lineFeed >= V1_LIMIT) return BAD;
  const line = bytes.toString('latin1', 0, lineFeed + 1);
  const length = lineFeed + 1;
  if (/^PROXY UNKNOWN(?: [\x20-\x7e]*)?\r\n$/.test(line)) return { length, source: null, destination: null };
  const match = /^PROXY (TCP4|TCP6) (\S+) (\S+) (\d{1,5}) (\d{1,5})\r\n$/.exec(line);
  if (match === null) return BAD;
  const [, family, from, to, fromPort, toPort] = match as unknown as [string, string, string, string, string, string];
  const isAddress = family === 'TCP4' ? isIPv4 : (text: string) => isIPv6(text) && !text.includes('%');
  const ports = [fromPort, toPort].map(Number) as [number, number];
  const leadingZero = /^0\d/.test(fromPort) || /^0\d/.test(toPort);
  if (!isAddress(from) || !isAddress(to) || leadingZero || ports.some((port) => port > 65535)) return BAD;
  const spelled = family === 'TCP4' ? (text: string) => text : oneSpelling;
  return {
    length,
    source: { address: spelled(from), port: ports[0] },
    destination: { address: spelled(to), port: ports[1] },
  };
}

function readVersion2(bytes: Buffer): ProxyHeader | typeof INCOMPLETE | typeof BAD {
  const versionCommand = bytes[12] as number;
  const familyProtocol = bytes[13] as number;
  const rest = bytes.readUInt16BE(14);
  if (versionCommand !== 0x20 && versionCommand !== 0x21) return BAD; // version 2: LOCAL or PROXY
  const length = V2_HEAD + rest;
  if (bytes.length < length) return INCOMPLETE;
  const isUnknown = versionCommand === 0x20 || familyProtocol === 0x00; // LOCAL, and UNSPEC: version 1 says UNKNOWN
  if (isUnknown) return { length, source: null, destination: null };
  if (familyProtocol === 0x11 && rest >= 12) {
    return {
      length,
      source: { address: [...bytes.subarray(16, 20)].join('.'), port: bytes.readUInt16BE(24) },
      destination: { address: [...bytes.subarray(20, 24)].join('.'), port: bytes.readUInt16BE(26) },
    };
  }
  if (familyProtocol === 0x21 && rest >= 36) {
    return {
      length,
      source: { address: ipv6(bytes.subarray(16, 32)), port: bytes.readUInt16BE(48) },
      destination: { address: ipv6(bytes.subarray(32, 48)), port: bytes.readUInt16BE(50) },
    };
  }
  return BAD; // UDP and UNIX sockets are not mail clients
}

/** Sixteen octets as text. */
function ipv6(octets: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(index * 2).toString(16));
  return oneSpelling(groups.join(':'));
}

/** The shortest form of an IPv6 address, however it was written; mapped IPv4 as IPv4. */
function oneSpelling(text: string): string {
  const shortest = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(shortest);
  if (mapped === null) return shortest;
  const groups = mapped.slice(1).map((hex) => Number.parseInt(hex, 16));
  return groups.flatMap((group) => [group >> 8, group & 255]).join('.');
}

/** Both ends of a client's connection, as a server is told of them. */
export interface Ends {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** The header that tells a server who its client is. `ends` null: this is our own question to it, UNKNOWN or LOCAL. A
 * session never says that: the server would take us for the client. */
export function formatProxyHeader(version: 1 | 2, ends: Ends | null): Buffer {
  return version === 1 ? Buffer.from(`${formatVersion1(ends)}\r\n`, 'latin1') : formatVersion2(ends);
}

function formatVersion1(ends: Ends | null): string {
  if (ends === null) return 'PROXY UNKNOWN';
  const { source, destination } = ends;
  const isV4 = areIPv4(ends);
  const [from, to] = [source.address, destination.address].map((address) => (isV4 ? address : asIPv6(address)));
  return `PROXY TCP${isV4 ? 4 : 6} ${from} ${to} ${source.port} ${destination.port}`;
}

function formatVersion2(ends: Ends | null): Buffer {
  const head = Buffer.alloc(V2_HEAD);
  SIGNATURE.copy(head);
  head[12] = ends === null ? 0x20 : 0x21;
  if (ends === null) return head;
  const { source, destination } = ends;
  const isV4 = areIPv4(ends);
  const octets = (address: string): number[] => ipaddr.parse(isV4 ? address : asIPv6(address)).toByteArray();
  const ports = [source.port >> 8, source.port & 255, destination.port >> 8, destination.port & 255];
  const rest = Buffer.from([...octets(source.address), ...octets(destination.address), ...ports]);
  head[13] = isV4 ? 0x11 : 0x21;
  head.writeUInt16BE(rest.length, 14);
  return Buffer.concat([head, rest]);
}

function areIPv4({ source, destination }: Ends): boolean {
  return isIPv4(source.address) && isIPv4(destination.address);
}

/** One family for both: an IPv4 address beside an IPv6 one is written as its mapped form. */
function asIPv6(address: string): string {
  return isIPv4(address) ? `::ffff:${address}` : address;
}
