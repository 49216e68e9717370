// What a suite of somebody else is to the runner (main.ts), and where its parts come from.
//
// Nothing of theirs is kept here: packages come from Debian or npm into the cache when they are first wanted, in one version, and are
// not installed.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
export const CACHE = join(process.env.POSTERN_CACHE ?? join(ROOT, '.cache'), 'peers');

export interface Suite {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Beside ours; `POSTERN_BETWEEN` is added where it goes through Postern. */
  readonly env: NodeJS.ProcessEnv;
  /** A test and its outcome, wherever they stand in what is printed: groups `name` and `how`. */
  readonly outcome: RegExp;
  /** How an outcome begins that is good. */
  readonly good: string;
}

/** A folder of the cache that `fill` fills: whole or not at all. */
export function kept(folder: string, fill: (place: string) => void): string {
  const place = join(CACHE, folder);
  if (existsSync(place)) return place;
  const half = `${place}.half`;
  rmSync(half, { recursive: true, force: true });
  mkdirSync(half, { recursive: true });
  fill(half);
  renameSync(half, place);
  return place;
}

/** Packages of Debian, unpacked side by side into this folder. */
export function unpackDebian(place: string, packages: readonly string[]): void {
  const options = ['-qq', '-o', 'APT::Sandbox::User=root', 'download'];
  execFileSync('apt-get', [...options, ...packages], { cwd: place, stdio: ['ignore', 'ignore', 'pipe'] });
  for (const deb of readdirSync(place).filter((file) => file.endsWith('.deb'))) {
    execFileSync('dpkg-deb', ['-x', join(place, deb), place]);
  }
}

export function fromDebian(folder: string, packages: readonly string[]): string {
  return kept(folder, (place) => unpackDebian(place, packages));
}

export function keepNothingBut(place: string, names: readonly string[]): void {
  for (const name of readdirSync(place)) {
    if (!names.includes(name)) rmSync(join(place, name), { recursive: true, force: true });
  }
}

/** Packages of npm, each `name@version`; no script of theirs is run. */
export function fromNpm(folder: string, packages: readonly string[]): string {
  return kept(folder, (place) => {
    const options = ['--prefix', place, '--ignore-scripts', '--no-audit', '--no-fund', '--silent', '--save-exact'];
    execFileSync('npm', ['install', ...options, ...packages], { cwd: place, stdio: ['ignore', 'ignore', 'pipe'] });
  });
}
