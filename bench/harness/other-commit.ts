// Another commit of this repository, to be measured in the same turns: checked out into a temporary folder, gone at exit.
//
// It gets the packages that its own lock file names: those of this checkout where the two agree, else `npm ci`.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildIn, mainIn } from './program.ts';

const root = join(import.meta.dirname, '../..');

/** Its dist/main.js. Throws when there is no such commit. */
export function checkOut(commit: string): string {
  const found = spawnSync('git', ['-C', root, 'rev-parse', '--verify', `${commit}^{commit}`], { encoding: 'utf8' });
  if (found.status !== 0) throw new Error(`--vs ${commit}: no such commit here`);
  const folder = mkdtempSync(join(tmpdir(), 'postern-other-'));
  process.once('exit', () => {
    spawnSync('git', ['-C', root, 'worktree', 'remove', '--force', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  execFileSync('git', ['-C', root, 'worktree', 'add', '--detach', '--force', folder, found.stdout.trim()], {
    stdio: 'ignore',
  });
  if (dependenciesIn(folder) === dependenciesIn(root)) {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  } else {
    console.error(`bench: ${commit} has other packages: npm ci`);
    execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  buildIn(folder);
  return mainIn(folder);
}

/** What it runs with, as text. */
function dependenciesIn(folder: string): string {
  const { packages } = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string; dev?: boolean }>;
  };
  const runs = Object.entries(packages).filter(([name, { dev }]) => name !== '' && dev !== true);
  return JSON.stringify(runs.map(([name, { version }]) => [name, version]));
}
