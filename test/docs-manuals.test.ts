// The manual pages, as `man` shows them: nothing that troff or mandoc warns of, and every command, option and key in them. That
// they are current is asked in docs-generated.test.ts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keysOf, type Schema } from '../docs/generate/keys.ts';
import { roff } from '../docs/generate/roff.ts';
import { helpTexts } from '../src/commands/command-line.ts';
import { entriesOf, readHelp } from '../src/commands/help-text.ts';
import { jsonSchema } from '../src/config/schema.ts';
import { missing } from './real/tools.ts';

const PAGES = join(import.meta.dirname, '../docs/man');
const NAMES = globSync('*.[15]', { cwd: PAGES }).toSorted();

/** Wide enough that no word is cut. */
function shown(name: string, width = 200): string {
  const args = ['-man', '-Tutf8', '-P-cbou', `-rLL=${width}n`, join(PAGES, name)];
  const { stdout, stderr, status } = spawnSync('groff', ['-ww', ...args], { encoding: 'utf8' });
  assert.deepEqual([stderr, status], ['', 0], name);
  return stdout;
}

test('there are four of them, and the package says where', () => {
  assert.deepEqual(NAMES, ['postern-cases.5', 'postern-policy.5', 'postern.1', 'postern.yaml.5']);
  const { man } = JSON.parse(readFileSync(join(PAGES, '../../package.json'), 'utf8')) as { man: string[] };
  assert.deepEqual(
    man.toSorted(),
    NAMES.map((name) => `docs/man/${name}`),
  );
});

test('mandoc has nothing against them', { skip: missing(['mandoc']) }, () => {
  for (const name of NAMES) {
    const { stdout, status } = spawnSync('mandoc', ['-Tlint', '-W', 'warning', join(PAGES, name)], {
      encoding: 'utf8',
    });
    assert.deepEqual([stdout, status], ['', 0]);
  }
});

test('troff has nothing against them, in a terminal of 80 columns', { skip: missing(['groff']) }, () => {
  for (const name of NAMES) assert.ok(shown(name, 78).length > 1000);
});

test('postern(1) has every command and every option', {
  skip: missing(['groff']),
}, async () => {
  const text = shown('postern.1');
  for (const [command, help] of await helpTexts()) {
    if (command === '') continue;
    const own = text.slice(text.indexOf(`\n   postern ${command}\n`)).split(/\n {3}postern /, 2)[1] ?? '';
    for (const { options } of entriesOf(readHelp(help)))
      for (const { name } of options) assert.match(own, new RegExp(`^ {7}(?:.* )?${name}\\b`, 'm'), command);
  }
});

test('the pages of the formats have every key', { skip: missing(['groff']) }, () => {
  for (const [kind, name] of [
    ['config', 'postern.yaml.5'],
    ['policy', 'postern-policy.5'],
  ] as const) {
    const text = shown(name);
    const root = jsonSchema(kind) as Schema;
    const keys = keysOf(root, new Set(kind === 'config' ? ['policy'] : ['connectors[].limits']));
    assert.ok(keys.length > 40);
    for (const { path } of keys) assert.ok(text.includes(`\n       ${path} (`), `${name}: ${path}`);
  }
  assert.match(shown('postern-cases.5'), /\n {7}refuse-sender\n {14}the sender is refused/);
});

test('nothing in a text is taken for a request or an escape', () => {
  assert.equal(roff(".'CORP\\alice' – -x"), "\\&.'CORP\\ealice' \\[u2013] \\-x");
});
