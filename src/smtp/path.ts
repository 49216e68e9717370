// Paths: what stands between MAIL FROM: or RCPT TO: and the parameters (RFC 5321 §4.1.2).
//
// An allow-list grammar. The forward-path is read strictly, because an upstream that reads another address in it than we
// did is a relay: source routes, two paths, comments, phrases, lists and groups do not parse. Every address hidden in a
// local part (percent, bang, quoted @, IMCEA encapsulation) is handed out beside the outer one, to be judged as well.
// The reverse-path is read leniently: it is never a reason to relay, so it may be routed, percent-hacked or foreign.
//
// Not done here: which domain is ours (policy/), domain names in Unicode (the policy compares the octets, RFC 6531).

import { isUtf8 } from 'node:buffer';
import { foldAscii } from './bytes.ts';
import type { Address } from './types.ts';

/** A parsed path. `written` is what stood between the brackets, `end` the index behind it. */
export interface Path {
  readonly written: string;
  readonly end: number;
  /** The address as written; null for the null path and for a reverse-path that names no plain address. */
  readonly address: Address | null;
}

/** A forward-path: its address first, then those hidden in the local part. `bare` = no domain was written. */
export interface ForwardPath extends Path {
  readonly address: Address;
  readonly addresses: readonly Address[];
  readonly bare: boolean;
  /** An IMCEA type of a gateway that we cannot judge (fax, X.400 …): only for those who may relay anywhere. */
  readonly gateway: boolean;
}

/** `trick`: it parsed, and it is a way to relay; else it is no path. `written` is for the log and the reply. */
export interface BadPath {
  readonly trick: boolean;
  readonly written: string;
}

const ATOM = 1; // RFC 5321 atext, with dots anywhere: real mailboxes have them
const DOMAIN = 2; // letters, digits, dot, dash, and underscore: Windows host names have it
const CLASSES = new Uint8Array(128).map((_, octet) => {
  const character = String.fromCharCode(octet);
  return (
    (/[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]/.test(character) ? ATOM : 0) | (/[A-Za-z0-9_.-]/.test(character) ? DOMAIN : 0)
  );
});
const LABELS = /^[a-z0-9_\x80-\xff-]+(\.[a-z0-9_\x80-\xff-]+)*$/;
const NO_HOST = { domain: null, literal: null };
const LITERAL = /^[0-9A-Za-z.:-]+$/;
/** RFC 2047, which no path may hold: Python's smtpd and aiosmtpd decode it, of whatever charset, and where it has no end up to the end of
 * the path, and hand on what was in it. No mailbox is called so. */
const ENCODED_WORD = /=\?[^?]*\?[bq]\?/i;
const DOMAIN_LIMIT = 255; // RFC 5321 §4.5.3.1.2
const IMCEA_ROUNDS = 4;
const HIDDEN_LIMIT = 64; // readings of one local part; an honest one needs a few

/** Reads a forward-path at `at`. `utf8`: this MAIL gave SMTPUTF8, so octets above 127 may stand in it (RFC 6531). */
export function parseForwardPath(text: string, at: number, utf8: boolean): ForwardPath | BadPath {
  const bracketed = text[at] === '<';
  const start = bracketed ? at + 1 : at;
  if (text[start] === '@') return badPath(text, at, true); // a source route, or no local part
  const local = parseLocal(text, start, utf8);
  if (local === null) return badPath(text, at, false);
  let end = local.end;
  let domain = '';
  const bare = text[end] !== '@';
  if (!bare) {
    const domainStart = end + 1;
    end = endOfDomain(text, domainStart, utf8);
    domain = text.slice(domainStart, end);
  }
  const host = bare ? NO_HOST : parseHost(domain);
  if (host === null) return badPath(text, at, false);
  const written = text.slice(start, end);
  if (bracketed) {
    if (text[end] !== '>') return badPath(text, at, text[end] === '@' || text[end] === ',');
    end++;
  }
  if (end < text.length && text[end] !== ' ') return badPath(text, at, false);
  const hidden = MAY_HIDE.test(local.decoded) ? hiddenAddresses(unpackX400(local.decoded)) : NOTHING_HIDDEN;
  if (hidden === null) return badPath(text, at, true);
  const address = { local: local.decoded, domain: host.domain, literal: host.literal };
  const addresses = hidden === NOTHING_HIDDEN ? [address] : [address, ...hidden.addresses];
  return { written, end, address, addresses, bare, gateway: hidden.gateway };
}

