// A YAML file, read with its positions, and the traps of YAML explained.
//
// What YAML silently reads as something else than was meant is an error here: "CORP\alice" holds a BEL, an unquoted *
// is an alias, an unquoted # begins a comment, [::]:25 is a list. A file with such an error is not looked at further.

import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import type { Path, Place } from '../policy/problem.ts';
import { formatPath } from '../policy/problem.ts';
import { atOnce, type Steps } from '../policy/steps.ts';
import type { Finding } from './finding.ts';

/** A file that was read; `data` is null when there are findings that make it useless. */
export interface Source {
  readonly file: string;
  readonly data: unknown;
  readonly findings: readonly Finding[];
  /** Where a value stands, or its key; the nearest enclosing one where it was not written. */
  place(path: Path, at?: 'key' | 'value'): Place;
}

/** What a file holds, or a sentence that says why that is not known. A long file is in memory that threads share. */
export type ReadOctets = { readonly octets: Uint8Array } | { readonly problem: string };

/** The same as text. */
export type ReadText = { readonly text: string } | { readonly problem: string };

const LONG = 1 << 20; //   octets; a longer file is read so much at a time
const SETTLED_MS = 20; //  since its last change: one that was emptied a moment ago is about to be filled
const PATIENCE_MS = 2000; // with a file that goes on changing

export function readText(file: string): ReadText {
  return textOf(atOnce(readOctets(file)));
}

/** It is UTF-8. */
export function textOf(read: ReadOctets): ReadText {
  return 'problem' in read ? read : { text: new TextDecoder().decode(read.octets) };
}

