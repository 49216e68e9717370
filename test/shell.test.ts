// Every shell script of this repository, found by its first line: shellcheck has nothing against it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { missing } from './real/tools.ts';

const ROOT = join(import.meta.dirname, '..');
const PLACES = ['.ci/*', 'deploy/**', 'findings/*', 'test/{real,setup}/**'];

test('shellcheck has nothing against any script', { skip: missing(['shellcheck']) }, () => {
  const files = PLACES.flatMap((place) => globSync(place, { cwd: ROOT }));
  const scripts = files.filter((file) => statSync(join(ROOT, file)).isFile() && isShell(file));
  assert.ok(scripts.length > 10);
  const { stdout, stderr, status } = spawnSync('shellcheck', scripts, { cwd: ROOT, encoding: 'utf8' });
  assert.deepEqual([stdout + stderr, status], ['', 0]);
});

function isShell(file: string): boolean {
  return /^#! *\/(?:usr\/)?bin\/(?:env )?(?:ba|da)?sh\b/.test(readFileSync(join(ROOT, file), 'latin1').slice(0, 40));
}
