// docs/keys.md: every key of the configuration and of a policy, as the JSON Schema has it.
//
// It is made of the JSON Schema and not of the zod schema, so that what an editor shows and what stands here is the same.
// The defaults of limits are no part of it, since a connector's own block has none: they come from DEFAULT_LIMITS.

import { FLAG_ROWS, flagDocument } from '../../src/config/flags.ts';
import { jsonSchema } from '../../src/config/schema.ts';
import { DEFAULT_LIMITS } from '../../src/policy/document.ts';
import { code, codes, head, prose, type Row, table } from './markdown.ts';

/** As much of JSON Schema as is used here. */
export interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | false;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

/** A key as it is met on the way down. */
export interface Key {
  /** As `check` writes it, with [] for any entry of a list. */
  readonly path: string;
  readonly schema: Schema;
  readonly required: boolean;
}

/** Every key below `schema`, each before those inside it; not what a $ref leads to. `stop`: paths whose inside is told
 * elsewhere. */
export function keysOf(schema: Schema, stop: ReadonlySet<string> = new Set(), path = ''): Key[] {
  if (stop.has(path)) return [];
  const keys = Object.entries(schema.properties ?? {}).flatMap(([name, one]) => {
    const at = path === '' ? name : `${path}.${name}`;
    return [{ path: at, schema: one, required: schema.required?.includes(name) ?? false }, ...keysOf(one, stop, at)];
  });
  const forms = (schema.anyOf ?? []).flatMap((one) => keysOf(one, stop, path));
  return [...keys, ...forms, ...(schema.items === undefined ? [] : keysOf(schema.items, stop, `${path}[]`))];
}

/** What may stand there, in a few words. */
export function formOf(schema: Schema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.$ref !== undefined) return `block: ${schema.$ref.split('/').at(-1)}`;
  if (schema.properties !== undefined) return 'block';
  if (schema.enum !== undefined) return schema.enum.map(code).join(', ');
  if (schema.const !== undefined) return code(String(schema.const));
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(formOf))].join(' or ');
  switch (schema.type) {
    case 'boolean':
      return '`true`, `false`';
    case 'integer':
      return `${schema.minimum} to ${schema.maximum}`;
    case 'array':
      return schema.items?.title === undefined && schema.items?.type === 'string'
        ? 'list'
        : `list: ${formOf(schema.items ?? {})} each`;
    case 'object':
      return `names: ${formOf(schema.additionalProperties || {})} each`;
    case 'string':
      return 'text';
    case 'null':
      return '`null`';
  }
  throw new Error(`a form that docs/generate/keys.ts has no word for: ${JSON.stringify(schema)}`);
}

export function defaultOf({ path, schema, required }: Key): string | null {
  if (required) return '**wanted**';
  const limit = path.startsWith('limits.') ? limitAt(path) : undefined;
  const value = limit ?? schema.default;
  if (Array.isArray(value)) {
    if (value.length === 0) return 'none';
    return typeof value[0] === 'object' ? 'one, with its defaults' : codes(value);
  }
  return value === undefined || typeof value === 'object' ? null : code(String(value));
}

/** A default of DEFAULT_LIMITS, as it would be written. */
function limitAt(path: string): string | undefined {
  const value = path
    .split('.')
    .slice(1)
    .reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], DEFAULT_LIMITS);
  if (path === 'limits.ban.after' && value === null) return 'never';
  if (value === null || value === Number.POSITIVE_INFINITY) return 'unlimited';
  if (path === 'limits.tarpit' || path === 'limits.ban.for') {
    const seconds = (value as number) / 1000;
    return seconds > 0 && seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
  }
  return typeof value === 'number' ? String(value) : undefined;
}

function rows(keys: readonly Key[], prefix: string): Row[] {
  return keys.map((key) => [
    code(key.path.slice(prefix.length)),
    formOf(key.schema),
    defaultOf(key),
    prose(key.schema.description ?? ''),
  ]);
}

