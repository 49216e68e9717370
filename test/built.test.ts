// What is built of the source (build/bundle.ts) decides as the source does: in dist/, which npm installs, and so in the one file, the
// Debian package and the image.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bundle } from '../build/bundle.ts';
import { MAIN } from './helpers/main.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-built-'));
after(() => rmSync(folder, { recursive: true }));

test('a bundle is ASCII, as who reads it takes an octet for a character', async () => {
  for (const entry of ['src/commands/command-line.ts', 'src/serve/worker.ts']) {
    const file = join(folder, 'bundle.js');
    await bundle(entry, file, '"file:///postern"');
    assert.match(readFileSync(file, 'latin1'), /^[\x00-\x7f]*$/, entry);
  }
});

test('a denied login is denied in the spelling that Windows takes for the same, by what people run', () => {
  writeFileSync(
    join(folder, 'office.yaml'),
    `version: 1
accepted_domains: [example.com]
connectors:
  - name: internet
    remote_ip_ranges: [any]
    starttls: hide
    rules:
      - { name: left, deny: { users: ['CORP\\soren'] } }
      - { name: roaming, allow: { authenticated: true } }
`,
  );
  const asked = (login: string) => {
    const question = ['--source', '203.0.113.7', '--rcpt', 'x@foreign.example', '--login', login];
    const { stdout } = spawnSync(process.execPath, [MAIN, 'explain', join(folder, 'office.yaml'), ...question]);
    return `${stdout}`.split(/\s/, 1)[0];
  };
  assert.equal(asked('CORP\\alice'), 'proceed');
  assert.equal(asked('CORP\\soren'), 'reject');
  assert.equal(asked('CORP\\søren'), 'reject');
});

test('completion offers files where a command takes one, by what people run', () => {
  const { stdout } = spawnSync(process.execPath, [MAIN, 'completion', 'bash'], { encoding: 'utf8' });
  assert.match(stdout, /^ {4}check\) .* files=1 ;;$/m);
});