export function* readOctets(file: string): Steps<ReadOctets> {
  let octets: Uint8Array | null;
  try {
    if (mayNeverEnd(file)) return { problem: `cannot read ${file}: it is a device or a pipe, and a file is wanted` };
    octets = yield* contentOf(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'it is a folder'
          : code === 'EACCES' || code === 'EPERM'
            ? 'it may not be read by this user'
            : code === 'EBUSY'
              ? 'another program has it open for itself alone' // on Windows
              : (error as Error).message;
    return { problem: `cannot read ${file}: ${why}` };
  }
  if (octets === null) return { problem: `cannot read ${file}: it is being written, try again when it is whole` };
  if ((octets[0] === 0xff && octets[1] === 0xfe) || (octets[0] === 0xfe && octets[1] === 0xff))
    return { problem: `${file} is written in UTF-16: save it as UTF-8` };
  return isUtf8(octets) ? { octets } : { problem: `${file} is not UTF-8: save it as UTF-8` };
}

/** To open a pipe waits for who writes into it, and a device may have no end: nobody would be served meanwhile. What a shell hands
 * over (`<(…)`) has its writer. */
function mayNeverEnd(file: string): boolean {
  const kind = statSync(file);
  return kind.isCharacterDevice() || kind.isBlockDevice() || (kind.isFIFO() && !/^\/(dev|proc)\//.test(file));
}

/** Null: it never held still. */
function* contentOf(file: string): Steps<Uint8Array | null> {
  const end = performance.now() + PATIENCE_MS;
  do {
    const octets = yield* wholeContentOf(file);
    if (octets !== null) return octets;
    yield;
  } while (performance.now() < end);
  return null;
}

/** Null: it was being written. Half a list of what is denied would be a list that lets more through. */
function* wholeContentOf(file: string): Steps<Uint8Array | null> {
  const descriptor = openSync(file, 'r');
  try {
    const before = fstatSync(descriptor);
    if (!before.isFile()) return readFileSync(descriptor);
    const age = Date.now() - before.mtimeMs;
    if (age >= 0 && age < SETTLED_MS) return null; // an age below 0 is of a clock that goes otherwise, and says nothing
    const octets = before.size <= LONG ? readFileSync(descriptor) : yield* longContentOf(descriptor, before.size);
    const { size, mtimeMs } = fstatSync(descriptor);
    const whole = octets.length === size || size === 0; // /proc says 0 of files that hold something
    return whole && size === before.size && mtimeMs === before.mtimeMs ? octets : null;
  } finally {
    closeSync(descriptor);
  }
}

function* longContentOf(descriptor: number, size: number): Steps<Uint8Array> {
  const octets = new Uint8Array(new SharedArrayBuffer(size));
  let read = 0;
  for (let more = -1; more !== 0 && read < size; read += more) {
    more = readSync(descriptor, octets, read, Math.min(LONG, size - read), null);
    yield;
  }
  return octets.subarray(0, read);
}

export function sourceOf(file: string, read: ReadText): Source {
  if ('text' in read) return parseSource(file, read.text);
  const place = { file, line: 1, column: 1 };
  return {
    file,
    data: null,
    findings: [{ ...place, severity: 'error', key: '', message: read.problem }],
    place: () => place,
  };
}

export function parseSource(file: string, text: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  let rows: readonly string[] | null = null;
  const lineAt = (offset: number): string => {
    rows ??= text.split('\n');
    return rows[at(offset).line - 1] ?? '';
  };
  const findings: Finding[] = [];
  const found = (offset: number, message: string, key = ''): void => {
    findings.push({ ...at(offset), severity: 'error', key, message });
  };
  for (const error of document.errors) {
    const trap = error.code === 'DUPLICATE_KEY' ? null : trapInLine(lineAt(error.pos[0]));
    found(error.pos[0], trap ?? explain(error, text));
    if (trap !== null) break; // the errors that follow are its consequences
  }
  const directive = /^(?:[ \t]*(?:#.*)?\r?\n)*%YAML[ \t]+(?!1\.2\b)(\S*)/.exec(text);
  if (directive !== null)
    found(0, `YAML 1.2 is read here, and ${directive[1]} has other numbers and words in it: take out the line %YAML`);
  else if (document.errors.length === 0) lookForTraps(document, text, lineAt, found);
  if (findings.length === 0 && (document.contents === null || !isMap(document.contents)))
    found(0, document.contents === null ? 'the file is empty' : 'the file is no block of keys, as version: 1');
  let data: unknown = null;
  if (findings.length === 0) {
    try {
      data = document.toJS();
    } catch (error) {
      found(0, `it cannot be unfolded: ${(error as Error).message}`);
    }
  }
  return {
    file,
    data: findings.length === 0 ? data : null,
    findings,
    place: (path, wanted = 'value') => at(offsetOf(document, path, wanted)),
  };
}

/** What a YAML error means to who has made it. */
function explain(error: YAMLError, text: string): string {
  const [from, to] = error.pos;
  switch (error.code) {
    case 'BAD_DQ_ESCAPE':
      return `${text.slice(from, Math.max(to, from + 2))}: in double quotes a backslash begins an escape: use single quotes, as 'CORP\\steven'`;
    case 'DUPLICATE_KEY':
      return 'this key stands in the same block already: keep one of them';
    case 'TAB_AS_INDENT':
      return 'a tab cannot indent: use spaces';
    case 'MULTIPLE_DOCS':
      return 'one document is wanted: take out the line ---';
    case 'BAD_ALIAS':
      return "an unquoted * is an alias: use quotes, as '*.example.com'";
    case 'BAD_SCALAR_START':
      return `text cannot begin with ${text[from]}: put it in single quotes`;
    default:
      return `this is not YAML: ${error.message.split('\n')[0]}`;
  }
}

/** Traps that leave YAML with an error somewhere in the same line. */
function trapInLine(line: string): string | null {
  const unquoted = line.replace(/'[^']*'|"(?:[^"\\]|\\.)*"/g, (quoted) => '_'.repeat(quoted.length));
  const bracketed = /\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\](:[0-9]+)?/.exec(unquoted);
  if (bracketed !== null && !/^\[[^:]*\]$/.test(bracketed[0]) && bracketed[0].includes(']:'))
    return `unquoted, ${bracketed[0]} is a list: use quotes, as '${bracketed[0]}'`;
  const comment = /[[,]\s*(#[^\s,\]]+)/.exec(unquoted);
  if (comment !== null) return `an unquoted # begins a comment: use quotes, as '${comment[1]}'`;
  return null;
}

/** Keys whose null says something: who has taken out all that stood below one has not said that. */
const NULL_IS_NONE: ReadonlySet<unknown> = new Set(['admin', 'relayed_file']);

function lookForTraps(document: Document, text: string, lineAt: (offset: number) => string, found: Report): void {
  for (const warning of document.warnings)
    found(warning.pos[0], 'an unquoted ! begins a tag: put the text in single quotes');
  const pathOf = (key: unknown, ancestors: readonly unknown[]): string => formatPath(pathTo(key, ancestors));
  visit(document, {
    Alias(key, node, ancestors) {
      const meant = node.resolve(document);
      if (meant === undefined)
        found(offset(node), `an unquoted * is an alias: use quotes, as '*${node.source}'`, pathOf(key, ancestors));
      else if (ancestors.includes(meant))
        found(offset(node), `*${node.source} stands for what it is in itself: write it out`, pathOf(key, ancestors));
    },
    Pair(_, pair, ancestors) {
      if (isScalar(pair.key) && pair.key.value === '__proto__') {
        // JavaScript keeps something else under it, and whoever copies an object loses it.
        found(offset(pair.key), `'__proto__' cannot be a name here: choose another`, pathOf(null, ancestors));
        return visit.SKIP;
      }
      if (isScalar(pair.key) && NULL_IS_NONE.has(pair.key.value) && isScalar(pair.value) && pair.value.source === '')
        found(
          offset(pair.key),
          'nothing stands behind it: null is none, and left out it is the default',
          pathOf(null, [...ancestors, pair]),
        );
      if (isScalar(pair.key) && typeof pair.key.value === 'string') return undefined;
      const start = isCollection(pair.key) || isScalar(pair.key) ? offset(pair.key) : 0;
      const trap = trapInLine(lineAt(start)) ?? 'a key is text: put it in quotes if it is meant as such';
      found(start, trap, pathOf(null, ancestors));
      return visit.SKIP;
    },
    Scalar(key, node, ancestors) {
      if (node.value === null && /^\s*(- |[^#]*:\s+|- [^#]*:\s+)?#\S/.test(lineAt(offset(node)))) {
        const comment = /#\S*/.exec(lineAt(offset(node)))?.[0];
        if (ancestors.some(isSeq) && isSeq(ancestors.at(-1)))
          found(offset(node), `an unquoted # begins a comment: use quotes, as '${comment}'`, pathOf(key, ancestors));
      }
      if (typeof node.value !== 'string') return;
      const character = explainCharacter(node.value, text.slice(...(node.range ?? [0, 0])));
      if (character !== null) found(offset(node), character, pathOf(key, ancestors));
    },
  });
}

type Report = (offset: number, message: string, key?: string) => void;

/** Characters that nobody sees: control characters, blanks other than the common one, marks of direction and width. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]/u;

/** What is wrong with a text that holds a character of those; null: none. In double quotes (`written`) \a is a BEL, \b a
 * backspace and so on: what CORP\alice becomes. */
export function explainCharacter(value: string, written = ''): string | null {
  const found = UNSEEN.exec(value)?.[0];
  if (found === undefined) return null;
  const code = (found.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0');
  const shown = value.replace(new RegExp(UNSEEN, 'gu'), '?');
  const escaped = written.startsWith('"') && written.includes('\\');
  return escaped
    ? `'${shown}' holds the control character U+${code}: in double quotes a backslash begins an escape, use single quotes, as 'CORP\\alice'`
    : `'${shown}' holds the character U+${code}, which no value here has: write it on one line, without control characters`;
}

function offset(node: { range?: readonly number[] | null | undefined }): number {
  return node.range?.[0] ?? 0;
}

/** The path to a node as visit() meets it. */
function pathTo(key: unknown, ancestors: readonly unknown[]): (string | number)[] {
  const path: (string | number)[] = [];
  for (const [i, ancestor] of ancestors.entries()) {
    if (isPair(ancestor)) {
      if (isScalar(ancestor.key)) path.push(String(ancestor.key.value));
    } else if (isSeq(ancestor)) {
      const next = ancestors[i + 1];
      path.push(next === undefined ? Number(key) : ancestor.items.indexOf(next as never));
    }
  }
  return path;
}

/** The offset of the node at `path`; of the last one on the way that exists, when it does not. */
function offsetOf(document: Document, path: Path, wanted: 'key' | 'value'): number {
  let node: Node | null = document.contents as Node | null;
  let last = node === null ? 0 : offset(node);
  for (const [i, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) return last;
      node = pair.value as Node | null;
      const useKey = node === null || (wanted === 'key' && i === path.length - 1);
      last = offset((useKey ? pair.key : node) as Node);
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as Node | undefined;
      if (item === undefined) return last;
      node = item;
      last = offset(item);
    } else return last;
  }
  return last;
}
