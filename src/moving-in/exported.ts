// What a cmdlet of Exchange gave out, whichever way it was written down: objects with named fields.
//
// The readers (clixml, json, csv, format-list) know PowerShell and no Exchange; what a field means is for exchange-values.

import type { Place } from '../policy/problem.ts';

/** A list is an array. A number of an enum is in `number` of an object whose `text` has its names, or stands alone. */
export type Value = null | boolean | number | string | readonly Value[] | Exported;

export interface Field extends Place {
  /** As written. */
  readonly name: string;
  readonly value: Value;
}

export interface Exported extends Place {
  /** .NET types, the nearest first; empty where the form has none. */
  readonly types: readonly string[];
  /** What ToString() gave; null where the form has none. */
  readonly text: string | null;
  /** Of an enum. */
  readonly number: number | null;
  /** By the name in small letters. */
  readonly fields: ReadonlyMap<string, Field>;
}

export function isExported(value: Value | undefined): value is Exported {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function fieldsOf(fields: Iterable<Field>): ReadonlyMap<string, Field> {
  return new Map([...fields].map((field) => [field.name.toLowerCase(), field]));
}

/** A field that says something; null where it is missing, empty or $null. */
export function fieldOf(object: Exported, name: string): Field | null {
  const field = object.fields.get(name.toLowerCase());
  const isEmpty = field === undefined || field.value === null || field.value === '';
  return isEmpty ? null : field;
}
