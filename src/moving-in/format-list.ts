// The text of Format-List: `Name : value`, a blank line between objects, long values going on below their column.
//
// Lists that PowerShell cut short with … are told, not read: what is missing may be what matters. A table of Format-Table
// is refused for the same reason.

import type { Place } from '../policy/problem.ts';
import { type Exported, type Field, fieldsOf } from './exported.ts';
import type { Fault } from './imported.ts';
import type { InputFile } from './input-file.ts';

const LINE_END = /\r\n|\n|\r/;
const PROPERTY = /^([A-Za-z][\w.]*)( *):(?: (.*)|$)/;

export function isFormatList(text: string): boolean {
  const lines = text.split(LINE_END, 200);
  // A warning in front of what Postfix prints looks like a property.
  return lines.filter((line) => PROPERTY.test(line)).length > lines.filter((line) => /^\w+ = /.test(line)).length;
}

/** A row of dashes below names. */
export function isFormatTable(text: string): boolean {
  return /^ *-{2,}( +-{2,})+ *\r?$/m.test(text);
}

interface Draft extends Place {
  readonly name: string;
  text: string;
}

export function parseFormatList({ name: file, text }: InputFile): readonly Exported[] | Fault {
  const lines = text.split(LINE_END);
  const width = lines.reduce((most, line) => Math.max(most, line.length), 0);
  const objects: Exported[] = [];
  let drafts: Draft[] = [];
  let start = 1;
  const finish = (): void => {
    const fields = drafts.map(({ text: value, ...draft }): Field => ({ ...draft, value: readValue(value) }));
    if (fields.length > 0) {
      objects.push({ types: [], text: null, number: null, fields: fieldsOf(fields), file, line: start, column: 1 });
    }
    drafts = [];
  };
  for (const [i, line] of lines.entries()) {
    const last = drafts.at(-1);
    const match = PROPERTY.exec(line);
    if (match !== null) {
      const [, name = '', gap = '', value = ''] = match;
      // Two objects without a blank line between them: a name comes again.
      if (drafts.some((draft) => draft.name === name)) finish();
      if (drafts.length === 0) start = i + 1;
      drafts.push({ name, text: value, file, line: i + 1, column: name.length + gap.length + 3 });
    } else if (/^\s*$/.test(line)) finish();
    else if (last !== undefined && line.startsWith(' '.repeat(last.column - 1))) {
      // Cut in the middle of a word where the line is full, else at a blank.
      const before = lines[i - 1] as string;
      last.text += `${before.length >= width - 1 || before.endsWith(' ') ? '' : ' '}${line.slice(last.column - 1)}`;
    } else if (!/^(\[PS\]|PS |>>)/.test(line)) {
      return { file, line: i + 1, column: 1, message: `no property of Format-List: 'Name : value' is wanted` };
    }
  }
  finish();
  // Written behind every object, so that a file that was cut off at the end of a line shows it.
  if (lines.at(-1) === '' && (lines.at(-2) ?? '').trim() !== '') {
    const message =
      'Format-List ends with an empty line, and here is none: is the file cut off? Add one where it is whole';
    return { file, line: lines.length, column: 1, message };
  }
  const cutAt = whereCut(objects);
  if (cutAt !== null) return cutAt;
  for (const { fields } of objects) {
    for (const { name, value, line, column } of fields.values()) {
      const message = whyCut(name, value);
      if (message !== null) return { file, line, column, message };
    }
  }
  return objects;
}

/** Objects of one kind have the same properties: the last one has fewer where the file ends too soon. */
function whereCut(objects: readonly Exported[]): Fault | null {
  const last = objects.at(-1);
  const before = objects.at(-2);
  if (last === undefined || before === undefined) return null;
  const missing = [...before.fields.keys()].slice(last.fields.size);
  const begins = [...last.fields.keys()].every((name, i) => name === [...before.fields.keys()][i]);
  if (missing.length === 0 || !begins) return null;
  const { file, line, column } = [...last.fields.values()].at(-1) as Field;
  return {
    file,
    line,
    column,
    message: `${before.fields.get(missing[0] as string)?.name} is missing behind it: is the file cut off?`,
  };
}

function whyCut(name: string, value: Field['value']): string | null {
  const text = String(Array.isArray(value) ? value.at(-1) : value);
  if (/(\.\.\.|…)\}?$/.test(text) && (Array.isArray(value) || text.startsWith('{')))
    return `${name} was cut short by PowerShell: set $FormatEnumerationLimit = -1 before Format-List, or use Export-Clixml`;
  return text.startsWith('{') ? `the list of ${name} is not closed: is the file cut off?` : null;
}

/** `{a, b}` is a list. */
function readValue(written: string): Field['value'] {
  const text = written.trim();
  if (!text.startsWith('{') || !text.endsWith('}')) return text;
  const items = text.slice(1, -1).trim();
  return items === '' ? [] : items.split(/, */);
}
