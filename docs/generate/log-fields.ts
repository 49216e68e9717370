// docs/log-fields.md: every log line with its fields, and what each field means; the examples were written by the log itself.

import { DOOR_REASONS, FIELDS, type FieldName, type Line, REASONS } from '../../src/observe/fields.ts';
import { LINES } from '../../src/observe/lines.ts';
import { type Entry, everyLine } from './log-examples.ts';
import { code, codes, head, prose, table } from './markdown.ts';

/** Of every line, whichever it is. */
export const COMMON: readonly FieldName[] = ['time', 'level', 'msg'];

export type { Entry };

const TABLE: readonly (readonly [string, Line])[] = Object.entries(LINES);
const PATTERNS = TABLE.map(([, line]) => ({ line, pattern: patternOf(line.text) }));

/** The line of the table that this is; undefined where none is. */
export function lineOf({ msg, level }: Entry): Line | undefined {
  return PATTERNS.find(({ line, pattern }) => line.level === level && pattern.test(String(msg)))?.line;
}

function patternOf(text: string): RegExp {
  const fixed = text.split(/\{[^}]+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${fixed.join('.+')}$`, 's');
}

/** What is wrong with a line of the log, by the table; null where nothing is. */
export function faultIn(entry: Entry): string | null {
  const line = lineOf(entry);
  if (line === undefined) return `no line of src/observe/lines.ts: ${JSON.stringify(entry)}`;
  const known: readonly string[] = [...COMMON, 'worker', ...line.always, ...line.sometimes];
  const surplus = Object.keys(entry).filter((name) => !known.includes(name));
  const missing = line.always.filter((name) => !(name in entry));
  if (surplus.length + missing.length === 0) return null;
  return `'${line.text}' has ${surplus.join(', ') || 'nothing'} too many and lacks ${missing.join(', ') || 'nothing'}`;
}

export function logFieldsPage(): string {
  const examples = everyLine();
  const lines = TABLE.map(([, line]) => {
    const example = examples.find((entry) => lineOf(entry) === line);
    if (example === undefined) throw new Error(`docs/generate/log-examples.ts has no example of '${line.text}'`);
    const sometimes = line.sometimes.length === 0 ? '' : `; sometimes ${codes(line.sometimes)}`;
    const fields = line.always.length + line.sometimes.length === 0 ? 'none' : `${codes(line.always)}${sometimes}`;
    return `### ${prose(line.text)}\n\n${code(line.level)}. ${prose(line.when)}\n\nFields: ${fields}\n\n\`\`\`json\n${JSON.stringify(example)}\n\`\`\`\n`;
  });
  const fields = Object.entries(FIELDS).map(([name, meaning]) => {
    const where = TABLE.filter(([, { always, sometimes }]) => [...always, ...sometimes].includes(name as FieldName));
    return [
      code(name),
      meaning,
      COMMON.includes(name as FieldName) || name === 'worker' ? 'all' : String(where.length),
    ];
  });
  const meanings = (of: object) => Object.entries(of).map(([reason, meaning]) => [code(reason), meaning]);
  const reasons = table(['`reason`', 'means'], [...meanings(REASONS), ...meanings(DOOR_REASONS)]);
  return (
    head(
      'Every log line',
      'src/observe/lines.ts, session-table.ts and fields.ts',
      `The log is on standard output, one JSON object a line, the text in ${code('msg')}. Each line has ${codes(COMMON)}, and ${code('worker')} where
there are several; a field that is there only sometimes is left out where there is nothing to say. Never in it: passwords and mail
data. What a peer said is escaped, and cut at 256 characters. What repeats is counted: a session has 100 lines about refusals, a
source 200 in ten minutes.`,
    ) +
    `## The fields\n\n${table(['field', 'what it is', 'lines that have it'], fields)}\n## Reasons\n\n${reasons}\n## The lines\n\n${lines.join('\n')}`
  );
}
