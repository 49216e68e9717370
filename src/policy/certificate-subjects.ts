// Who a verified client certificate names, as a rule asks for it: a host, or the holder by a distinguished name.
//
// An entry with `=` in it is a distinguished name: `CN=…` alone is the common name, anything longer the whole name in the
// certificate's own order, as `openssl x509 -subject` prints it. All others are domain patterns for its DNS names. Compared
// octet by octet after folding ASCII case, for a no in every case and width. The session has only names that were verified; here is no cryptography.

import { foldAscii } from '../smtp/bytes.ts';
import type { Question } from '../smtp/types.ts';
import { DomainTable, parseDomainPattern, patternIn } from './domains.ts';
import { isTopLevel, type Notes, topLevel, warnOfEmpty } from './lists.ts';
import type { Path } from './problem.ts';
import { foldWidely, fromOctets, toOctets } from './spellings.ts';

export function subjectTest(
  list: readonly string[],
  opening: boolean,
  path: Path,
  notes: Notes,
): ({ question }: { readonly question: Question }) => boolean {
  const hosts = new DomainTable<string>();
  const holders = new Set<string>();
  const fold = (name: string): string => (opening ? foldAscii(name) : foldWidely(fromOctets(name)));
  warnOfEmpty(list, path, notes);
  for (const [i, text] of list.entries()) {
    if (text.includes('=')) {
      const name = parseDistinguishedName(text);
      if (/[*?]/.test(text))
        notes.error(
          [...path, i],
          `'${text}': a distinguished name takes no star; hosts are written without CN=, as '*.example.com'`,
        );
      else if (name === null)
        notes.error([...path, i], `'${text}' is no distinguished name: CN=name or C=DE,O=Example,CN=name is wanted`);
      else holders.add(fold(name));
      continue;
    }
    const pattern = parseDomainPattern(text);
    if (typeof pattern === 'string') {
      notes.error([...path, i], pattern);
      continue;
    }
    if (opening && isTopLevel(text)) notes.warn([...path, i], topLevel(text));
    hosts.add(pattern, text);
  }
  return ({ question }) =>
    question.tlsSubject.some((name) => {
      if (name.includes('=')) return holders.has(fold(name));
      const folded = foldAscii(name);
      return opening ? hosts.holds(folded) : patternIn(hosts, folded) !== null;
    });
}

/** `C = DE, O = Example, CN = a\, b` as the certificate's names are spelled here: octets, without the blanks around `=` `,`
 * and `+`. Null where something is no `type=value`; openssl's own word `subject=` before it is none. */
export function parseDistinguishedName(text: string): string | null {
  const parts = toOctets(text).match(/(?:\\.|[^\\,+])+|[\\,+]/gs) ?? [];
  const spelled = parts.map((part) => {
    if (part === ',' || part === '+') return part;
    const match = /^ *(?!subject *=)([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+) *= *((?:\\.|[^\\"])+)$/s.exec(part);
    const [, type, value] = match ?? [];
    return value === undefined ? null : `${type}=${value.replace(/(?<!\\) +$/, '')}`;
  });
  const alternates = spelled.every((part, i) => part !== null && (part === ',' || part === '+') === (i % 2 === 1));
  return alternates && spelled.length % 2 === 1 ? spelled.join('') : null;
}
