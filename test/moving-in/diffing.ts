// What the tests of postern diff have in common: a folder with the presets, and policies as somebody wrote them.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Compared, readCompared } from '../../src/moving-in/diff/compared.ts';
import { writeSettled } from '../helpers/settled.ts';

export const POLICIES = join(import.meta.dirname, '../../policies');
export const NOW = Date.UTC(2026, 10, 1);

export const folder = mkdtempSync(join(tmpdir(), 'postern-diff-'));
cpSync(POLICIES, folder, { recursive: true });
process.once('exit', () => rmSync(folder, { recursive: true }));

// biome-ignore lint/suspicious/noExplicitAny: a policy as somebody wrote it, before its shape is checked
export type Any = any;

export function written(policy: object, name = 'mutant'): string {
  const file = join(folder, `${name}.yaml`);
  writeSettled(file, JSON.stringify(policy));
  return file;
}

export function sound(read: ReturnType<typeof readCompared>): read is Compared {
  return 'policy' in read;
}
