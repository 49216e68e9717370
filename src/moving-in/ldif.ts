// What ldifde exports of the directory: entries of names and values, folded lines joined, base64 decoded (RFC 2849).
//
// Of the entries only those are kept that say something of SMTP. A line that is none, or base64 that is none, is a fault.

import type { Report } from './imported.ts';
import type { InputFile } from './input-file.ts';
import { SettingsObject } from './settings-object.ts';

export function isLdif({ text }: InputFile): boolean {
  return /^\s*(version: 1\s|#.*\s)*dn::? /i.test(text);
}

/** Names are the distinguished names. */
export function readLdif(file: InputFile, report: Report): SettingsObject[] {
  const entries: SettingsObject[] = [];
  let entry: SettingsObject | null = null;
  for (const { text, offset } of unfolded(file)) {
    const where = file.place(offset);
    if (text === '') entry = null;
    else if (!text.startsWith('#')) {
      const line = /^([A-Za-z][A-Za-z0-9;.-]*)(::?|:<)\s*(.*)$/.exec(text);
      if (line === null) {
        report.fault(
          where,
          `this is no line of an LDIF file: NAME: value or NAME:: base64 is wanted; is the file cut off?`,
        );
        continue;
      }
      const [, name = '', colon, written = ''] = line;
      if (colon === ':<') {
        report.fault(where, `${name} is in another file (${written}): export it without`);
        continue;
      }
      const octets = colon === '::' ? base64(written) : null;
      if (colon === '::' && octets === null) {
        report.fault(where, `${name}: this is no base64, or only a part of it; is the file cut off?`);
        continue;
      }
      if (/^dn$/i.test(name)) {
        entry = new SettingsObject(octets === null ? written : octets.toString('utf8'), where);
        entries.push(entry);
      } else if (entry === null) {
        if (!/^(version|changetype)$/i.test(name))
          report.fault(where, `${name} stands in no entry: a line dn: is wanted before it`);
      } else entry.set({ name, values: [octets ?? written], where });
    }
  }
  if (!/[\r\n]$/.test(file.text))
    report.loud(
      file.place(file.text.length),
      'the end of the file',
      '',
      'cannot be said',
      '',
      'its last line has no end, as ldifde writes one: is it cut off? what stood behind it is not known',
    );
  return entries;
}

function* unfolded(file: InputFile): Generator<{ text: string; offset: number }> {
  let open: { text: string; offset: number } | null = null;
  for (const { text, offset } of file.lines()) {
    if (open !== null && open.text !== '' && text.startsWith(' ')) open.text += text.slice(1);
    else {
      if (open !== null) yield open;
      open = { text: text.trimEnd(), offset };
    }
  }
  if (open !== null) yield open;
}

function base64(text: string): Buffer | null {
  return /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text) ? Buffer.from(text, 'base64') : null;
}

/** The parts of a distinguished name, without their types: `1`, `SMTP`, `Protocols`, `SERVER01`. */
export function namesOf(dn: string): string[] {
  return dn.split(/(?<!\\),/).map((part) => part.replace(/^[^=]*=/, '').replace(/\\(.)/g, '$1'));
}
