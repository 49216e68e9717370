// A registry export (.reg): REGEDIT4, whose texts are octets of a code page, and version 5.00, whose texts are UTF-16.
//
// Only the values of one key are read; what stands elsewhere is passed over. In that key every line must be whole: a value
// that is cut off, or written otherwise than regedit does, is a fault.

import type { Place } from '../policy/problem.ts';
import type { Report } from './imported.ts';
import type { InputFile } from './input-file.ts';

export interface RegistryValue {
  readonly name: string;
  readonly where: Place;
  /** `faulty`: that was said. */
  readonly type: 'text' | 'number' | 'texts' | 'octets' | 'faulty';
  readonly text: string;
  readonly number: number;
  readonly texts: readonly { readonly text: string; readonly where: Place }[];
}

export interface RegistryKey {
  /** As it stood there, without brackets. */
  readonly path: string;
  readonly where: Place;
  readonly values: readonly RegistryValue[];
}

export function isRegistryExport({ text }: InputFile): boolean {
  return /^\s*(REGEDIT4|Windows Registry Editor Version )/i.test(text);
}

/** The keys whose path fits `wanted`. */
export function registryKeys(file: InputFile, wanted: RegExp, report: Report): RegistryKey[] {
  const keys: (RegistryKey & { values: RegistryValue[] })[] = [];
  let key: (typeof keys)[number] | null = null;
  const lines = file.lines();
  for (let i = 1; i < lines.length; i++) {
    const { text, offset } = lines[i] as { text: string; offset: number };
    const path = /^\s*\[([^\]]*)(\]?)\s*$/.exec(text);
    if (path !== null) {
      const [, name = '', bracket] = path;
      if (bracket === '' && wanted.test(name))
        report.fault(file.place(offset), 'the name of this key has no ] behind it');
      key = wanted.test(name) ? { path: name, where: file.place(offset), values: [] } : null;
      if (key !== null) keys.push(key);
      continue;
    }
    if (key === null || /^\s*(;|$)/.test(text)) continue;
    const from = i;
    const parts = [{ text, offset }];
    while (/\\\s*$/.test((lines[i] as { text: string }).text) && !/^\s*("[^"]*"|@)\s*="/.test(text)) {
      const next = lines[i + 1];
      if (next === undefined || next.text.trim() === '' || /^\s*["[@]/.test(next.text)) {
        report.fault(
          file.place(offset),
          `${nameIn(text)} ends in the middle: line ${from + 1} says that it goes on in the next; is the file cut off?`,
        );
        break;
      }
      parts.push(next);
      i++;
    }
    const value = readValue(parts, file, report);
    if (value === null) continue;
    const twice = key.values.find(({ name }) => name.toLowerCase() === value.name.toLowerCase());
    if (twice !== undefined)
      report.fault(value.where, `${value.name} stands in line ${twice.where.line} already: which of them counts?`);
    key.values.push(value);
  }
  return keys;
}

function nameIn(text: string): string {
  return /^\s*"([^"]*)"/.exec(text)?.[1] ?? 'a value';
}

interface Part {
  readonly text: string;
  readonly offset: number;
}

function readValue(parts: readonly Part[], file: InputFile, report: Report): RegistryValue | null {
  const [first] = parts as [Part];
  const where = file.place(first.offset + first.text.search(/\S/));
  const head = /^\s*(?:"((?:[^"\\]|\\.)*)"|@)\s*=\s*(.*?)\s*$/.exec(first.text);
  const name = unescaped(head?.[1] ?? '');
  const none = { name, where, text: '', number: 0, texts: [] };
  const wrong = (message: string): RegistryValue => {
    report.fault(where, message);
    return { ...none, type: 'faulty' };
  };
  if (head === null)
    return wrong(`this is no line of a registry export: "NAME"=dword:…, ="text" or =hex(7):… is wanted`);
  const data = head[2] as string;
  if (data === '-') return null;
  const text = /^"((?:[^"\\]|\\.)*)"$/.exec(data);
  if (text !== null) return { ...none, type: 'text', text: unescaped(text[1] as string) };
  if (data.startsWith('"')) return wrong(`${name}: the text has no quotation mark at its end; is the file cut off?`);
  const dword = /^dword:([0-9a-f]*)$/i.exec(data);
  if (dword !== null) {
    if (dword[1]?.length !== 8) return wrong(`${name}: dword:${dword[1]} has not eight digits; is the file cut off?`);
    return { ...none, type: 'number', number: Number.parseInt(dword[1], 16) };
  }
  const hex = /^hex(?:\(([0-9a-f]+)\))?:/i.exec(data);
  if (hex === null) return wrong(`${name}: '${data.slice(0, 20)}' is no value: dword:…, "text" or hex(7):… is wanted`);
  const octets = readOctets(parts, file, where, name, report);
  if (octets === null) return { ...none, type: 'faulty' };
  if (hex[1] === '7') {
    const texts = readTexts(octets);
    if (texts === null) return wrong(`${name}: its last text has no end; is the file cut off?`);
    return { ...none, type: 'texts', texts };
  }
  if (hex[1] === '4' && octets.length === 4)
    return { ...none, type: 'number', number: octets.reduce((sum, { value }, i) => sum + value * 256 ** i, 0) };
  return { ...none, type: 'octets' };
}

interface Octet {
  readonly value: number;
  readonly where: Place;
}

function readOctets(
  parts: readonly Part[],
  file: InputFile,
  where: Place,
  name: string,
  report: Report,
): Octet[] | null {
  const octets: Octet[] = [];
  for (const [i, { text, offset }] of parts.entries()) {
    const start = i === 0 ? text.search(/hex/i) + (/hex[^:]*:/i.exec(text)?.[0].length ?? 0) : 0;
    const content = text.slice(start).replace(/\\\s*$/, '');
    let at = start;
    for (const item of content.split(',')) {
      const digits = item.trim();
      const column = at + item.search(/\S|$/);
      at += item.length + 1;
      if (digits === '') continue;
      if (!/^[0-9a-f]{2}$/i.test(digits)) {
        report.fault(
          file.place(offset + column),
          `${name}: '${digits.slice(0, 20)}' is no octet of two digits; is the file cut off?`,
        );
        return null;
      }
      octets.push({ value: Number.parseInt(digits, 16), where: file.place(offset + column) });
    }
    const goesOn = i < parts.length - 1;
    if (!goesOn && /,\s*$/.test(content)) {
      report.fault(where, `${name} ends with a comma: is the file cut off?`);
      return null;
    }
  }
  return octets;
}

/** Texts with a zero behind each; null where the last has none. REGEDIT4 has the octets of a code page, 5.00 UTF-16, and some
 * tools mix them up: of addresses in UTF-16 every other octet is zero. */
function readTexts(octets: readonly Octet[]): { text: string; where: Place }[] | null {
  const isWide = octets.length > 1 && octets.every(({ value }, i) => i % 2 === 0 || value === 0);
  const texts: { text: string; where: Place }[] = [];
  let codes: number[] = [];
  let where: Place | null = null;
  for (let i = 0; i < octets.length; i += isWide ? 2 : 1) {
    const low = octets[i] as Octet;
    const high = isWide ? octets[i + 1] : undefined;
    if (isWide && high === undefined) return null;
    const code = low.value + (high?.value ?? 0) * 256;
    where ??= low.where;
    if (code !== 0) codes.push(code);
    else {
      if (codes.length > 0) texts.push({ text: String.fromCharCode(...codes), where });
      codes = [];
      where = null;
    }
  }
  return codes.length === 0 ? texts : null;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, '$1');
}
