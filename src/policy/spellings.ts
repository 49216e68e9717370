// Text that may be read as another: what a no compares beside the octets.
//
// A yes compares octets, since a server that reads them otherwise would let in whom nobody named. A no holds for every
// spelling that some server may take for the forbidden one: full-width letters, another full stop, a soft hyphen, capitals
// beyond ASCII, an A-label for a U-label (UTS 46, RFC 5891). So what is mapped here only ever forbids. Nothing throws, and
// plain ASCII comes back at the price of one look at it.

import { isUtf8 } from 'node:buffer';
import { domainToASCII } from 'node:url';
import { foldAscii } from '../smtp/bytes.ts';

/** Text of a configuration file as the octets that would come from the wire. */
export function toOctets(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** Octets as text; what is no UTF-8 is taken octet by octet. */
export function fromOctets(octets: string): string {
  if (ASCII.test(octets)) return octets;
  const bytes = Buffer.from(octets, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : octets;
}

const ASCII = /^[\x00-\x7f]*$/;

/** One text for all that look alike but for case, width and what is not seen. */
export function foldWidely(text: string): string {
  if (ASCII.test(text)) return foldAscii(text);
  const seen = text.replace(/\p{Default_Ignorable_Code_Point}/gu, '').normalize('NFKC');
  return seen.toUpperCase().toLowerCase().normalize('NFKC');
}

const NONE: readonly string[] = [];
const MAPPED = /[\x80-\xff]|xn--/i;
const LONGEST = 255; // RFC 5321 §4.5.3.1.2; a longer name is none

const FEW = 8;

/** The same, with what came of the last few texts kept: many rules ask about the names of one session. */
export function lately<T extends string | object>(make: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    if (known.size >= FEW) known.delete(known.keys().next().value as string);
    const made = make(text);
    known.set(text, made);
    return made;
  };
}

const readingsLately = lately(readDomain);

/** What else a domain from the wire (folded octets) may be read as, in A-labels and in U-labels; nothing for nearly all. */
export function readingsOf(domain: string): readonly string[] {
  return !MAPPED.test(domain) || domain.length > LONGEST ? NONE : readingsLately(domain);
}

function readDomain(domain: string): readonly string[] {
  const readings = new Set<string>();
  const text = fromOctets(domain);
  // IDNA 2003 reads ß as ss and ς as σ, IDNA 2008 does not, and servers of both kinds are about.
  for (const one of [text, text.replaceAll('ß', 'ss').replaceAll('ẞ', 'ss').replaceAll('ς', 'σ')]) {
    const mapped = mapDomain(one);
    readings.add(toOctets(mapped));
    const ascii = ASCII.test(mapped) ? mapped : aLabelsOf(mapped);
    if (ascii !== '') readings.add(ascii);
  }
  readings.delete(domain);
  readings.delete('');
  return [...readings];
}

/** One name for a domain (folded octets) in all its spellings: its A-labels, where it has some. */
export function oneSpelling(domain: string): string {
  if (!MAPPED.test(domain) || domain.length > LONGEST) return domain;
  const mapped = mapDomain(fromOctets(domain));
  return aLabelsOf(mapped) || toOctets(mapped);
}

/** A domain as A-labels; '' where it is none. */
export function aLabelsOf(domain: string): string {
  // The function behind it is that of URLs, which end at a slash and take percents for octets.
  return /[\x00-\x20"#%/:<>?@[\\\]^`{|}\x7f]/.test(domain) ? '' : foldAscii(domainToASCII(domain)).replace(/\.$/, '');
}

const ROUNDS = 4; // an A-label may stand in an A-label

/** All its labels in small letters and decoded, also those that UTS 46 would not have. */
function mapDomain(domain: string): string {
  let mapped = domain;
  for (let round = 0; round < ROUNDS; round++) {
    const before = mapped;
    mapped = mapLabels(before);
    if (mapped === before) break;
  }
  return mapped;
}

function mapLabels(domain: string): string {
  // UTS 46 §4: the other full stops are mapped to one before the labels are told apart.
  return mapText(domain)
    .split(/[.。]/)
    .map((label) => (label.startsWith('xn--') ? mapText(decodePunycode(label.slice(4)) ?? label) : label))
    .join('.')
    .replace(/\.+$/, '');
}

/** As foldWidely, but ß is no ss: that is a name of its own. */
function mapText(text: string): string {
  if (ASCII.test(text)) return foldAscii(text);
  return text
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .normalize('NFKC')
    .replaceAll('Σ', 'σ') // which toLowerCase makes ς at the end of a word
    .toLowerCase()
    .normalize('NFKC');
}

const SMALL = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** RFC 3492 §6.2; null where it is not encoded so. `label` is without its xn-- and at most 255 octets long. */
function decodePunycode(label: string): string | null {
  const dash = label.lastIndexOf('-');
  const points = dash === -1 ? [] : [...label.slice(0, dash)].map((letter) => letter.charCodeAt(0));
  let point = 128;
  let at = 0;
  let bias = 72;
  for (let next = dash + 1; next < label.length; ) {
    const before = at;
    for (let weight = 1, k = 36; ; k += 36) {
      const digit = SMALL.indexOf(label[next++] ?? ' ');
      if (digit === -1) return null;
      at += digit * weight;
      const least = Math.min(Math.max(k - bias, 1), 26);
      if (digit < least) break;
      weight *= 36 - least;
      if (weight > 0x7fffffff) return null;
    }
    const length = points.length + 1;
    bias = adapted(at - before, length, before === 0);
    point += Math.floor(at / length);
    at %= length;
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return null;
    points.splice(at++, 0, point);
  }
  return String.fromCodePoint(...points);
}

/** RFC 3492 §6.1. */
function adapted(delta: number, length: number, first: boolean): number {
  let rest = Math.floor(delta / (first ? 700 : 2));
  rest += Math.floor(rest / length);
  let k = 0;
  for (; rest > 455; k += 36) rest = Math.floor(rest / 35);
  return k + Math.floor((36 * rest) / (rest + 38));
}
