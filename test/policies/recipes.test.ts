// The READMEs' examples, as a reader would use them: each YAML block saved to a file and checked, the cases behind it put
// to it, and every file and connector that policies/README.md points at looked up.
//
// A block that begins with `# name.yaml` is saved under that name, so that blocks may name each other.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { check } from '../../src/commands/check.ts';
import type { Output } from '../../src/commands/output.ts';
import { test as testCommand } from '../../src/commands/test.ts';
import { loadPolicy } from '../../src/config/load.ts';
import { makePair } from '../helpers/certificates.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'postern-recipes-'));
const { cert, key } = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' });
for (const [name, text] of Object.entries({ 'mx.pem': cert, 'mx.key': key, 'partners.pem': cert }))
  writeFileSync(join(folder, name), text);
after(() => rmSync(folder, { recursive: true }));

interface Recipe {
  readonly where: string;
  readonly file: string;
  readonly cases: string | null;
}

/** Saves the blocks of a document; what stands in a block is what a reader copies. */
function saveRecipes(document: string): Recipe[] {
  const text = readFileSync(join(ROOT, document), 'utf8');
  const recipes: Recipe[] = [];
  for (const found of text.matchAll(/^```yaml\n(.*?)^```\n(?:```cases\n(.*?)^```\n)?/gms)) {
    const [, yaml = '', cases = null] = found;
    const line = text.slice(0, found.index).split('\n').length;
    const name = /^# (\S+\.yaml)\n/.exec(yaml)?.[1] ?? `${document.replaceAll('/', '-')}-${line}.yaml`;
    const file = join(folder, name);
    writeFileSync(file, yaml);
    if (cases !== null) writeFileSync(file.replace(/yaml$/, 'cases'), cases);
    recipes.push({ where: `${document}:${line}`, file, cases });
  }
  return recipes;
}

async function run(
  command: (args: string[], out: Output) => Promise<number>,
  file: string,
): Promise<{ code: number; said: string }> {
  let said = '';
  const hear = (text: string): void => {
    said += text;
  };
  const code = await command([file], { stdout: hear, stderr: hear, isTTY: false });
  return { code, said };
}

const documents = { 'README.md': saveRecipes('README.md'), 'policies/README.md': saveRecipes('policies/README.md') };

for (const [document, recipes] of Object.entries(documents)) {
  test(`every example in ${document} is sound`, async () => {
    assert.notEqual(recipes.length, 0);
    for (const { where, file } of recipes) {
      const { code, said } = await run(check, file);
      assert.equal(code, 0, `${where}: ${said}`);
    }
  });
}

test('what README.md shows of a question is what is answered', () => {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const shown = [...text.matchAll(/^```console\n\$ postern (explain [^\n]*)\n(.*?)^```\n/gms)];
  assert.notEqual(shown.length, 0);
  for (const [, command = '', answer] of shown) {
    const args = [join(ROOT, 'src/main.ts'), ...command.split(' ')];
    assert.equal(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' }), answer);
  }
});

test('every example in policies/README.md answers as its cases say, both ways', async () => {
  for (const { where, file, cases } of documents['policies/README.md']) {
    assert.ok(
      cases !== null && /^proceed/m.test(cases) && /^(reject|refuse)/m.test(cases),
      `${where}: what does it do?`,
    );
    const { code, said } = await run(testCommand, file.replace(/yaml$/, 'cases'));
    assert.equal(code, 0, `${where}: ${said}`);
  }
});

test('every file and connector that policies/README.md points at is there', () => {
  const text = readFileSync(join(ROOT, 'policies/README.md'), 'utf8');
  for (const [, name = ''] of text.matchAll(/`([\w.-]+\.yaml)`/g)) {
    assert.ok(existsSync(join(ROOT, 'policies', name)), name);
  }
  const pointers = [...text.matchAll(/`([\w.-]+\.yaml)`,\s+connector\s+`([\w-]+)`/g)];
  assert.notEqual(pointers.length, 0);
  for (const [, name = '', connector = ''] of pointers) {
    const policy = loadPolicy(join(ROOT, 'policies', name), { host: { ownAddresses: [], gateways: [] } }).policy;
    assert.ok(
      policy?.connectors.some((one) => one.name === connector),
      `${name} has no connector ${connector}`,
    );
  }
});
