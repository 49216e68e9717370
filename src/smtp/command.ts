// One command line → one command (RFC 5321 §4.1). An allow-list: what does not parse here is never forwarded.
//
// Only the grammar. Whether a verb or parameter was offered, and whether it is its turn, is the session's to say.
// Deliberately not tolerated: blanks before the verb, tabs, two blanks in `MAIL  FROM:`. Every one of these is read as a
// RCPT by some server and as something else by another. More than one blank behind EHLO, HELO or a colon every server
// reads as one (test/real/honest-lines.test.ts).

import { type BadPath, type ForwardPath, isUtf8Text, type Path, parseForwardPath, parseReversePath } from './path.ts';

/** ESMTP parameters by upper-case keyword; null where there is no value (RFC 5321 §4.1.2 esmtp-param). */
export type Parameters = ReadonlyMap<string, string | null>;

export type Command =
  | { readonly verb: 'EHLO' | 'HELO'; readonly name: string }
  | { readonly verb: 'MAIL'; readonly path: Path; readonly parameters: Parameters; readonly utf8: boolean }
  | { readonly verb: 'RCPT'; readonly path: ForwardPath; readonly parameters: Parameters }
  | { readonly verb: 'DATA' | 'RSET' | 'NOOP' | 'QUIT' | 'VRFY' | 'EXPN' | 'HELP' }
  | { readonly verb: 'STARTTLS' | 'X-ANONYMOUSTLS' }
  | { readonly verb: 'BDAT'; readonly size: number; readonly last: boolean }
  | { readonly verb: 'AUTH' | 'X-EXPS'; readonly mechanism: string; readonly initial: string | null }
  | { readonly verb: 'XEXCH50'; readonly size: number }
  | { readonly verb: 'X-LINK2STATE' | 'XRDST' | 'XSHADOW' | 'XQDISCARD' }
  | { readonly verb: 'bad recipient'; readonly path: BadPath } // what was written, and whether it is a trick
  | { readonly verb: BadVerb };

/** What a line is when it is no command: its own pseudo-verb, so that the session has one switch. */
export type BadVerb =
  | 'unknown' // no verb of ours
  | 'unavailable' // a known verb that never passes
  | 'foreign protocol' // HTTP
  | 'bad argument'
  | 'bad sender'
  | 'bad parameter'
  | 'bad BDAT';

const BDAT_LIMIT = 0x7fffffff; // protocol.md 4: upstreams read sizes as 32-bit numbers, signed or not

// Real verbs that would open a second transaction, turn the roles or name another client.
const UNAVAILABLE = new Set(
  `ETRN TURN ATRN SEND SOML SAML BURL XCLIENT XFORWARD XPROXY XPROXYFROM XPROXYTO XADR XSTA XCIR
  XGEN XAUTH XSESSIONPARAMS XATTR XSYSPROBE VERB ONEX DEBUG WIZ KILL`.split(/\s+/),
);
const HTTP = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'PRI']);

const NO_PARAMETERS: Parameters = new Map();
const BARE = {
  DATA: { verb: 'DATA' },
  RSET: { verb: 'RSET' },
  QUIT: { verb: 'QUIT' },
  STARTTLS: { verb: 'STARTTLS' },
  'X-ANONYMOUSTLS': { verb: 'X-ANONYMOUSTLS' },
} as const;

const bad = (verb: BadVerb): Command => ({ verb });
const badRecipient = (path: BadPath): Command => ({ verb: 'bad recipient', path });

/** Parses a line without its CRLF. `utf8`: the open transaction's MAIL gave SMTPUTF8, so RCPT may use it. */
export function parseCommand(line: string, utf8: boolean): Command {
  let end = line.length;
  while (end > 0 && line[end - 1] === ' ') end--; // RFC 5321 §4.1.1: tolerate trailing white space
  const text = end === line.length ? line : line.slice(0, end);
  const space = text.indexOf(' ');
  const verb = upper(space === -1 ? text : text.slice(0, space));
  const argument = space === -1 ? '' : text.slice(space + 1);
  switch (verb) {
    case 'RCPT':
      return parseRcpt(argument, utf8);
    case 'MAIL':
      return parseMail(argument);
    case 'DATA':
    case 'RSET':
    case 'QUIT':
    case 'STARTTLS':
    case 'X-ANONYMOUSTLS':
      return argument === '' ? BARE[verb] : bad('bad argument');
    case 'EHLO':
    case 'HELO':
      return isName(argument) ? { verb, name: argument.slice(behindBlanks(argument, 0)) } : bad('bad argument');
    case 'NOOP':
    case 'VRFY':
    case 'EXPN':
    case 'HELP':
      return isPlain(argument) ? { verb } : bad('bad argument');
    case 'BDAT':
      return parseBdat(line.slice(5));
    case 'AUTH':
    case 'X-EXPS':
      return parseAuth(verb, argument);
    case 'XEXCH50':
      return parseXexch50(argument);
    case 'X-LINK2STATE':
    case 'XRDST':
    case 'XSHADOW':
    case 'XQDISCARD':
      return isPlain(argument) ? { verb } : bad('bad argument');
    default:
      if (UNAVAILABLE.has(verb)) return bad('unavailable');
      return bad(HTTP.has(verb) ? 'foreign protocol' : 'unknown');
  }
}

