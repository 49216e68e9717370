// Imports texts as the command does, without files, and asks the policy that came of it.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadPolicy } from '../../src/config/load.ts';
import { type Given, type Imported, Noted, Report, type Written } from '../../src/moving-in/imported.ts';
import { decode, InputFile } from '../../src/moving-in/input-file.ts';
import { recognise } from '../../src/moving-in/readers.ts';
import type { System } from '../../src/moving-in/system.ts';
import { parseCases } from '../../src/policy/cases.ts';
import { answerQuestion } from '../../src/policy/policy-question.ts';
import { writeSettled } from '../helpers/settled.ts';

const NOTHING_GIVEN: Given = { acceptedDomains: [], inside: [], validRecipients: null, keepOpen: false };

/** Texts become files a.txt, b.txt …; octets are decoded first, and a pair has its name in front. */
export function imported(
  system: System,
  texts: readonly (string | Buffer | readonly [string, string])[],
  given: Partial<Given> = {},
): Imported {
  const report = new Report();
  const files = texts.map((text, i) => {
    const name = `${String.fromCharCode(97 + i)}.txt`;
    if (typeof text === 'string') return new InputFile(name, text);
    return Buffer.isBuffer(text) ? decode(name, text) : new InputFile(text[0] as string, text[1] as string);
  });
  const nothing = {
    system: system.name,
    policy: { version: 1, accepted_domains: [], connectors: [] },
    cases: [],
  } as const;
  const unread = files.filter((file) => 'message' in file);
  if (unread.length > 0) return { ...nothing, report: [], faults: unread };
  const known = recognise(files as InputFile[], null, [system]);
  if (!('system' in known)) return { ...nothing, report: [], faults: known };
  const made = known.system.read(known.files, { ...NOTHING_GIVEN, ...given }, report);
  return { ...made, report: report.equivalences, faults: report.faults };
}

function plain(value: Written | undefined): unknown {
  if (value instanceof Noted) return plain(value.value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one as Written)]));
}

export interface Tried {
  /** What check says of the policy, as `warning: …`. */
  readonly findings: readonly string[];
  /** Questions that it answers otherwise than they expect, its own cases among them: `reject: proceed 10.0.0.1 -> x@y`. */
  readonly wrong: readonly string[];
}

/** Puts the policy's own cases to it, and `lines` as they stand in a .cases file. Fails where it cannot be read. */
export async function tried(made: Imported, lines: readonly string[] = []): Promise<Tried> {
  assert.deepEqual(made.faults, []);
  const folder = mkdtempSync(join(tmpdir(), 'postern-import-'));
  try {
    const file = join(folder, 'imported.yaml');
    writeSettled(file, stringify(plain(made.policy)));
    let names: readonly string[] | null = null;
    const loaded = loadPolicy(file, { host: { ownAddresses: [], gateways: [] }, resolve: async () => names });
    const findings = loaded.findings.map(({ severity, message }) => `${severity}: ${message}`);
    assert.ok(loaded.policy !== null, findings.join('\n'));
    const own = made.cases.flatMap(({ cases }) => cases.map(({ expected, asked }) => `${expected} ${asked}`));
    const wrong: string[] = [];
    for (const line of [...own, ...lines]) {
      const [one] = parseCases(line);
      assert.ok(one !== undefined && 'asked' in one, line);
      names = one.names;
      const { answer } = await answerQuestion(loaded.policy, one.asked);
      if (answer !== one.expected) wrong.push(`${answer}: ${line}`);
    }
    return { findings, wrong };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The cases of a shipped policy, one a line, blanks as one and without comments. */
export function presetCases(name: string): string[] {
  const text = readFileSync(new URL(`../../policies/${name}.cases`, import.meta.url), 'utf8');
  const lines = text.split('\n').map((line) =>
    line
      .replace(/(^|\s)#.*$/, '')
      .replace(/\s+/g, ' ')
      .trim(),
  );
  return lines.filter((line) => line !== '');
}
