// Manual pages in the macros of man(7), which groff and mandoc both read.

/** Text for a line of its own: nothing in it is taken for a request or an escape. */
export function roff(text: string): string {
  const escaped = [...text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('…', '...')]
    .map((sign) =>
      sign > '~' ? `\\[u${(sign.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}]` : sign,
    )
    .join('');
  // A fingerprint would not go into a line: it may break behind each colon.
  const breakable = escaped.replace(/\S{60,}/g, (word) => word.replaceAll(':', ':\\:'));
  return breakable.replace(/^[.']/, '\\&$&');
}

export function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${roff(text)}\\fR`;
}

/** Options bold, what is to be replaced (in capitals) italic, the rest as it is: as manuals have it. */
export function term(text: string): string {
  const words = text.split(/(\s+|[|[\]=,:/])/).map((word) => {
    if (/^--?[a-z]/.test(word)) return bold(word);
    return /^[A-Z]+…?$/.test(word) ? italic(word) : roff(word);
  });
  return words.join('').replace(/^[.']/, '\\&$&');
}

/** The prose of docs/: `code` bold, **strong** as it is, a link its text. */
export function prose(text: string): string {
  const plain = text.replace(/\[([^\]]+)\]\([^)]+\)/g, '$1').replaceAll('**', '');
  const parts = plain.split('`').map((part, i) => (i % 2 === 1 ? bold(part) : roff(part)));
  return lines(parts.join(''));
}

/** A sentence a line, as troff wants it, none longer than a terminal is wide, and none that begins with a request. */
function lines(text: string): string {
  const sentences = text
    .replace(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.:?]\)?) (?=[^a-z])/);
  return sentences
    .flatMap(wrapped)
    .map((line) => line.replace(/^[.']/, '\\&$&'))
    .join('\n');
}

const WIDTH = 78;

function wrapped(sentence: string): string[] {
  const found: string[] = [];
  let line = '';
  for (const word of sentence.split(' ')) {
    if (line !== '' && line.length + word.length >= WIDTH) {
      found.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...found, line];
}

export function section(name: string): string {
  return `.SH "${roff(name.toUpperCase())}"`;
}

export function subsection(name: string): string {
  return `.SS "${roff(name).replaceAll('"', '\\(dq')}"`;
}

export function paragraph(text: string): string {
  return `.PP\n${prose(text)}`;
}

/** `head` is roff already; so is `text`, and never empty. */
export function tagged(head: string, text: string): string {
  return `.TP\n${head}\n${text}`;
}

/** Lines as they stand, at the begin of a section. */
export function verbatim(text: string): string {
  return `.in +4n\n.EX\n${text.trimEnd().split('\n').map(roff).join('\n')}\n.EE\n.in`;
}

export interface Head {
  readonly name: string;
  readonly section: 1 | 5;
  readonly summary: string;
  /** Of the program. */
  readonly version: string;
  /** The day of that version: pages are the same, whenever they are made. */
  readonly day: string;
  readonly from: string;
}

export function page({ name, section: number, summary, version, day, from }: Head, parts: readonly string[]): string {
  return `${[
    `.\\" Made by npm run docs from ${from}: change it there.`,
    `.TH ${roff(name).toUpperCase()} ${number} "${day}" "postern ${version}" "Postern"`,
    section('name'),
    `${roff(name)} \\- ${roff(summary)}`,
    ...parts,
  ]
    .join('\n')
    .replace(/^(\.S[HS] .*)\n\.PP$/gm, '$1')}\n`;
}
