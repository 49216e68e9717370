// From a document to a checked value: runs a schema and turns what it finds into findings with places.

import type * as z from 'zod';
import { formatPath, type Path, type Place } from '../policy/problem.ts';
import type { Finding } from './finding.ts';
import { fileIn, show } from './kinds.ts';
import { nearest } from './suggest.ts';

export type PlaceOf = (path: Path, at?: 'key' | 'value') => Place;

type Issue = z.core.$ZodIssue;

/** The value as the schema makes it, or null and at least one finding. `prefix` is where the data stands in the file. */
export function checkShape<Schema extends z.ZodType>(
  schema: Schema,
  data: unknown,
  place: PlaceOf,
  prefix: Path = [],
): { readonly value: z.infer<Schema> | null; readonly findings: Finding[] } {
  const known = new Map<string, readonly string[]>();
  const result = schema.safeParse(data, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return describe(issue);
      const { shape } = (issue.inst as z.core.$ZodObject | undefined)?._zod.def ?? {};
      for (const key of issue.keys) known.set(key, Object.keys(shape ?? {}));
      return undefined;
    },
  });
  if (result.success) return { value: result.data, findings: [] };
  const findings: Finding[] = [];
  const add = (path: Path, message: string, at: 'key' | 'value' = 'value'): void => {
    const whole = [...prefix, ...path];
    findings.push({ ...place(whole, at), severity: 'error', key: formatPath(whole), message });
  };
  for (const issue of result.error.issues.flatMap((issue) => innermost(issue, []))) {
    const path = issue.path as Path;
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) add([...path, key], unknownKey(key, known.get(key) ?? []), 'key');
    } else add(path, issue.message);
  }
  const meant = findings.map(({ message }) => /did you mean (\w+)\?$/.exec(message)?.[1]);
  const mistyped = (key: string): boolean => meant.includes(key.slice(key.lastIndexOf('.') + 1));
  // A key that is missing because it is mistyped is one fault, not two.
  const faults = findings.filter(({ key, message }) => !(message.startsWith('missing') && mistyped(key)));
  return { value: null, findings: faults };
}

/** Of a union that nothing fits, what is wrong with the form that was meant: the one that failed deepest. */
function innermost(issue: Issue, above: PropertyKey[]): Issue[] {
  const here = { ...issue, path: [...above, ...issue.path] } as Issue;
  if (issue.code !== 'invalid_union') return [here];
  const meant = issue.errors.find((errors) =>
    errors.some((error) => error.path.length > 0 || error.code === 'unrecognized_keys' || error.code === 'custom'),
  );
  return meant === undefined ? [here] : meant.flatMap((error) => innermost(error, here.path as PropertyKey[]));
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return meant === null ? `unknown key; known here: ${known.join(', ')}` : `unknown key: did you mean ${meant}?`;
}

/** What to say where the schema itself says nothing. */
function describe(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  switch (issue.code) {
    case 'invalid_type': {
      const wanted = WANTED_TYPES[issue.expected] ?? issue.expected;
      if (input === undefined) return `missing: ${wanted} is wanted`;
      return `${show(input)} stands where ${wanted} is wanted${exampleOf(issue, input)}`;
    }
    case 'invalid_value': {
      const values = issue.values.map(String);
      const meant = typeof input === 'string' ? nearest(input, values) : null;
      if (input === undefined) return `missing: ${values.join(', ')} is wanted`;
      return `${show(input)} is not known here: ${meant === null ? `${values.join(', ')} are` : `did you mean ${meant}?`}`;
    }
    default:
      return undefined;
  }
}

/** How what was written, or what is known, would be spelled in its place. */
function exampleOf({ expected, inst }: z.core.$ZodRawIssue, input: unknown): string {
  if (expected === 'array') {
    const parts = typeof input === 'string' ? input.split(/[,;\s]+/).filter((part) => part !== '') : [];
    const file = fileIn(input);
    const written =
      file === null ? (parts.length > 1 && /[,;]/.test(String(input)) ? parts : [input]) : [`file:${file}`];
    if (file !== null || typeof input === 'string') return `, as [${written.map((part) => `'${part}'`).join(', ')}]`;
  }
  const { shape } = (inst as z.core.$ZodObject | undefined)?._zod.def ?? {};
  const keys = Object.keys(shape ?? {});
  return expected === 'object' && keys.length > 0 ? ` (${keys.join(', ')})` : '';
}

const WANTED_TYPES: Readonly<Record<string, string>> = {
  object: 'a block of keys',
  record: 'a block of keys',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
  number: 'a number',
  int: 'a whole number',
};
