// What is measured: dist/, as the published package has it, built anew from what the tree holds.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const BUILT = 'POSTERN_BENCH_BUILT'; // by the one who started this

/** dist/main.js. */
export function builtMain(): string {
  if (process.env[BUILT] === undefined) {
    buildIn(ROOT);
    process.env[BUILT] = 'yes';
  }
  return mainIn(ROOT);
}

export function buildIn(folder: string): void {
  execFileSync('npm', ['run', 'build', '--silent'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
}

export function mainIn(folder: string): string {
  return join(folder, 'dist/main.js');
}
