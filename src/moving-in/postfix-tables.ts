// Lookup tables of Postfix as their source texts have them: access tables, lists of networks and of domains.
//
// A table that is not among the files, or whose kind needs a server (mysql, ldap …), is null: what it says is not known. Of
// a pattern only what is plainly an address, a domain, or everything below one is read; any other is given back as it is.

import type { Place } from '../policy/problem.ts';
import type { InputFile } from './input-file.ts';
import { logicalLines, type Parameter } from './postconf.ts';

export interface TableEntry {
  readonly key: string;
  /** '' where only keys stand. */
  readonly value: string;
  /** The key is a pattern, without its slashes. */
  readonly isPattern: boolean;
  /** `!/pattern/`, `!192.0.2.0/24`, or what stands inside `if … endif`. */
  readonly isConditional: boolean;
  readonly where: Place;
}

/** Kinds whose source is a text of keys and values. */
const INDEXED = /^(hash|btree|dbm|cdb|lmdb|texthash|sdbm)$/;

export type TableKind = 'indexed' | 'cidr' | 'pattern' | 'static' | 'inline' | null;

export function kindOfTable(type: string): TableKind {
  if (INDEXED.test(type)) return 'indexed';
  if (type === 'cidr' || type === 'static' || type === 'inline') return type;
  return type === 'regexp' || type === 'pcre' ? 'pattern' : null;
}

/** A line of keys and values, or of keys alone: what every table without a better name looks like. One with nothing but remarks
 * holds nobody. */
export function isTable(text: string): boolean {
  return logicalLines(text).every(({ text: line }) =>
    /^(\/.*\/[a-zA-Z]*\s+\S|if\s|endif\s*$|(<>|!?[^\s=<>{}"]+)(\s+[^=<>\s]\S*.*)?$)/.test(line),
  );
}

/** Files that settings name. */
export function pathsIn(parameters: readonly Parameter[]): string[] {
  return parameters.flatMap(({ value }) => value.match(/\/[^\s,{}]+/g) ?? []);
}

export class Tables {
  readonly #files: readonly InputFile[];
  readonly #named: readonly string[];

  /** `named`: all the paths that the settings name. */
  constructor(files: readonly InputFile[], named: readonly string[]) {
    this.#files = files;
    this.#named = named;
  }

  /** The file of a table or list by the last parts of its name; null where none bears it, several do, or it may be the file
   * of another path. */
  file(path: string): InputFile | null {
    const closeness = this.#files.map(({ name }) => commonParts(name, path));
    const most = Math.max(0, ...closeness);
    const [found, other] = this.#files.filter((_, i) => closeness[i] === most);
    if (most === 0 || found === undefined || other !== undefined) return null;
    const rivals = this.#named.filter((one) => one !== path && commonParts(one, path) >= most);
    return rivals.some((one) => commonParts(found.name, one) >= most) ? null : found;
  }

  /** Entries in their order; null: not known. `texthash:/etc/postfix/access`, `inline:{a=b}`. */
  entries(table: string): readonly TableEntry[] | null {
    const [, type = '', path = ''] = /^(?:proxy:)?(\w+):(.*)$/.exec(table) ?? [];
    const kind = kindOfTable(type);
    if (kind === null || kind === 'static' || kind === 'inline') return null;
    const file = this.file(path);
    return file === null ? null : entriesIn(file, kind);
  }
}

/** How many parts are the same, counted from the end: 1 for `copy/access` and `/etc/postfix/access`. */
function commonParts(one: string, other: string): number {
  const [a, b] = [one, other].map((path) =>
    path
      .split(/[\\/:]/)
      .filter((part) => part !== '')
      .reverse(),
  );
  const differ = a?.findIndex((part, i) => part !== b?.[i]) ?? 0;
  return differ === -1 ? (a?.length ?? 0) : differ;
}

function entriesIn(file: InputFile, kind: 'indexed' | 'cidr' | 'pattern'): readonly TableEntry[] {
  let depth = 0;
  return logicalLines(file.text).flatMap(({ text, line }): TableEntry[] => {
    const where = { file: file.name, line, column: 1 };
    if (kind !== 'indexed' && /^if\s/i.test(text)) {
      depth++;
      return [];
    }
    if (kind !== 'indexed' && /^endif\s*$/i.test(text)) {
      depth--;
      return [];
    }
    const pattern = kind === 'pattern' ? /^(!?)(\S)(.*)\2([A-Za-z]*)\s+(\S.*)$/.exec(text) : null;
    if (pattern !== null) {
      const [, not = '', , key = '', flags = '', value = ''] = pattern;
      // Case is folded unless a flag i turns it off.
      return [{ key, value, isPattern: true, isConditional: not !== '' || depth > 0 || flags !== '', where }];
    }
    const [, key = '', value = ''] = /^(\S+)\s*(.*)$/.exec(text) ?? [];
    return [
      {
        key,
        value: value.trim(),
        isPattern: false,
        isConditional: key.startsWith('!') || depth > 0,
        where,
      },
    ];
  });
}

/** What a pattern means, where it is plain: `^user@example\.com$`, `@example\.com$`, `\.example\.com$`, `^example\.com$`. */
export function plainPattern(pattern: string): { kind: 'exact' | 'domain' | 'below'; text: string } | null {
  const match = /^(\^)?(@|\\\.|\(\^\|\\\.\)|\(\\\.\|\^\))?((?:[A-Za-z0-9_@-]|\\\.)+)\$$/.exec(pattern);
  if (match === null) return null;
  const text = (match[3] as string).replaceAll('\\.', '.');
  if (match[1] !== undefined && match[2] === undefined) return { kind: 'exact', text };
  if (match[1] !== undefined) return null;
  if (match[2] === '@') return { kind: 'domain', text };
  return match[2] === undefined || text.includes('@')
    ? null
    : { kind: 'below', text: match[2] === '\\.' ? `.${text}` : text };
}
