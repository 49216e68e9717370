// CSV, as Export-Csv writes it: a #TYPE line or none, a header, quoted values.
//
// The delimiter is what the header has: comma, semicolon (-UseCulture) or tab. What a list looks like in a cell is for
// exchange-values: Export-Csv writes the name of its type there, and the values are lost.

import type { Place } from '../policy/problem.ts';
import { type Exported, fieldsOf } from './exported.ts';
import type { Fault } from './imported.ts';
import type { InputFile } from './input-file.ts';

interface Cell extends Place {
  readonly text: string;
}

const DELIMITERS = [',', ';', '\t'] as const;
const LINE_END = /\r\n|\n|\r/;

/** A #TYPE line, or a first line of several names. */
export function isCsv(text: string): boolean {
  const [first = '', second = ''] = text.split(LINE_END, 2);
  return first.startsWith('#TYPE ') || delimiterOf(first) !== null || (first === '' && delimiterOf(second) !== null);
}

function delimiterOf(header: string): string | null {
  return DELIMITERS.find((one) => new RegExp(`^"?[A-Za-z]\\w*"?(${one}"?[A-Za-z]\\w*"?)+\\s*$`).test(header)) ?? null;
}

export function parseCsv(file: InputFile): readonly Exported[] | Fault {
  const { text } = file;
  const typeLine = /^#TYPE (\S+)[^\r\n]*(\r\n|\n|\r)/.exec(text);
  const head = typeLine?.[0].length ?? 0;
  const header = /[^\r\n]*/.exec(text.slice(head).replace(/^[\r\n]+/, ''))?.[0] ?? '';
  const delimiter = delimiterOf(header);
  if (delimiter === null) return { ...file.place(head), message: 'no header of CSV: names between commas are wanted' };
  const rows = rowsOf(file, head, delimiter);
  if (!Array.isArray(rows)) return rows as Fault;
  const [names, ...records] = rows as [Cell[], ...Cell[][]];
  const twice = names.find(({ text: name }, i) => names.slice(0, i).some((one) => isSame(one.text, name)));
  if (twice !== undefined) {
    const { file: name, line, column } = twice;
    return { file: name, line, column, message: `a second column ${twice.text}: which of them counts is not known` };
  }
  const objects: Exported[] = [];
  for (const cells of records) {
    const { file: name, line, column } = cells[0] as Cell;
    const place = { file: name, line, column };
    if (cells.length !== names.length)
      return { ...place, message: `${cells.length} of ${names.length} values stand in this row: is the file cut off?` };
    const fields = cells.map((cell, i) => ({ ...cell, name: (names[i] as Cell).text, value: cell.text }));
    const types = typeLine === null ? [] : [typeLine[1] as string];
    objects.push({ types, text: null, number: null, fields: fieldsOf(fields), ...place });
  }
  return objects;
}

/** PowerShell makes no difference between large and small. */
function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Lines that are empty are no rows. */
function rowsOf(file: InputFile, from: number, delimiter: string): Cell[][] | Fault {
  const { text } = file;
  const rows: Cell[][] = [];
  let row: Cell[] = [];
  const cell = new RegExp(`("(?:[^"]|"")*")?([^${delimiter}\\r\\n]*)(${delimiter}|\\r\\n|\\n|\\r|$)`, 'y');
  cell.lastIndex = from;
  while (cell.lastIndex < text.length) {
    const place = file.place(cell.lastIndex);
    const [whole = '', quoted, bare = '', end] = cell.exec(text) ?? [];
    if (whole === '' || (quoted === undefined && bare.startsWith('"')))
      return { ...place, message: 'a quote is opened and not closed: is the file cut off?' };
    if (quoted !== undefined && bare !== '') return { ...place, message: 'something stands behind the closing quote' };
    row.push({ text: quoted === undefined ? bare : quoted.slice(1, -1).replaceAll('""', '"'), ...place });
    if (end === delimiter && cell.lastIndex < text.length) continue;
    if (row.length > 1 || row[0]?.text !== '') rows.push(row);
    row = [];
  }
  return rows;
}
