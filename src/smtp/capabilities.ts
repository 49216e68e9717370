// The EHLO keywords that may pass, and what each one brings: verbs, and parameters of MAIL and RCPT (RFC 5321 §2.2).
//
// An allow-list, applied to every EHLO reply. A keyword that is not in the table, or whose verb we would refuse, is
// taken out; what it would have brought is then refused when it is sent anyway. Kept lines pass octet for octet; only
// the separator behind the code changes where the last line is another one. STARTTLS is never the upstream's offer but
// ours where TLS ends here, in its place, and not the last line where others stand: blackbox_exporter's own example looks
// for `250-STARTTLS`.
// A few parameters that change neither framing nor grammar nor relaying go to the server though it did not offer them:
// real senders use them behind a HELO, and the server decides.

import type { Parameters } from './command.ts';
import type { Profile } from './types.ts';

interface Keyword {
  /** Whether this profile lets it pass, in TLS or in clear text; left out = always. */
  readonly allowed?: (profile: Profile, tls: boolean) => boolean;
  readonly mail?: readonly string[];
  readonly rcpt?: readonly string[];
}

const chunking = (profile: Profile): boolean => profile.chunking === 'offer';
const vrfy = (profile: Profile): boolean => profile.vrfy === 'forward';
const exchange = (profile: Profile): boolean => profile.exchangeVerbs === 'forward' && profile.relaysAnywhere;
/** The upstream's own TLS, unread by us. Never inside ours (RFC 3207 §4.2). */
const tunnel = (profile: Profile, tls: boolean): boolean =>
  profile.starttls === 'passthrough' && profile.relaysAnywhere && !tls;

const KEYWORDS: ReadonlyMap<string, Keyword> = new Map<string, Keyword>([
  ['PIPELINING', {}], // RFC 2920
  ['SIZE', { mail: ['SIZE'] }], // RFC 1870
  ['8BITMIME', { mail: ['BODY'] }], // RFC 6152
  ['BINARYMIME', { allowed: chunking, mail: ['BODY'] }], // RFC 3030
  ['CHUNKING', { allowed: chunking }], // RFC 3030: BDAT
  ['SMTPUTF8', { mail: ['SMTPUTF8'] }], // RFC 6531
  ['DSN', { mail: ['RET', 'ENVID'], rcpt: ['NOTIFY', 'ORCPT'] }], // RFC 3461
  ['ENHANCEDSTATUSCODES', {}], // RFC 2034
  ['AUTH', { mail: ['AUTH'] }], // RFC 4954
  ['HELP', {}],
  ['VRFY', { allowed: vrfy }],
  ['EXPN', { allowed: vrfy }],
  ['DELIVERBY', { mail: ['BY'] }], // RFC 2852
  ['MT-PRIORITY', { mail: ['MT-PRIORITY'] }], // RFC 6710
  ['FUTURERELEASE', { mail: ['HOLDFOR', 'HOLDUNTIL'] }], // RFC 4865
  ['REQUIRETLS', { mail: ['REQUIRETLS'] }], // RFC 8689
  ['LIMITS', {}], // RFC 9422
  ['NO-SOLICITING', { mail: ['SOLICIT'] }], // RFC 3865
  ['OK', {}], // Exchange 2000 and 2003 end their list with it
  ['TIME', {}],
  ['STARTTLS', { allowed: tunnel }], // RFC 3207
  ['X-ANONYMOUSTLS', { allowed: tunnel }],
  ['X-EXPS', { allowed: exchange }],
  ['XEXCH50', { allowed: exchange }],
  ['X-LINK2STATE', { allowed: exchange }],
  ['XRDST', { allowed: exchange }],
  ['XSHADOW', { allowed: exchange }],
  ['XOORG', { allowed: exchange, mail: ['XOORG'] }],
]);

// SASL mechanisms whose dialogue we can follow. ANONYMOUS and EXTERNAL are never offered: nobody would be named.
const MECHANISMS = new Set(
  'PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER NTLM GSSAPI GSS-SPNEGO'.split(' '),
);

/** Whether an EHLO reply may hold this keyword at all, in whatever case. */
export function isKeyword(word: string): boolean {
  return KEYWORDS.has(word.toUpperCase());
}

