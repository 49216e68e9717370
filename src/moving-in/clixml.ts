// CLIXML, which Export-Clixml writes: [MS-PSRP] 2.2.5.
//
// Objects are read as data and nothing is made of their types. Unknown elements inside an object are left out: a newer
// PowerShell may add some. `Ref` gives the object that was read before, `TNRef` its types.

import type { Place } from '../policy/problem.ts';
import { type Exported, type Field, fieldsOf, isExported, type Value } from './exported.ts';
import type { Fault } from './imported.ts';
import type { InputFile } from './input-file.ts';
import { type Element, parseXml } from './xml.ts';

export function isClixml(text: string): boolean {
  return /^\s*(<\?xml[^>]*>\s*)?<Objs[\s>]/.test(text);
}

/** The objects in the order of the file. */
export function parseClixml(file: InputFile): readonly Exported[] | Fault {
  const root = parseXml(file);
  if ('message' in root) return root;
  try {
    if (root.name !== 'Objs') throw new Unreadable(root, `<${root.name}> is no CLIXML, whose root is <Objs>`);
    return new Reader(file.name).objects(root);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    const { line, column } = error.element;
    return { file: file.name, line, column, message: error.message };
  }
}

class Unreadable extends Error {
  readonly element: Element;
  constructor(element: Element, why: string) {
    super(why);
    this.element = element;
  }
}

const NUMBERS = new Set(['I16', 'I32', 'I64', 'U16', 'U32', 'U64', 'By', 'SB', 'Db', 'Sg', 'D']);
const LISTS = new Set(['LST', 'IE', 'QUE', 'STK']);

class Reader {
  readonly #file: string;
  readonly #objects = new Map<string, Value>();
  readonly #types = new Map<string, readonly string[]>();

  constructor(file: string) {
    this.#file = file;
  }

  objects(root: Element): Exported[] {
    const found: Exported[] = [];
    for (const element of root.children) {
      const value = this.#value(element);
      for (const one of Array.isArray(value) ? value : [value]) {
        if (!isExported(one)) throw new Unreadable(element, `<${element.name}> is no object with properties`);
        found.push(one);
      }
    }
    return found;
  }

  #value(element: Element): Value {
    const { name, text } = element;
    if (name === 'Obj') return this.#object(element);
    if (name === 'Ref') return this.#reference(element);
    if (name === 'Nil') return null;
    if (name === 'B') {
      const flag = /^\s*(?:(true|1)|false|0)\s*$/i.exec(text);
      if (flag === null) throw new Unreadable(element, `<B> holds ${JSON.stringify(text)}: true or false is wanted`);
      return flag[1] !== undefined;
    }
    if (NUMBERS.has(name)) return Number(text);
    return unescapeText(text);
  }

  #reference(element: Element): Value {
    const value = this.#objects.get(element.attributes.RefId ?? '');
    if (value === undefined)
      throw new Unreadable(element, `RefId ${element.attributes.RefId} stands nowhere before it`);
    return value;
  }

  #object(element: Element): Value {
    const { RefId } = element.attributes;
    let text: string | null = null;
    let number: number | null = null;
    let list: readonly Value[] | null = null;
    const fields: Field[] = [];
    for (const child of element.children) {
      if (child.name === 'TN' || child.name === 'TNRef') continue;
      if (child.name === 'ToString') text = unescapeText(child.text);
      else if (child.name === 'Props' || child.name === 'MS')
        fields.push(...child.children.map((one) => this.#field(one)));
      else if (LISTS.has(child.name)) list = child.children.map((one) => this.#value(one));
      else if (child.name === 'DCT') fields.push(...child.children.map((one) => this.#entry(one)));
      else if (NUMBERS.has(child.name)) number = Number(child.text);
      else if (child.name === 'S' && text === null) text = unescapeText(child.text);
    }
    const types = this.#typesOf(element);
    const value = list ?? { types, text, number, fields: fieldsOf(fields), ...this.#place(element) };
    if (RefId !== undefined) this.#objects.set(RefId, value);
    return value;
  }

  #typesOf(element: Element): readonly string[] {
    const named = element.children.find(({ name }) => name === 'TN');
    if (named !== undefined) {
      const types = named.children.map(({ text }) => text);
      this.#types.set(named.attributes.RefId ?? '', types);
      return types;
    }
    const reference = element.children.find(({ name }) => name === 'TNRef');
    return this.#types.get(reference?.attributes.RefId ?? '') ?? [];
  }

  #field(element: Element): Field {
    return { name: unescapeText(element.attributes.N ?? ''), value: this.#value(element), ...this.#place(element) };
  }

  /** <En><S N="Key">…</S><… N="Value">…</En> */
  #entry(entry: Element): Field {
    const part = (name: string): Element | undefined => entry.children.find(({ attributes }) => attributes.N === name);
    const key = part('Key');
    const value = part('Value');
    const name = unescapeText(key?.text ?? '');
    return { name, value: value === undefined ? null : this.#value(value), ...this.#place(entry) };
  }

  #place({ line, column }: Element): Place {
    return { file: this.#file, line, column };
  }
}

/** _x000D_ is a carriage return. */
function unescapeText(text: string): string {
  return text.replace(/_x([0-9A-Fa-f]{4})_/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
