// The part of a text that a command writes: between `<!-- NAME: … -->` and `<!-- /NAME -->`, markers included in neither.

import { readFileSync, writeFileSync } from 'node:fs';

/** The text with another section; throws when the markers are not there. */
export function withSection(text: string, name: string, section: string): string {
  const begin = text.indexOf(`<!-- ${name}:`);
  const inside = text.indexOf('-->\n', begin) + '-->\n'.length;
  const end = text.indexOf(`<!-- /${name} -->`, inside);
  if (begin === -1 || end === -1) throw new Error(`no markers <!-- ${name}: … --> and <!-- /${name} -->`);
  return `${text.slice(0, inside)}\n${section.trim()}\n\n${text.slice(end)}`;
}

export function writeSection(file: string, name: string, section: string): void {
  writeFileSync(file, withSection(readFileSync(file, 'utf8'), name, section));
}
