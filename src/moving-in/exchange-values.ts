// What the fields of Exchange's objects mean, in each of the forms that PowerShell gives them: text, a number, or an object.
//
// Null is "not understood", never a default: the caller says so and stays narrow. Numbers may bear the separators of any
// country; names of enums are the same in all of them.

import { type Exported, fieldOf, isExported, type Value } from './exported.ts';

/** The name of a type in the place of its values, which Export-Csv leaves. */
export function isTypeName(value: Value): boolean {
  return typeof value === 'string' && /^(Microsoft\.Exchange\.|System\.)[\w.]+(`|\[\]|$)/.test(value);
}

/** What ToString() would give; null for lists and for what has no text. */
export function textOf(value: Value): string | null {
  if (typeof value === 'string') return value.trim();
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!isExported(value)) return null;
  if (value.text !== null && value.text.trim() !== '') return value.text.trim();
  for (const name of TEXT_FIELDS) {
    const field = fieldOf(value, name);
    if (field !== null && !Array.isArray(field.value)) return textOf(field.value);
  }
  return null;
}

/** Of ids, rights, principals, addresses and ranges, where the object has lost its ToString(). */
const TEXT_FIELDS = ['RawIdentity', 'IPAddressToString', 'Expression', 'DistinguishedName', 'Address', 'Name', 'Value'];

/** The parts of a list, or of text that was made of one: blanks and commas stand between. */
export function listOf(value: Value): readonly Value[] {
  if (value === null) return [];
  if (Array.isArray(value)) return value as readonly Value[];
  if (typeof value !== 'string') return [value];
  return value.split(/[\s,]+/).filter((part) => part !== '');
}

/** Names of flags that are set. A name or bit that is not in `bits` is a name of its own: '64'. */
export function flagsOf(value: Value, bits: Readonly<Record<string, number>>): ReadonlySet<string> | null {
  const number = isExported(value) ? value.number : numberIn(value);
  if (number !== null) return new Set(namesOfBits(number, bits));
  const text = Array.isArray(value) ? value.map((one) => textOf(one) ?? '').join() : textOf(value);
  if (text === null) return null;
  const names = text.split(/[\s,]+/).filter((name) => name !== '' && name.toLowerCase() !== 'none');
  return new Set(
    names.map((name) => Object.keys(bits).find((one) => one.toLowerCase() === name.toLowerCase()) ?? name),
  );
}

function numberIn(value: Value): number | null {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^ *[0-9]+ *$/.test(value) ? Number(value) : null;
}

function namesOfBits(number: number, bits: Readonly<Record<string, number>>): string[] {
  const names: string[] = [];
  let rest = number;
  for (const [name, bit] of Object.entries(bits)) {
    if ((number & bit) === 0) continue;
    names.push(name);
    rest &= ~bit;
  }
  return rest === 0 ? names : [...names, String(rest)];
}

/** One name of an enum. */
export function enumOf(value: Value, names: readonly string[]): string | null {
  const text = textOf(value);
  if (text === null) return null;
  if (/^[0-9]+$/.test(text)) return names[Number(text)] ?? null;
  return names.find((name) => name.toLowerCase() === text.toLowerCase()) ?? null;
}

export function flagOf(value: Value): boolean | null {
  if (isExported(value)) return flagOf(fieldOf(value, 'IsPresent')?.value ?? value.text);
  const text = textOf(value)?.toLowerCase();
  if (text === 'true' || text === '$true' || text === '1') return true;
  return text === 'false' || text === '$false' || text === '0' ? false : null;
}

/** A whole number, or unlimited. */
export function countOf(value: Value): number | 'unlimited' | null {
  if (isExported(value)) {
    if (flagOf(fieldOf(value, 'IsUnlimited')?.value ?? null) === true) return 'unlimited';
    return countOf(value.text ?? fieldOf(value, 'Value')?.value ?? null);
  }
  const text = textOf(value);
  if (text === null) return null;
  if (/^unlimited$/i.test(text)) return 'unlimited';
  const digits = withoutSeparators(text);
  return /^[0-9]{1,15}$/.test(digits) ? Number(digits) : null;
}

/** Commas, dots, apostrophes and every kind of blank, where three digits stand behind each. */
function withoutSeparators(text: string): string {
  return /^[0-9]{1,3}([.,'’\s][0-9]{3})+$/.test(text) ? text.replace(/[^0-9]/g, '') : text;
}

const UNITS: Readonly<Record<string, number>> = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 };

/** Octets: `36 MB (37,748,736 bytes)`, `10MB`, 10485760. */
export function sizeOf(value: Value): number | 'unlimited' | null {
  if (isExported(value) && value.text === null) {
    if (flagOf(fieldOf(value, 'IsUnlimited')?.value ?? null) === true) return 'unlimited';
    return sizeOf(fieldOf(value, 'Value')?.value ?? null);
  }
  const text = textOf(value);
  if (text === null) return null;
  const exact = /\(([0-9][0-9.,'’\s]*)[^0-9)]*\)/.exec(text)?.[1]?.trim();
  if (exact !== undefined) return countOf(exact);
  const unit = /^([0-9]+) ?([KMGT]?B)$/i.exec(text);
  return unit === null ? countOf(text) : Number(unit[1]) * (UNITS[(unit[2] as string).toUpperCase()] as number);
}

const TICKS = 10_000_000; // in a second

/** Seconds: `00:05:00`, `1.00:00:00`. */
export function secondsOf(value: Value): number | null {
  if (isExported(value) && value.text === null) {
    const seconds = countOf(fieldOf(value, 'TotalSeconds')?.value ?? null);
    if (typeof seconds === 'number') return seconds;
    const ticks = countOf(fieldOf(value, 'Ticks')?.value ?? null);
    return typeof ticks === 'number' ? Math.ceil(ticks / TICKS) : null;
  }
  const match = /^(?:([0-9]+)\.)?([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?$/.exec(textOf(value) ?? '');
  if (match === null) return null;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  return ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
}

/** A range as a policy writes it, before anybody looked whether it is one. */
export function rangeOf(value: Value): string | null {
  if (isExported(value) && (value.text === null || value.text === '')) return boundsOf(value);
  const text = textOf(value);
  if (text === null) return null;
  const masked = /^([0-9.]+) ?\(([0-9.]+)\)$/.exec(text);
  return masked === null ? text : `${masked[1]};${masked[2]}`;
}

function boundsOf(range: Exported): string | null {
  const written = fieldOf(range, 'Expression');
  if (written !== null) return rangeOf(textOf(written.value));
  const [lower, upper] = ['LowerBound', 'UpperBound'].map((name) => textOf(fieldOf(range, name)?.value ?? null));
  if (typeof lower !== 'string' || typeof upper !== 'string') return null;
  return lower === upper ? lower : `${lower}-${upper}`;
}

/** Address and port that a connector listens on. */
export interface ExchangeBinding {
  readonly address: string;
  readonly port: number;
}

export function bindingOf(value: Value): ExchangeBinding | null {
  if (isExported(value) && (value.text === null || value.text === '')) {
    const address = textOf(fieldOf(value, 'Address')?.value ?? null);
    const port = countOf(fieldOf(value, 'Port')?.value ?? null);
    return address !== null && typeof port === 'number' ? { address, port } : null;
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(textOf(value) ?? '');
  return match === null ? null : { address: (match[1] ?? match[2]) as string, port: Number(match[3]) };
}