function badPath(text: string, at: number, trick: boolean): BadPath {
  return { trick, written: writtenIn(text, at) };
}

/** Reads a reverse-path at `at`, leniently; null when its end cannot be told. Blanks within the brackets, at either end, are left
 * by who fills in a form: they are a part of what was written, and not of the address. */
export function parseReversePath(text: string, at: number, utf8: boolean): Path | null {
  const bracketed = text[at] === '<';
  const start = bracketed ? at + 1 : at;
  let end = start;
  while (bracketed && text[end] === ' ') end++;
  const first = end;
  let quoted = false;
  for (; end < text.length; end++) {
    let character = text[end] as string;
    const escaped = quoted && character === '\\';
    if (escaped) character = text[++end] ?? '';
    if (character < ' ' || character === '\x7f' || (character > '\x7f' && !utf8)) return null;
    if (escaped) continue;
    if (character === '"') quoted = !quoted;
    else if (!quoted && (character === '>' || character === ' ')) break;
    else if (!quoted && character === '<') return null;
  }
  if (quoted) return null;
  const mailbox = text.slice(first, end);
  while (bracketed && text[end] === ' ') end++;
  const written = text.slice(start, end);
  if (bracketed) {
    if (text[end] !== '>' || (mailbox === '' && written !== '')) return null; // only blanks are the null path to some servers
    end++;
    if (end < text.length && text[end] !== ' ') return null;
  } else if (written === '' || text[end] === '>') {
    return null;
  }
  return { written, end, address: plainAddress(mailbox, utf8) };
}

/** The one address that a mailbox names, or null where it is not a plain one. */
function plainAddress(mailbox: string, utf8: boolean): Address | null {
  const local = parseLocal(mailbox, 0, utf8);
  if (local === null || ENCODED_WORD.test(local.decoded)) return null;
  if (local.end === mailbox.length) return { local: local.decoded, domain: null, literal: null };
  if (mailbox[local.end] !== '@') return null;
  const host = parseHost(mailbox.slice(local.end + 1));
  return host === null ? null : { local: local.decoded, ...host };
}

/** RFC 5321 Local-part: a quoted string, or atoms with dots anywhere. A backslash outside quotes is refused. */
function parseLocal(text: string, at: number, utf8: boolean): { decoded: string; end: number } | null {
  if (text[at] === '"') return parseQuoted(text, at + 1, utf8);
  let end = at;
  while (end < text.length && isIn(ATOM, text.charCodeAt(end), utf8)) end++;
  return end === at ? null : { decoded: text.slice(at, end), end };
}

function parseQuoted(text: string, at: number, utf8: boolean): { decoded: string; end: number } | null {
  let decoded = '';
  for (let end = at; end < text.length; end++) {
    let character = text[end] as string;
    if (character === '"') return decoded === '' ? null : { decoded, end: end + 1 };
    if (character === '\\') {
      end++;
      character = text[end] ?? '';
    }
    if (character < ' ' || character === '\x7f' || (character > '\x7f' && !utf8)) return null;
    decoded += character;
  }
  return null;
}

function isIn(set: number, octet: number, utf8: boolean): boolean {
  return octet > 0x7f ? utf8 : ((CLASSES[octet] as number) & set) !== 0;
}

function endOfDomain(text: string, at: number, utf8: boolean): number {
  let end = at;
  if (text[end] === '[') {
    const close = text.indexOf(']', end);
    return close === -1 ? at : close + 1;
  }
  while (end < text.length && isIn(DOMAIN, text.charCodeAt(end), utf8)) end++;
  return end;
}

/** A domain or address literal, folded for the comparison; null when it is neither. */
function parseHost(text: string): Pick<Address, 'domain' | 'literal'> | null {
  if (text.startsWith('[')) {
    const literal = text.slice(1, -1);
    return text.endsWith(']') && LITERAL.test(literal) ? { domain: null, literal } : null;
  }
  let domain = foldAscii(text);
  if (domain.endsWith('.')) domain = domain.slice(0, -1); // protocol: one trailing dot is dropped
  if (domain.length > DOMAIN_LIMIT || !LABELS.test(domain)) return null;
  // A number is an address to inet_aton and to WHATWG URLs: 3405803783 and 0x7f000001 are hosts (163.com is a name).
  if (/^(\d+|0x[0-9a-f]*)$/.test(domain.slice(domain.lastIndexOf('.') + 1))) return null;
  if (/[\x80-\xff]/.test(domain) && !isUtf8(Buffer.from(domain, 'latin1'))) return null;
  return { domain, literal: null };
}

