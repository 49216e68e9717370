// JSON, as ConvertTo-Json writes it, into objects that know where they stand.
//
// JSON.parse tells no places, and a finding without its line is looked for by hand. A number beyond what a double holds is
// kept as it is written.

import type { Place } from '../policy/problem.ts';
import { type Exported, type Field, fieldsOf, isExported, type Value } from './exported.ts';
import type { Fault } from './imported.ts';
import type { InputFile } from './input-file.ts';

export function isJson(text: string): boolean {
  return /^\s*(\{|\[\s*([[{\]"]|$))/.test(text);
}

const MOST_DEPTH = 100;

/** The objects of a list, or the one that stands alone. */
export function parseJson(file: InputFile): readonly Exported[] | Fault {
  const scanner = new Scanner(file);
  try {
    const value = scanner.whole();
    const objects = Array.isArray(value) ? (value as readonly Value[]) : [value];
    if (!objects.every(isExported)) return { ...file.place(), message: 'no object, and no list of objects' };
    return objects;
  } catch (error) {
    if (error instanceof SyntaxError) return { ...file.place(scanner.at), message: error.message };
    throw error;
  }
}

class Scanner {
  readonly #text: string;
  readonly #file: InputFile;
  at = 0;

  constructor(file: InputFile) {
    this.#file = file;
    this.#text = file.text;
  }

  whole(): Value {
    const value = this.#value(0);
    this.#skip();
    if (this.at < this.#text.length) throw new SyntaxError('something stands behind the end of the JSON');
    return value;
  }

  #skip(): void {
    while (' \t\r\n'.includes(this.#text[this.at] ?? 'x')) this.at++;
  }

  #place(): Place {
    return this.#file.place(this.at);
  }

  #value(depth: number): Value {
    if (depth > MOST_DEPTH) throw new SyntaxError(`it goes deeper than ${MOST_DEPTH}`);
    this.#skip();
    const next = this.#text[this.at];
    if (next === '{') return this.#object(depth);
    if (next === '[') return this.#list(depth);
    if (next === '"') return this.#string();
    const word = /^(true|false|null|-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?)/.exec(
      this.#text.slice(this.at, this.at + 40),
    );
    if (word === null) throw new SyntaxError(this.#unexpected('a value'));
    this.at += word[0].length;
    if (word[0] === 'null') return null;
    if (word[0] === 'true' || word[0] === 'false') return word[0] === 'true';
    return Number.isSafeInteger(Number(word[0])) || word[2] !== undefined ? Number(word[0]) : word[0];
  }

  #object(depth: number): Exported {
    const place = this.#place();
    const fields: Field[] = [];
    for (let more = this.#begin('}'); more; more = this.#more('}')) {
      this.#skip();
      const where = this.#place();
      if (this.#text[this.at] !== '"') throw new SyntaxError(this.#unexpected('a name in quotes'));
      const name = this.#string();
      if (fields.some((one) => one.name.toLowerCase() === name.toLowerCase()))
        throw new SyntaxError(`a second ${JSON.stringify(name)} in one object: which of them counts is not known`);
      this.#skip();
      if (this.#text[this.at] !== ':') throw new SyntaxError(this.#unexpected('a colon'));
      this.at++;
      fields.push({ name, value: this.#value(depth + 1), ...where });
    }
    return { types: [], text: null, number: null, fields: fieldsOf(fields), ...place };
  }

  #list(depth: number): Value[] {
    const values: Value[] = [];
    for (let more = this.#begin(']'); more; more = this.#more(']')) values.push(this.#value(depth + 1));
    return values;
  }

  /** Past the bracket; false where it closes at once. */
  #begin(close: string): boolean {
    this.at++;
    this.#skip();
    if (this.#text[this.at] !== close) return true;
    this.at++;
    return false;
  }

  #more(close: string): boolean {
    this.#skip();
    const next = this.#text[this.at];
    if (next !== ',' && next !== close) throw new SyntaxError(this.#unexpected(`a comma or ${close}`));
    this.at++;
    return next === ',';
  }

  #string(): string {
    const match = /"(?:[^"\\\n]|\\.)*"/y;
    match.lastIndex = this.at;
    const found = match.exec(this.#text)?.[0];
    if (found === undefined)
      throw new SyntaxError('it ends in the middle of a text, or a quote is missing: is it cut off?');
    try {
      const text = JSON.parse(found) as string;
      this.at += found.length;
      return text;
    } catch {
      throw new SyntaxError(`${found.slice(0, 40)} is no text of JSON`);
    }
  }

  #unexpected(wanted: string): string {
    if (this.at >= this.#text.length) return `it ends where ${wanted} is wanted: is it cut off?`;
    return `${JSON.stringify(this.#text[this.at])} stands where ${wanted} is wanted`;
  }
}