function parseMail(argument: string): Command {
  if (upper(argument.slice(0, 5)) !== 'FROM:') return bad('bad sender');
  const eightBit = /[\x80-\xff]/.test(argument);
  const path = isUtf8Text(argument) ? parseReversePath(argument, behindBlanks(argument, 5), eightBit) : null;
  if (path === null) return bad('bad sender');
  const parameters = parseParameters(argument, path.end, eightBit);
  if (parameters === null) return bad('bad parameter');
  const utf8 = parameters.has('SMTPUTF8');
  return eightBit && !utf8 ? bad('bad sender') : { verb: 'MAIL', path, parameters, utf8 };
}

function parseRcpt(argument: string, utf8: boolean): Command {
  if (upper(argument.slice(0, 3)) !== 'TO:') return badRecipient({ trick: false, written: argument });
  const isWide = utf8 && isUtf8Text(argument);
  const path = parseForwardPath(argument, behindBlanks(argument, 3), isWide);
  if (!('address' in path)) return badRecipient(path);
  // A bracket behind the path would be the path to a server that looks for the first `<` of the line (Sendmail does).
  if (/[<>]/.test(argument.slice(path.end))) return bad('bad parameter');
  const parameters = parseParameters(argument, path.end, isWide);
  return parameters === null ? bad('bad parameter') : { verb: 'RCPT', path, parameters };
}

/** Blanks behind the colon are tolerated: old clients and R's sendmailR write them, and every server reads over them. */
function behindBlanks(argument: string, at: number): number {
  let end = at;
  while (argument[end] === ' ') end++;
  return end;
}

/** RFC 5321 §4.1.2: keywords each once, values of printable octets, or (RFC 6531) of UTF-8. Null when they do not parse. */
function parseParameters(text: string, at: number, utf8: boolean): Parameters | null {
  if (at >= text.length) return NO_PARAMETERS;
  const parameters = new Map<string, string | null>();
  for (const word of text.slice(at + 1).split(' ')) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const keyword = upper(equals === -1 ? word : word.slice(0, equals));
    const value = equals === -1 ? null : word.slice(equals + 1);
    if (!/^[A-Z0-9][A-Z0-9-]*$/.test(keyword) || parameters.has(keyword)) return null;
    if (value !== null && !(utf8 ? /^[\x21-\x7e\x80-\xff]+$/ : /^[\x21-\x7e]+$/).test(value)) return null;
    parameters.set(keyword, value);
  }
  return parameters;
}

/** RFC 3030 §2; digits only, since some servers read 0x10, 010, +5, -1 and 4294967297 in ways of their own. Nor are trailing blanks
 * tolerated: the octets go up behind the line, and a server that refuses it would read them as commands. */
function parseBdat(argument: string): Command {
  const match = /^(0|[1-9][0-9]{0,9})( LAST)?$/i.exec(argument);
  const size = match === null ? Number.POSITIVE_INFINITY : Number.parseInt(match[1] as string, 10);
  return size <= BDAT_LIMIT ? { verb: 'BDAT', size, last: match?.[2] !== undefined } : bad('bad BDAT');
}

function parseAuth(verb: 'AUTH' | 'X-EXPS', argument: string): Command {
  const match = /^([A-Za-z0-9_-]{1,40})(?: ([A-Za-z0-9+/=]+))?$/.exec(argument);
  if (match === null) return bad('bad argument');
  return { verb, mechanism: upper(match[1] as string), initial: match[2] ?? null };
}

/** KB 812455: two numbers, of which the first counts the raw octets that follow a 354. */
function parseXexch50(argument: string): Command {
  const match = /^(0|[1-9][0-9]{0,9}) [0-9]{1,10}$/.exec(argument);
  const size = match === null ? Number.POSITIVE_INFINITY : Number.parseInt(match[1] as string, 10);
  return size <= BDAT_LIMIT ? { verb: 'XEXCH50', size } : bad('bad argument');
}

/** Octets that stay on one line, even for a server that clears the high bit: 0x8A and 0x8D would be its LF and CR. */
function isPlain(argument: string): boolean {
  return !/[\x00-\x1f\x7f\x8a\x8d]/.test(argument);
}

/** In names of computers those two stand as well: in č and э of UTF-8, Š of Windows, К and Н of DOS. They may where that server
 * would find no command behind them that takes an argument, since no blank and no colon follows, whatever their high bit. */
function isName(argument: string): boolean {
  if (/[\x00-\x1f\x7f]/.test(argument)) return false;
  const end = argument.search(/[\x8a\x8d]/); // at first, and then what is behind: not both at once, which costs the square of the length
  return end === -1 || !/[ :\x89\xa0\xba]/.test(argument.slice(end));
}

function upper(text: string): string {
  return /[a-z]/.test(text) ? text.replace(/[a-z]+/g, (letters) => letters.toUpperCase()) : text;
}