/** Whether the text, where it has octets above 127, is UTF-8 (RFC 3629). */
export function isUtf8Text(text: string): boolean {
  return !/[\x80-\xff]/.test(text) || isUtf8(Buffer.from(text, 'latin1'));
}

interface Hidden {
  readonly addresses: readonly Address[];
  readonly gateway: boolean;
}

const NOTHING_HIDDEN: Hidden = { addresses: [], gateway: false };
const MAY_HIDE = /[@%!\x00-\x1f\x7f]|^ *imcea|rfc-?822|=\?|\xef[\xb9\xbc]/i;

/** Every address that some server may read out of a decoded local part. RFC 976 and its successors disagree on which of
 * `@ % !` binds first, so each separator counts: the text right of an @ or %, the text left of a !. Null = refuse. */
function hiddenAddresses(written: string, budget = { left: HIDDEN_LIMIT }): Hidden | null {
  const local = inUsualWidth(written);
  if (/[\x00-\x1f\x7f]/.test(local) || ENCODED_WORD.test(local) || budget.left-- <= 0) return null;
  const addresses: Address[] = [];
  let gateway = false;
  let segment = 0; // where the segment that we are in began
  const take = (host: string, rest: string): boolean => {
    const parsed = parseHost(host);
    if (parsed === null || budget.left-- <= 0) return false;
    addresses.push({ local: rest, ...parsed });
    return true;
  };
  for (let at = 0; at <= local.length; at++) {
    const character = local[at];
    if (at === segment) {
      const inner = imceaAddresses(local.slice(at), budget);
      if (inner === null) return null;
      addresses.push(...inner.addresses);
      gateway ||= inner.gateway;
    }
    if (character === '@' || character === '%') {
      const next = local.slice(at + 1).search(/[@%!]/);
      if (!take(local.slice(at + 1, next === -1 ? local.length : at + 1 + next), local.slice(0, at))) return null;
      segment = at + 1;
    } else if (character === '!') {
      if (!take(local.slice(segment, at), local.slice(at + 1))) return null;
      segment = at + 1;
    }
  }
  return { addresses, gateway };
}

/** MS99-027: Exchange unpacks IMCEASMTP-user+40domain and delivers there. Decoded up to four times, since an address may
 * be packed again. IMCEAEX is Exchange's own reply address and hides nothing. */
function imceaAddresses(local: string, budget: { left: number }): Hidden | null {
  const type = /^ *imcea([^-]*)-/i.exec(local);
  if (type === null) return NOTHING_HIDDEN;
  const name = foldAscii(type[1] as string);
  if (name === 'ex') return NOTHING_HIDDEN;
  if (name !== 'smtp' && name !== 'rfc822') return { addresses: [], gateway: true };
  const addresses: Address[] = [];
  let gateway = false;
  let packed = local.slice(type[0].length);
  for (let round = 0; round < IMCEA_ROUNDS; round++) {
    const unpacked = unpackImcea(packed);
    const inner = hiddenAddresses(unpacked, budget);
    if (inner === null) return null;
    addresses.push(...inner.addresses);
    gateway ||= inner.gateway;
    if (unpacked === packed) return addresses.length === 0 ? null : { addresses, gateway };
    packed = unpacked;
  }
  return null;
}

/** A server may map a name before it looks at it, in width (RFC 8265 §3.3.1) or by NFKC: ＠ and ﹫ are @ to it. */
function inUsualWidth(local: string): string {
  return local
    .replace(/\xef\xbc\xa0|\xef\xb9\xab/g, '@')
    .replace(/\xef\xbc\x85|\xef\xb9\xaa/g, '%')
    .replace(/\xef\xbc\x81|\xef\xb9\x97/g, '!');
}

/** An X.400 address may hold an RFC 822 one, with (a) for @, (p) for %, (b) for ! (RFC 2156 §3.2). */
function unpackX400(local: string): string {
  if (!/rfc-?822/i.test(local)) return local;
  return local.replace(/\(a\)/gi, '@').replace(/\(p\)/gi, '%').replace(/\(b\)/gi, '!');
}

function unpackImcea(packed: string): string {
  return packed
    .replace(/_/g, '/')
    .replace(/\+([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** What a client meant to name, for the log and the reply, when it does not parse. */
function writtenIn(text: string, at: number): string {
  const argument = text.slice(at).trim();
  const close = argument.lastIndexOf('>');
  return argument.startsWith('<') ? argument.slice(1, close === -1 ? undefined : close) : argument;
}
