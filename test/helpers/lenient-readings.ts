// How the lenient server reads what stands in a line: verbs, paths, sizes, names. Whatever a sloppy server might see there.

/** Servers that compare four letters only read DATA in DATAX and RCPT in RCPTTO. */
const FOUR_LETTERS =
  /^(?:HELO|EHLO|MAIL|RCPT|DATA|BDAT|RSET|NOOP|QUIT|VRFY|EXPN|HELP|AUTH|SOML|SEND|SAML|TURN|ATRN|ETRN|BURL)/;

export function verbOf(line: string): string {
  const upper = line.toUpperCase();
  return FOUR_LETTERS.exec(upper)?.[0] ?? (/^[^ \t]*/.exec(upper)?.[0] as string);
}

/** Whatever stands for the path in the line: between the first bracket and the one that closes it, or else the first
 * word behind the colon, or behind TO or FROM. */
export function pathOf(line: string): string {
  const argument = line.slice(4).replace(/^[^A-Za-z<"]*(?:TO|FROM)?[ \t]*:?[ \t]*/i, '');
  const open = argument.indexOf('<');
  if (open < 0) return /^(?:"(?:\\.|[^"\\])*"|[^ \t])*/.exec(argument)?.[0] ?? '';
  return /^(?:"(?:\\.|[^"\\])*"|[^>])*/.exec(argument.slice(open + 1))?.[0] ?? '';
}

/** BDAT and XEXCH50: decimal digits, or null. */
export function sizeAsWritten(line: string): number | null {
  const digits = /^\S+[ \t]+(\d+)/.exec(line)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The same as scanf's %u reads it: a sign is taken, the number wraps at 2^32, what follows the digits is not seen. */
export function sizeAsC(line: string): number | null {
  const found = /^\S+[ \t]+([+-]?)(\d+)/.exec(line);
  if (found === null) return null;
  const size = BigInt(found[2] as string);
  return Number(BigInt.asUintN(32, found[1] === '-' ? -size : size));
}

export function isPositive(code: number): boolean {
  return code >= 200 && code < 300;
}

/** Whether a SASL response names the one user that this server does not know. */
export function namesBad(response: string): boolean {
  return Buffer.from(response, 'base64').toString('latin1').split('\0').includes('bad');
}

/** The name in the responses; '' where it does not stand there in clear. */
export function loginOf(mechanism: string, responses: readonly string[]): string {
  const [first = ''] = responses.map((response) => Buffer.from(response, 'base64').toString('latin1'));
  const last = Buffer.from(responses.at(-1) ?? '', 'base64').toString('latin1');
  if (mechanism === 'PLAIN') return first.split('\0')[1] ?? '';
  if (mechanism === 'LOGIN') return first;
  return mechanism === 'CRAM-MD5' ? (last.split(' ')[0] ?? '') : '';
}