/** What one EHLO reply offered, after the filter. */
export class Capabilities {
  readonly #keywords = new Set<string>();
  readonly #mechanisms = new Set<string>();
  readonly #mail = new Set<string>();
  readonly #rcpt = new Set<string>();
  /** RFC 1870: the offered SIZE; Infinity where none was given. */
  size = Number.POSITIVE_INFINITY;

  add(keyword: string, row: Keyword): void {
    this.#keywords.add(keyword);
    for (const parameter of row.mail ?? []) this.#mail.add(parameter);
    for (const parameter of row.rcpt ?? []) this.#rcpt.add(parameter);
  }

  addMechanism(verb: string, mechanism: string): void {
    this.#mechanisms.add(`${verb} ${mechanism}`);
  }

  has(keyword: string): boolean {
    return this.#keywords.has(keyword);
  }

  offersMechanism(verb: string, mechanism: string): boolean {
    return this.#mechanisms.has(`${verb} ${mechanism}`);
  }

  /** Whether every parameter of a MAIL belongs to a keyword that was offered, or is harmless and not hidden by us. */
  allowsMail(parameters: Parameters, profile: Profile, tls: boolean): boolean {
    for (const [parameter, value] of parameters)
      if (!this.#mail.has(parameter) && !isHarmless(HARMLESS_MAIL, parameter, value, profile, tls)) return false;
    return parameters.get('BODY')?.toUpperCase() !== 'BINARYMIME' || this.has('BINARYMIME');
  }

  /** The same for a RCPT. What an ORCPT names that was not offered is the caller's to judge. */
  allowsRcpt(parameters: Parameters, profile: Profile, tls: boolean): boolean {
    for (const [parameter, value] of parameters)
      if (!this.#rcpt.has(parameter) && !isHarmless(HARMLESS_RCPT, parameter, value, profile, tls)) return false;
    return true;
  }
}

/** Parameters of MAIL and RCPT that pass without an offer where they are well formed: the keyword that brings them, which
 * may be hidden, and their form (RFC 1870 §3, RFC 6152 §2, RFC 3461 §4, RFC 4954 §5). */
type Harmless = ReadonlyMap<string, { readonly keyword: string; readonly form: RegExp }>;

const XTEXT = '(?:[!-*,-;?-~]|\\+[0-9A-F]{2})'; // without the brackets that RFC 3461 allows: some server looks for the first one
const HARMLESS_MAIL: Harmless = new Map([
  ['SIZE', { keyword: 'SIZE', form: /^[0-9]{1,20}$/ }],
  ['BODY', { keyword: '8BITMIME', form: /^(7BIT|8BITMIME)$/i }],
  ['RET', { keyword: 'DSN', form: /^(FULL|HDRS)$/i }],
  ['ENVID', { keyword: 'DSN', form: new RegExp(`^${XTEXT}{1,100}$`) }],
  ['AUTH', { keyword: 'AUTH', form: new RegExp(`^(<>|${XTEXT}{1,500})$`) }],
]);
const HARMLESS_RCPT: Harmless = new Map([
  ['NOTIFY', { keyword: 'DSN', form: /^(NEVER|(SUCCESS|FAILURE|DELAY)(,(SUCCESS|FAILURE|DELAY)){0,2})$/i }],
  ['ORCPT', { keyword: 'DSN', form: new RegExp(`^[A-Za-z0-9-]{1,40};${XTEXT}{1,500}$`) }],
]);

function isHarmless(all: Harmless, parameter: string, value: string | null, profile: Profile, tls: boolean): boolean {
  const row = all.get(parameter);
  if (row === undefined || value === null || profile.hideKeywords.has(row.keyword)) return false;
  return (row.keyword !== 'AUTH' || mayLogIn(profile, tls)) && row.form.test(value);
}

function mayLogIn({ auth }: Profile, tls: boolean): boolean {
  return auth === 'offer' || (auth === 'require_tls' && tls);
}

/** Before the first EHLO, and after HELO. */
export const NO_CAPABILITIES = new Capabilities();

interface Filtered {
  /** The reply itself when nothing was changed. */
  readonly bytes: Buffer;
  readonly offered: Capabilities;
}

// Servers say the same to everybody, so the last answer is remembered. Nobody writes to what was offered.
let last: { before: string; profile: Profile; tls: boolean; verb: string; text: string; offered: Capabilities } | null =
  null;

/** Filters a whole 2yz reply to EHLO, or to HELO, to which nothing is added. `tls`: the client's side is encrypted. */
export function filterEhlo(reply: Buffer, profile: Profile, tls: boolean, verb: 'EHLO' | 'HELO' = 'EHLO'): Filtered {
  const before = reply.toString('latin1');
  if (last === null || last.before !== before || last.profile !== profile || last.tls !== tls || last.verb !== verb)
    last = { before, profile, tls, verb, ...filter(before, profile, tls, verb) };
  const { text, offered } = last;
  return { bytes: text === before ? reply : Buffer.from(text, 'latin1'), offered };
}

function filter(
  before: string,
  profile: Profile,
  tls: boolean,
  verb: 'EHLO' | 'HELO',
): { text: string; offered: Capabilities } {
  const offered = new Capabilities();
  const lines = before.split(/(?<=\n)/);
  const kept = [lines[0] as string]; // the greeting name is left alone: Kerberos compares it
  const terminates =
    profile.starttls === 'terminate' && !tls && verb === 'EHLO' && !profile.hideKeywords.has('STARTTLS');
  for (const line of lines.slice(1)) {
    const isTheirs = terminates && /^\d\d\d[ -]STARTTLS[ \r\n]/i.test(line);
    const filtered = isTheirs ? OUR_TLS : filterLine(line, profile, tls, offered);
    if (filtered !== null && !(isTheirs && kept.includes(OUR_TLS))) kept.push(filtered);
  }
  if (terminates) {
    const theirs = kept.indexOf(OUR_TLS);
    if (theirs === -1 || theirs === kept.length - 1) {
      if (theirs !== -1) kept.pop();
      kept.splice(1, 0, OUR_TLS);
    }
    offered.add('STARTTLS', {});
  }
  const text = kept.map((line, index) => withSeparator(line, index === kept.length - 1)).join('');
  return { text, offered };
}

const OUR_TLS = '250-STARTTLS\r\n';

/** The answer to HELO that a server would have given which said this to EHLO. */
export function onlyFirstLine(reply: Buffer): Buffer {
  const text = reply.toString('latin1');
  return Buffer.from(withSeparator(text.slice(0, text.indexOf('\n') + 1), true), 'latin1');
}

/** One line of the reply as it may pass, or null; notes in `offered` what it brings. */
function filterLine(line: string, profile: Profile, tls: boolean, offered: Capabilities): string | null {
  const match = /^(\d\d\d[ -])([^ =\r\n]+)(=?)([^\r\n]*)(\r?\n)$/.exec(line);
  if (match === null) return null;
  const [, code, word, equals, rest, end] = match as unknown as [string, string, string, string, string, string];
  const keyword = word.toUpperCase();
  const row = KEYWORDS.get(keyword);
  if (row === undefined || row.allowed?.(profile, tls) === false || profile.hideKeywords.has(keyword)) return null;
  if (equals !== '' && profile.hideKeywords.has(`${keyword}=`)) return null;
  if (keyword !== 'AUTH' && keyword !== 'X-EXPS') {
    offered.add(keyword, row);
    if (keyword === 'SIZE' && /^ [1-9][0-9]{0,15}$/.test(rest)) offered.size = Number(rest);
    return line;
  }
  if (!mayLogIn(profile, tls)) return null;
  const mechanisms = rest.split(' ').filter((name) => name !== '');
  const known = mechanisms.filter((name) => MECHANISMS.has(name.toUpperCase()));
  if (known.length === 0) return null;
  offered.add(keyword, row);
  for (const name of known) offered.addMechanism(keyword, name.toUpperCase());
  if (known.length === mechanisms.length) return line;
  return `${code}${word}${equals === '' ? ' ' : equals}${known.join(' ')}${end}`;
}

function withSeparator(line: string, last: boolean): string {
  const separator = line[3];
  if (last) return separator === '-' ? `${line.slice(0, 3)} ${line.slice(4)}` : line;
  if (separator === '-') return line;
  return `${line.slice(0, 3)}-${separator === ' ' ? line.slice(4) : line.slice(3)}`; // a lone code has no separator
}