export const CONDITIONS =
  'What stands under allow, deny and not. All of it must hold; a list holds when one entry does, and an empty one never.';
const HEADS = ['key', 'what may stand there', 'default', 'what it does'];

/** One table for what stands at the top, and one for each block at the top. */
function section(root: Schema, stop: ReadonlySet<string>, level: string, whole: string): string {
  const keys = keysOf(root, stop);
  const first = (path: string): string => path.replace(/(\[\])?\..*/, '');
  const top = keys.filter(({ path }) => path === first(path));
  const more = Object.entries(root.$defs ?? {}).map(([name, schema]) => {
    return `${level} ${code(name)}\n\n${prose(CONDITIONS)}\n\n${table(HEADS, rows(keysOf(schema), ''))}`;
  });
  const blocks = top.map(({ path }) => keys.filter((key) => first(key.path) === path && key.path !== path));
  const parts = blocks
    .filter((block) => block.length > 0)
    .map((block) => {
      const name = /^\w+(\[\])?/.exec((block[0] as Key).path)?.[0] as string;
      return `${level} ${code(whole + name)}\n\n${table(HEADS, rows(block, `${name}.`))}`;
    });
  return [table(HEADS, rows(top, '')), ...parts, ...more].join('\n');
}

/** The kinds of values that have a name, with how each is written. */
export function kindsOf(root: Schema): readonly (readonly [string, readonly string[]])[] {
  const found = new Map<string, readonly string[]>();
  JSON.stringify(root, (_, value) => {
    if (value?.title !== undefined && Array.isArray(value.examples)) found.set(value.title, value.examples.map(String));
    return value;
  });
  return [...found].toSorted();
}

function kinds(root: Schema): string {
  return table(
    ['kind', 'written as'],
    kindsOf(root).map(([kind, examples]) => [kind, codes(examples)]),
  );
}

/** Flags and variables, and which key each is: found by giving it. */
function flags(): string {
  const lines = FLAG_ROWS.map(({ name, flag, variable, repeatable }) => {
    const given = [{ name, origin: flag, values: ['x'] }];
    const { data } = flagDocument(given, null);
    return [code(flag), code(variable), repeatable ? 'any number; with commas in the variable' : 'once', keyIn(data)];
  });
  return table(['flag of `run`', 'variable', 'how often', 'key'], lines);
}

function keyIn(data: unknown): string | null {
  if (typeof data !== 'object' || data === null) return null;
  const [entry] = Object.entries(data);
  if (entry === undefined) return 'which file to read';
  const [key, value] = entry;
  if (key === 'policy') return 'a policy of its own, where there is no file';
  if (key === 'listeners') return code('listeners[].bind');
  const inner = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
  return code([key, ...inner].join('.'));
}

export function keysPage(): string {
  const config = jsonSchema('config') as Schema;
  const policy = jsonSchema('policy') as Schema;
  return (
    head(
      'Every key',
      'src/config/schema.ts and src/config/policy-schema.ts',
      `What a configuration and a policy may hold. \`postern check --json-schema config\` (or \`policy\`) prints the same for editors.
An unknown key is an error. \`[]\` stands for any entry of a list; a list of texts takes \`'file:NAME'\` among its entries.
"Exchange" names what is nearest to the key there.`,
    ) +
    `## The configuration\n\n${section({ ...config, $defs: {} }, new Set(['policy']), '###', '')}\n` +
    `## Flags and variables\n\nA flag beats its variable, and both beat the file. What else the file says beside that key stays: who must send a PROXY header to a\nlistener, the token of the admin port. Of several listeners none can be meant by \`--listen\`: that is an error. So is a\nvariable that says any other key (\`POSTERN_PROXY_PROTOCOL\`), and a flag with nothing behind it; an empty variable is none.\n\n${flags()}\n` +
    `## The policy\n\nA file of its own, or what stands under \`policy\` in the configuration.\n\n` +
    `${section(policy, new Set(['connectors[].limits']), '###', '')}\n` +
    `## Kinds of values\n\n${kinds(config)}`
  );
}
