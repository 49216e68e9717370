// What is written in PowerShell: no PowerShell is here, so the grammar that editors use reads it (tree-sitter), which tells what is no
// PowerShell at all, and no more than that.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { Language, type Node, Parser } from 'web-tree-sitter';

const ROOT = join(import.meta.dirname, '../..');
const SCRIPT = join(ROOT, 'deploy/windows/postern-service.ps1');

await Parser.init();
const grammar = createRequire(import.meta.url).resolve('tree-sitter-powershell/tree-sitter-powershell.wasm');
const parser = new Parser();
parser.setLanguage(await Language.load(grammar));

function faults(text: string): string[] {
  const tree = parser.parse(text);
  assert.ok(tree !== null);
  const found: string[] = [];
  const walk = (node: Node): void => {
    if (node.isError || node.isMissing) found.push(`line ${node.startPosition.row + 1}: ${node.text.slice(0, 80)}`);
    for (const child of node.children) if (child?.hasError || child?.isMissing) walk(child);
  };
  walk(tree.rootNode);
  return found;
}

test('the script that installs the service is PowerShell', () => {
  assert.deepEqual(faults(readFileSync(SCRIPT, 'utf8')), []);
  assert.notDeepEqual(
    faults(readFileSync(SCRIPT, 'utf8').replace("'Install' { Install-Postern }", "'Install' { (")),
    [],
  );
});

test('the completion for PowerShell is PowerShell', () => {
  const args = [join(ROOT, 'src/main.ts'), 'completion', 'powershell'];
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0);
  assert.deepEqual(faults(stdout), []);
});

test('it is ASCII, as an old PowerShell reads a file without a mark, and names the wrapper by its SHA-256', () => {
  const text = readFileSync(SCRIPT, 'latin1');
  assert.match(text, /^[\x09\x0a\x20-\x7e]*$/);
  const [, hash = ''] = /\$WrapperHash = '([0-9A-F]+)'/.exec(text) ?? [];
  assert.equal(hash.length, createHash('sha256').digest('hex').length);
  assert.ok(readFileSync(join(ROOT, 'docs/windows.md'), 'utf8').includes(hash.toLowerCase()));
});

test('the configuration that it installs is sound, and closed', () => {
  const token = join(ROOT, 'deploy/windows/postern.yaml');
  const { stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'src/main.ts'), 'check', token], {
    encoding: 'utf8',
  });
  // The token is made when it is installed.
  const errors = (stdout + stderr).split('\n').filter((line) => line.includes(': error: '));
  assert.equal(errors.length, 1, errors.join('\n'));
  assert.match(errors[0] as string, /admin\.token_file: cannot read .*admin\.token: there is no such file/);
  assert.match(readFileSync(token, 'utf8'), /bind: \['127\.0\.0\.1:2525'\]/);
});
