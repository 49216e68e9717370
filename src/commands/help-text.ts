// What a command says with --help, read: its usage, its paragraphs, its entries, and the options among these.
//
// The text that people read is the definition; completion and the manual pages are made of it, so there is no second list to
// keep. Where it could be read in two ways the text is to be written otherwise: two blanks end a term, four at most begin one.

/** An option as written in a term: `--mode enforce|observe`. */
export interface HelpOption {
  /** With its dashes. */
  readonly name: string;
  /** As written; null where it takes none. */
  readonly argument: string | null;
  /** It may be left out: `[config|policy]`. */
  readonly optional: boolean;
}

export interface Entry {
  /** 2, or 4 for what belongs to an entry above. */
  readonly depth: number;
  readonly term: string;
  /** Empty: the term says it, or heads those below. */
  readonly text: string;
  /** Empty where it is something else. */
  readonly options: readonly HelpOption[];
}

/** A paragraph, or entries that stand together. */
export type Part = { readonly paragraph: string } | { readonly entries: readonly Entry[] };

export interface HelpText {
  /** Without 'Usage: '. */
  readonly usage: readonly string[];
  readonly parts: readonly Part[];
}

export function readHelp(text: string): HelpText {
  const [head = '', ...rest] = text.trimEnd().split('\n\n');
  const usage = head.split('\n').map((line) => line.replace(/^Usage:|^ {6}/, '').trim());
  return { usage, parts: rest.flatMap(partsOf) };
}

function partsOf(block: string): Part[] {
  const parts: Part[] = [];
  let entries: Entry[] | null = null;
  for (const line of block.split('\n')) {
    const last = parts.at(-1);
    const begun = /^( {2}| {4})(\S.*?)(?: {2,}(\S.*))?$/.exec(line);
    if (begun !== null) {
      const [, indent = '', term = '', said = ''] = begun;
      const entry = { depth: indent.length, term, text: said, options: optionsIn(term) };
      if (entries === null) {
        entries = [];
        parts.push({ entries });
      }
      entries.push(entry);
    } else if (line.startsWith(' ') && entries !== null) {
      const entry = entries.pop() as Entry;
      entries.push({ ...entry, text: joined(entry.text, line) });
    } else {
      entries = null;
      if (last !== undefined && 'paragraph' in last)
        parts[parts.length - 1] = { paragraph: joined(last.paragraph, line) };
      else parts.push({ paragraph: line });
    }
  }
  return parts;
}

function joined(before: string, line: string): string {
  return before === '' ? line.trim() : `${before} ${line.trim()}`;
}

function optionsIn(term: string): HelpOption[] {
  if (!term.startsWith('--')) return [];
  return [...term.matchAll(/(--[a-z-]+)(?: ([^-\s]\S*))?/g)].map(([, name = '', written]) => ({
    name,
    argument: written?.replace(/^\[(.*)\]$/, '$1') ?? null,
    optional: written?.startsWith('[') === true,
  }));
}

/** Everything that stands under a term, from all parts. */
export function entriesOf(help: HelpText): Entry[] {
  return help.parts.flatMap((part) => ('entries' in part ? part.entries : []));
}

/** The words that an argument may be, `enforce|observe`; what stands in capitals is no word but a kind. */
export function wordsOf(argument: string): string[] {
  return argument.includes('|') ? argument.split('|').filter((word) => !/[A-Z]/.test(word)) : [];
}

/** Whether an argument is a file, by the name that it has in the text. */
export function isFile(argument: string): boolean {
  return /^(?:FILE|F|LOG|PATH|OLD|NEW)…?$/.test(argument);
}

/** What stands behind the command, options aside: the arguments of its usage. */
export function operandsOf(help: HelpText): string[] {
  const words = help.usage.flatMap((line) =>
    line
      .replace(/ > .*| --.*| \[.*/, '')
      .split(' ')
      .slice(2),
  );
  return [...new Set(words)].filter((word) => word !== '');
}
