// Objects as PowerShell's Export-Clixml writes them, as far as Exchange's settings need it.

export type Plain = string | number | boolean | readonly string[] | Flags;

/** An enum: its names and its number. */
export interface Flags {
  readonly names: string;
  readonly number: number;
}

export type PlainObject = Readonly<Record<string, Plain>>;

export function asClixml(objects: readonly PlainObject[]): string {
  let id = 0;
  const written = (value: Plain, name: string): string => {
    const n = ` N="${name}"`;
    if (typeof value === 'boolean') return `<B${n}>${value}</B>`;
    if (typeof value === 'number') return `<I32${n}>${value}</I32>`;
    if (typeof value === 'string') return `<S${n}>${escaped(value)}</S>`;
    if ('names' in value)
      return `<Obj${n} RefId="${id++}"><ToString>${value.names}</ToString><I32>${value.number}</I32></Obj>`;
    const items = value.map((one) => `<S>${escaped(one)}</S>`);
    return `<Obj${n} RefId="${id++}"><LST>${items.join('')}</LST></Obj>`;
  };
  const body = objects.map((object) => {
    const properties = Object.entries(object).map(([name, value]) => `      ${written(value, name)}\r\n`);
    return `  <Obj RefId="${id++}">\r\n    <Props>\r\n${properties.join('')}    </Props>\r\n  </Obj>\r\n`;
  });
  return `<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">\r\n${body.join('')}</Objs>\r\n`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
