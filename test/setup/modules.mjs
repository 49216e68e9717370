// Installs node_modules when it is missing or older than package-lock.json, so that `npm run demo` and `npm test` work
// in a fresh clone.
//
// Runs before anything is installed: plain JavaScript, no dependency, Node 20 or later. It never changes the lock file
// and never updates a package; that is `npm install`, said by a person.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';

/** Milliseconds since the epoch, 0 when there is no such file. */
function modifiedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

process.chdir(new URL('../..', import.meta.url).pathname);

// npm writes node_modules/.package-lock.json last: an install that was interrupted does not count as one.
if (modifiedAt('node_modules/.package-lock.json') < modifiedAt('package-lock.json')) {
  console.error('postern: node_modules is missing or older than package-lock.json: npm ci');
  const { status } = spawnSync('npm', ['ci'], { stdio: 'inherit', shell: process.platform === 'win32' });
  process.exitCode = status ?? 1;
}
