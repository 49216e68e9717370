// `file:NAME` among the entries of a list: the entries that the file holds take its place, one a line, behind # comments.
//
// This is done once, to what was parsed, before anybody asks what the lists mean, so that it holds for every list there is
// and will be, and nothing behind it knows of files. What begins with file: and is no entry of a list is an error, never a
// value: a login or a domain of that name is nobody's, and a deny of it would deny nobody. Paths into the longer lists lead
// to the line of the file (`place`), and findings are told by the index as written (`asWritten`).

import { Pile } from '../policy/pile.ts';
import type { Path, Place } from '../policy/problem.ts';
import { formatPath } from '../policy/problem.ts';
import { first, STEP, type Steps } from '../policy/steps.ts';
import { beside } from './beside.ts';
import type { Finding } from './finding.ts';
import type { PlaceOf } from './shape.ts';
import { explainCharacter, type ReadOctets } from './source.ts';

export interface Unfolded {
  /** Where a list is long, with its first entry alone: a schema would look at all of them in one go. */
  readonly data: unknown;
  readonly longLists: readonly LongList[];
  readonly findings: readonly Finding[];
  /** Of a path into `data`. */
  readonly place: PlaceOf;
  /** What was found in `data`, as the document counts its entries, without what follows from faults of list files alone. */
  asWritten(findings: readonly Finding[]): Finding[];
}

/** The entries of a long list, each a text of one line. */
export interface LongList {
  readonly path: Path;
  readonly entries: readonly string[];
}

/** One line of a list file that is no comment. */
export interface Line {
  readonly text: string;
  readonly place: Place;
  /** What is wrong with it whatever the list is for; null: nothing. */
  readonly fault: string | null;
}

/** Where neighbours in an unfolded list come from. */
interface Origin {
  /** The place of the first of them. */
  readonly start: number;
  /** As written: of the one entry that names the list file, or of the first where they stand in the document itself. */
  readonly index: number;
  /** The list file; null: the document. */
  readonly file: string | null;
  /** Of each in the list file: line and column in one number, since there may be a million; 0 behind the last. */
  readonly places: Float64Array;
}

const NO_PLACES = new Float64Array(0);

function longer(places: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(places.length * 2);
  grown.set(places);
  return grown;
}

const COLUMNS = 2 ** 20;
const LONG = 1000; // entries

/** Lists whose entries are no texts. */
const BLOCKS: ReadonlySet<string> = new Set(['listeners', 'certificates', 'connectors', 'rules']);

const PREFIX = /^\s*file\s*:\s*/i;

/** The name of the list file that an entry means; null: it means itself. */
function namedFile(entry: unknown): string | null {
  if (typeof entry !== 'string' || !PREFIX.test(entry)) return null;
  return entry.replace(PREFIX, '').trim();
}

