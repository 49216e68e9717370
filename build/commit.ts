// Which commit this is: twelve digits, with a + where files differ from it; null where there is no git to ask. A build without the
// repository (the Dockerfile's) is told by POSTERN_COMMIT, and the time by SOURCE_DATE_EPOCH.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { commit as commitOfSource } from '../src/commands/build.ts';

export function commit(): string | null {
  return process.env.POSTERN_COMMIT || commitOfSource();
}

/** When it was made: what a build says in place of the time at which it was built. */
export function commitTime(): Date {
  if (process.env.SOURCE_DATE_EPOCH) return new Date(Number(process.env.SOURCE_DATE_EPOCH) * 1000);
  const cwd = join(import.meta.dirname, '..');
  const { stdout, status } = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd, encoding: 'utf8' });
  return status === 0 ? new Date(Number(stdout) * 1000) : new Date(0);
}
