// The examples of policies/README.md, as a reader would use them: each YAML block saved to a file and checked, the cases
// behind it put to it, and every file and connector that it points at looked up. The other documents: test/docs.test.ts.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { check } from '../../src/commands/check.ts';
import type { Output } from '../../src/commands/output.ts';
import { test as testCommand } from '../../src/commands/test.ts';
import { loadPolicy } from '../../src/config/load.ts';
import { makePair } from '../helpers/certificates.ts';
import { blocksOf, ROOT } from '../helpers/document.ts';
import { writeSettled } from '../helpers/settled.ts';

const DOCUMENT = 'policies/README.md';
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

/** Each block saved, with the cases behind it; what stands in a block is what a reader copies. */
function saveRecipes(): Recipe[] {
  const blocks = blocksOf(DOCUMENT);
  return blocks.flatMap(({ where, language, text }, i) => {
    if (language !== 'yaml') return [];
    const file = join(folder, `${i}.yaml`);
    writeSettled(file, text);
    const behind = blocks[i + 1];
    const cases = behind?.language === 'cases' ? behind.text : null;
    if (cases !== null) writeFileSync(file.replace(/yaml$/, 'cases'), cases);
    return [{ where, file, cases }];
  });
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

const recipes = saveRecipes();

test('every example in policies/README.md is sound', async () => {
  assert.notEqual(recipes.length, 0);
  for (const { where, file } of recipes) {
    const { code, said } = await run(check, file);
    assert.equal(code, 0, `${where}: ${said}`);
  }
});

test('every example in policies/README.md answers as its cases say, both ways', async () => {
  for (const { where, file, cases } of recipes) {
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