/** `read` is given paths as they are opened; paths in the document are meant from where the file stands that says them. */
export function* unfoldLists(
  data: unknown,
  place: PlaceOf,
  read: (path: string) => Steps<ReadOctets>,
): Steps<Unfolded> {
  const findings: Finding[] = [];
  const origins = new Map<string, readonly Origin[]>();
  const longLists: LongList[] = [];
  /** Lists that came out empty, and whether that is a fault of their files. */
  const emptied = new Map<string, 'faulty' | 'empty'>();
  const add = (severity: Finding['severity'], path: Path, message: string, at = place(path)): void => {
    findings.push({ ...at, severity, key: formatPath(path), message });
  };

  /** Puts the sound entries of a list file behind `entries`; false when something is wrong with it. */
  const unfoldEntry = function* (
    name: string,
    path: Path,
    index: number,
    entries: Pile<unknown>,
    from: Origin[],
  ): Steps<boolean> {
    if (name === '') {
      add('error', path, 'the name of a file is wanted behind file:');
      return false;
    }
    const said = place(path);
    const file = beside(said.line === 0 ? null : said.file, name);
    const content = yield* read(file);
    if ('problem' in content) {
      add('error', path, content.problem);
      return false;
    }
    const start = entries.length;
    let places = new Float64Array(16);
    let count = 0;
    for (const { text, place: at, fault } of linesOf(content.octets, file)) {
      if (++count % STEP === 0) yield;
      if (fault !== null) add('error', path, fault, at);
      else {
        const place = entries.push(text) - 1 - start;
        if (place === places.length) places = longer(places);
        places[place] = at.line * COLUMNS + Math.min(at.column, COLUMNS - 1);
      }
    }
    from.push({ start, index, file, places });
    if (count === 0) add(...sayEmpty(file, path, content.octets));
    return entries.length - start === count;
  };

  const unfoldList = function* (list: readonly unknown[], path: Path): Steps<unknown[]> {
    const pile = new Pile<unknown>();
    const from: Origin[] = [];
    let sound = true;
    for (const [index, entry] of list.entries()) {
      const name = namedFile(entry);
      if (name === null) {
        if (from.length === 0 || from.at(-1)?.file !== null)
          from.push({ start: pile.length, index, file: null, places: NO_PLACES });
        pile.push(yield* unfold(entry, [...path, index]));
        continue;
      }
      if (BLOCKS.has(String(path.at(-1)))) {
        add('error', [...path, index], `${path.at(-1)} are blocks of keys, which no list file holds: write them here`);
        sound = false;
        continue;
      }
      if (!(yield* unfoldEntry(name, [...path, index], index, pile, from))) sound = false;
    }
    origins.set(formatPath(path), from);
    const entries = yield* pile.toArray();
    if (entries.length === 0) emptied.set(formatPath(path), sound ? 'empty' : 'faulty');
    if (entries.length <= LONG || (yield* first(entries, (entry) => typeof entry !== 'string')) !== undefined)
      return entries;
    longLists.push({ path, entries: entries as string[] });
    return entries.slice(0, 1);
  };

  const unfold = function* (value: unknown, path: Path): Steps<unknown> {
    if (Array.isArray(value)) {
      if ((yield* first(value, (entry) => namedFile(entry) !== null)) !== undefined)
        return yield* unfoldList(value, path);
      const entries: unknown[] = [];
      for (const [i, entry] of value.entries())
        entries.push(typeof entry === 'object' ? yield* unfold(entry, [...path, i]) : entry);
      return entries;
    }
    if (typeof value !== 'object' || value === null) return value;
    const unfolded: [string, unknown][] = [];
    for (const [key, inner] of Object.entries(value)) {
      const at = [...path, key];
      if (namedFile(key) !== null) add('error', at, `'${key}' is no name: ${ONLY_IN_LISTS}`, place(at, 'key'));
      unfolded.push([key, yield* unfold(inner, at)]);
    }
    return Object.fromEntries(unfolded);
  };

  const originOf = (list: string, step: number): Origin | undefined =>
    origins.get(list)?.findLast(({ start }) => start <= step);
  const indexOf = ({ file, index, start }: Origin, step: number): number => index + (file === null ? step - start : 0);

  const unfolded = yield* unfold(data, []);
  return {
    data: unfolded,
    longLists,
    findings,
    place: (path, at) => {
      const step = path.at(-1);
      const from = typeof step === 'number' ? originOf(formatPath(path.slice(0, -1)), step) : undefined;
      if (from === undefined) return place(path, at);
      const packed = from.places[(step as number) - from.start];
      if (from.file === null || packed === undefined)
        return place([...path.slice(0, -1), indexOf(from, step as number)], at);
      return { file: from.file, line: Math.floor(packed / COLUMNS), column: packed % COLUMNS };
    },
    asWritten: (found) =>
      found.flatMap((finding) => {
        const list = emptied.get(finding.key);
        if (list === 'faulty' || (list === 'empty' && finding.severity !== 'error')) return [];
        const [, key = '', index] = /^(.*)\[([0-9]+)\]$/.exec(finding.key) ?? [];
        const from = originOf(key, Number(index));
        return [from === undefined ? finding : { ...finding, key: `${key}[${indexOf(from, Number(index))}]` }];
      }),
  };
}

/** Puts the long lists where a schema has found their first entries; false where it has made something else of one. */
export function restoreLongLists(value: unknown, lists: readonly LongList[]): boolean {
  return lists.every(({ path, entries }) => {
    let holder = value;
    for (const step of path.slice(0, -1)) holder = (holder as Record<string, unknown> | undefined)?.[step];
    const key = path.at(-1) as string;
    const found = (holder as Record<string, unknown> | undefined)?.[key];
    if (!Array.isArray(found) || found.length !== 1 || found[0] !== entries[0]) return false;
    (holder as Record<string, unknown>)[key] = entries;
    return true;
  });
}

