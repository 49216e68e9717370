// Which commit this is: twelve digits, with a + where files differ from it; null where there is no git to ask.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

export function commit(): string | null {
  const cwd = join(import.meta.dirname, '..');
  const args = ['describe', '--always', '--exclude=*', '--abbrev=12', '--dirty=+'];
  const { stdout, status } = spawnSync('git', args, { cwd, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

/** When it was made: what a build says in place of the time at which it was built. */
export function commitTime(): Date {
  const cwd = join(import.meta.dirname, '..');
  const { stdout, status } = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd, encoding: 'utf8' });
  return status === 0 ? new Date(Number(stdout) * 1000) : new Date(0);
}
