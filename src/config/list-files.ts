// `file:NAME` among the entries of a list: the entries that the file holds take its place, one a line, behind # comments.
//
// This is done once, to what was parsed, before anybody asks what the lists mean, so that it holds for every list there is
// and will be, and nothing behind it knows of files. What begins with file: and is no entry of a list is an error, never a
// value: a login or a domain of that name is nobody's, and a deny of it would deny nobody. Paths into the longer lists lead
// to the line of the file (`place`), and findings are told by the index as written (`asWritten`).

import type { Path, Place } from '../policy/problem.ts';
import { formatPath } from '../policy/problem.ts';
import { beside } from './beside.ts';
import type { Finding } from './finding.ts';
import type { PlaceOf } from './shape.ts';
import { explainCharacter, type ReadText } from './source.ts';

export interface Unfolded {
  readonly data: unknown;
  readonly findings: readonly Finding[];
  /** Of a path into `data`. */
  readonly place: PlaceOf;
  /** What was found in `data`, as the document counts its entries, without what follows from faults of list files alone. */
  asWritten(findings: readonly Finding[]): Finding[];
}

/** One line of a list file that is no comment. */
export interface Line {
  readonly text: string;
  readonly place: Place;
  /** What is wrong with it whatever the list is for; null: nothing. */
  readonly fault: string | null;
}

/** Where an entry of an unfolded list comes from. */
interface Origin {
  /** As written. */
  readonly index: number;
  /** In the list file; null where the entry stands in the document itself. */
  readonly place: Place | null;
}

/** Lists whose entries are no texts. */
const BLOCKS: ReadonlySet<string> = new Set(['listeners', 'certificates', 'connectors', 'rules']);

const PREFIX = /^\s*file\s*:\s*/i;

/** The name of the list file that an entry means; null: it means itself. */
function namedFile(entry: unknown): string | null {
  if (typeof entry !== 'string' || !PREFIX.test(entry)) return null;
  return entry.replace(PREFIX, '').trim();
}

/** `read` is given paths as they are opened; paths in the document are meant from where the file stands that says them. */
export function unfoldLists(data: unknown, place: PlaceOf, read: (path: string) => ReadText): Unfolded {
  const findings: Finding[] = [];
  const origins = new Map<string, readonly Origin[]>();
  /** Lists that came out empty, and whether that is a fault of their files. */
  const emptied = new Map<string, 'faulty' | 'empty'>();
  const add = (severity: Finding['severity'], path: Path, message: string, at = place(path)): void => {
    findings.push({ ...at, severity, key: formatPath(path), message });
  };

  const unfoldEntry = (name: string, path: Path): { readonly lines: readonly Line[]; readonly sound: boolean } => {
    const nothing = { lines: [], sound: false };
    if (name === '') {
      add('error', path, 'the name of a file is wanted behind file:');
      return nothing;
    }
    const said = place(path);
    const file = beside(said.line === 0 ? null : said.file, name);
    const content = read(file);
    if ('problem' in content) {
      add('error', path, content.problem);
      return nothing;
    }
    const lines = linesOf(content.text, file);
    if (lines.length === 0) add(...sayEmpty(file, path));
    const faulty = lines.filter(({ fault }) => fault !== null);
    for (const { fault, place: at } of faulty) add('error', path, fault as string, at);
    return { lines: lines.filter(({ fault }) => fault === null), sound: faulty.length === 0 };
  };

  const unfoldList = (list: readonly unknown[], path: Path): unknown[] => {
    const entries: unknown[] = [];
    const from: Origin[] = [];
    let sound = true;
    for (const [index, entry] of list.entries()) {
      const name = namedFile(entry);
      if (name === null) {
        entries.push(unfold(entry, [...path, index]));
        from.push({ index, place: null });
        continue;
      }
      if (BLOCKS.has(String(path.at(-1)))) {
        add('error', [...path, index], `${path.at(-1)} are blocks of keys, which no list file holds: write them here`);
        sound = false;
        continue;
      }
      const { lines, sound: fine } = unfoldEntry(name, [...path, index]);
      sound &&= fine;
      for (const { text, place: at } of lines) {
        entries.push(text);
        from.push({ index, place: at });
      }
    }
    origins.set(formatPath(path), from);
    if (entries.length === 0) emptied.set(formatPath(path), sound ? 'empty' : 'faulty');
    return entries;
  };

  const unfold = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) {
      if (value.some((entry) => namedFile(entry) !== null)) return unfoldList(value, path);
      return value.map((entry, i) => unfold(entry, [...path, i]));
    }
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, inner]) => {
      const at = [...path, key];
      if (namedFile(key) !== null) add('error', at, `'${key}' is no name: ${ONLY_IN_LISTS}`, place(at, 'key'));
      return [key, unfold(inner, at)] as const;
    });
    return Object.fromEntries(entries);
  };

  const unfolded = unfold(data, []);
  return {
    data: unfolded,
    findings,
    place: (path, at) => {
      const step = path.at(-1);
      const from = typeof step === 'number' ? origins.get(formatPath(path.slice(0, -1)))?.[step] : undefined;
      if (from === undefined) return place(path, at);
      return from.place ?? place([...path.slice(0, -1), from.index], at);
    },
    asWritten: (found) =>
      found.flatMap((finding) => {
        const list = emptied.get(finding.key);
        if (list === 'faulty' || (list === 'empty' && finding.severity !== 'error')) return [];
        const [, key = '', index] = /^(.*)\[([0-9]+)\]$/.exec(finding.key) ?? [];
        const from = origins.get(key)?.[Number(index)];
        return [from === undefined ? finding : { ...finding, key: `${key}[${from.index}]` }];
      }),
  };
}

/** The lines of a list file without comments and blanks. Lines end as Unix or as Windows ends them. */
export function linesOf(text: string, file: string): Line[] {
  return text.split('\n').flatMap((written, i): Line[] => {
    const line = written.replace(/(^|[ \t])#.*/, '').replace(/[ \t\r]+$/, '');
    const entry = line.replace(/^[ \t]+/, '');
    if (entry === '') return [];
    const at = { file, line: i + 1, column: line.length - entry.length + 1 };
    return [{ text: entry, place: at, fault: faultOf(entry) }];
  });
}

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

/** An empty list never holds; where it would forbid, that is what an administrator may mean for now. Without bindings a
 * connector answers everywhere, which nobody means who names some. */
function sayEmpty(file: string, path: Path): [Finding['severity'], Path, string] {
  if (path.at(-2) === 'bindings')
    return ['error', path, `${file} lists nothing, and a connector without bindings answers everywhere: name one`];
  const turned = path.filter((step) => step === 'not').length % 2 === 1;
  const forbids = path.includes('deny') || path.includes('blocked_domains');
  const always = turned ? ', and what stands under not always does' : '';
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
