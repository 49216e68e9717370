// Of which commit this program is: `npm run build` and `npm run package` write it in here, in what they make. Run from its source it
// asks git, when somebody asks it.

import { spawnSync } from 'node:child_process';

/** Twelve digits, with a + where files differ from it; null where there is no git to ask. */
export function commit(): string | null {
  const cwd = import.meta.dirname;
  // No tag, only the commit; and of a repository that this file belongs to, not of one that it was unpacked in.
  const known = spawnSync('git', ['ls-files', '--error-unmatch', 'build.ts'], { cwd, stdio: 'ignore' });
  if (known.status !== 0) return null;
  const args = ['describe', '--always', '--exclude=*', '--abbrev=12', '--dirty=+'];
  const { stdout, status } = spawnSync('git', args, { cwd, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