const BLOCK = 1 << 16; // octets that become text at once
const LINE_FEED = 0x0a;
const LATER = new TextDecoder('utf-8', { ignoreBOM: true }); // a mark stands at the beginning, or is one that nobody sees

/** The lines of a list file without comments and blanks. Lines end as Unix or as Windows ends them. */
export function* linesOf(octets: Uint8Array, file: string): Iterable<Line> {
  let decoder = new TextDecoder();
  let number = 0;
  for (let at = 0; at < octets.length; ) {
    const end = octets.indexOf(LINE_FEED, Math.min(octets.length, at + BLOCK)) + 1 || octets.length;
    const rows = decoder.decode(octets.subarray(at, end)).split('\n');
    if (octets[end - 1] === LINE_FEED) rows.pop();
    for (const row of rows) {
      const line = lineOf(row, file, ++number);
      if (line !== null) yield line;
    }
    at = end;
    decoder = LATER;
  }
}

function lineOf(written: string, file: string, number: number): Line | null {
  if (PLAIN_LINE.test(written)) return { text: written, place: { file, line: number, column: 1 }, fault: null };
  const line = written.replace(/(^|[ \t])#.*/, '').replace(/[ \t\r]+$/, '');
  const entry = line.replace(/^[ \t]+/, '');
  if (entry === '') return null;
  const at = { file, line: number, column: line.length - entry.length + 1 };
  return { text: entry, place: at, fault: faultOf(entry) };
}

/** Most lines: a word of visible ASCII that is no comment, names no file and is in no quotes. */
const PLAIN_LINE = /^(?!file)[!$-&(-~][!$-~]*$/i;

function faultOf(entry: string): string | null {
  if (namedFile(entry) !== null) return 'a list file cannot name another file';
  const character = explainCharacter(entry);
  if (character !== null) return character;
  const quoted = /^(['"])(.*)\1$/.exec(entry);
  if (quoted !== null) return `${entry}: a list file needs no quotes: ${quoted[2]} is meant?`;
  if (/^- /.test(entry))
    return `'${entry}': a list file has no dashes, just one entry a line: ${entry.slice(2).trim()}`;
  return null;
}

/** An empty list never holds; where it would forbid, an administrator may well mean that, and a file without a word
 * is one that was cut off. Without bindings a
 * connector answers everywhere, which nobody means who names some. */
function sayEmpty(file: string, path: Path, octets: Uint8Array): [Finding['severity'], Path, string] {
  if (path.at(-2) === 'bindings')
    return ['error', path, `${file} lists nothing, and a connector without bindings answers everywhere: name one`];
  const turned = path.filter((step) => step === 'not').length % 2 === 1;
  const forbids = path.includes('deny') || path.includes('blocked_domains');
  const always = turned ? ', and what stands under not always does' : '';
  if (forbids && !turned && octets.every((octet) => octet <= 0x20))
    return [
      'warning',
      path,
      `${file} lists nothing, so it forbids nothing: a comment in it (#) says that this is meant`,
    ];
  return [forbids && !turned ? 'note' : 'warning', path, `${file} lists nothing, so it never holds${always}`];
}

const ONLY_IN_LISTS = 'file: names a list file only as an entry of a list';

/** Texts that begin with file: and are not read as such, but where something has been found already. */
export function strayFiles(data: unknown, place: PlaceOf, found: readonly Finding[]): Finding[] {
  const known = new Set(found.map(({ key }) => key));
  const strays: Finding[] = [];
  const look = (value: unknown, path: Path): void => {
    if (Array.isArray(value)) for (const [i, entry] of value.entries()) look(entry, [...path, i]);
    else if (typeof value === 'object' && value !== null)
      for (const [key, inner] of Object.entries(value)) look(inner, [...path, key]);
    else {
      const name = namedFile(value);
      const key = formatPath(path);
      if (name === null || known.has(key)) return;
      const message = isFileName(path)
        ? `'${value}': the name of the file is wanted alone, as ${name}`
        : `'${value}': ${ONLY_IN_LISTS}`;
      strays.push({ ...place(path), severity: 'error', key, message });
    }
  };
  look(data, []);
  return strays;
}

/** Keys whose value is the name of a file. */
function isFileName(path: Path): boolean {
  return /(^|_)(file|ca|cert|key|policy)$/.test(String(path.at(-1)));
}
