// Reads a document as its reader does: the blocks that can be copied out of it, its headings, and where it points.
//
// A block that begins with `# name.ext` is a file of that name; blocks of one document may name each other.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Block {
  /** `docs/tls.md:12` */
  readonly where: string;
  readonly language: string;
  readonly text: string;
  /** What its first line calls it. */
  readonly name: string | null;
}

/** The fenced blocks of a document, in order; those inside a list without its indentation. */
export function blocksOf(document: string): Block[] {
  const text = read(document);
  return [...text.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms)].map((found) => {
    const [, indentation = '', language = '', indented = ''] = found;
    const inside = indented.replaceAll(new RegExp(`^${indentation}`, 'gm'), '');
    const line = text.slice(0, found.index).split('\n').length;
    return { where: `${document}:${line}`, language, text: inside, name: /^# (\S+\.\w+)\n/.exec(inside)?.[1] ?? null };
  });
}

/** What its links point at, those to other hosts left out. */
export function linksOf(document: string): string[] {
  return [...prose(document).matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)].map(([, link = '']) => link);
}

/** The anchors that GitHub gives to its headings; a second one of the same name gets -1. */
export function anchorsOf(document: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of prose(document).matchAll(/^#+ (.*)$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-');
    let free = anchor;
    for (let again = 1; anchors.has(free); again++) free = `${anchor}-${again}`;
    anchors.add(free);
  }
  return anchors;
}

/** Without its blocks, in which a `#` is a comment. */
function prose(document: string): string {
  return read(document).replace(/^( *)```.*?^\1```$/gms, '');
}

function read(document: string): string {
  return readFileSync(join(ROOT, document), 'utf8');
}
