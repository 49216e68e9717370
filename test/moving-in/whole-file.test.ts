import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { writeWhole } from '../../src/moving-in/whole-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-whole-'));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

test('a file is there whole or stays as it was', () => {
  writeFileSync(at('page'), 'before');
  const broken = function* (): Generator<string> {
    yield 'half';
    throw new Error('interrupted');
  };
  assert.throws(() => writeWhole(at('page'), broken()), /interrupted/);
  assert.equal(readFileSync(at('page'), 'utf8'), 'before');
  writeWhole(at('page'), ['be', 'hind']);
  assert.equal(readFileSync(at('page'), 'utf8'), 'behind');
  assert.deepEqual(readdirSync(folder), ['page']);
});

test('a link stays a link, and a device a device', () => {
  writeFileSync(at('real'), 'before');
  symlinkSync(at('real'), at('link'));
  writeWhole(at('link'), ['behind']);
  assert.equal(lstatSync(at('link')).isSymbolicLink(), true);
  assert.equal(readFileSync(at('real'), 'utf8'), 'behind');
  symlinkSync('/dev/null', at('null'));
  writeWhole(at('null'), ['nothing']);
  assert.equal(lstatSync('/dev/null').isCharacterDevice(), true);
});
