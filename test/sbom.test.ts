// What `npm run sbom` writes: all that Postern runs on, as the lock file has it, and nothing that only builds or tests.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeSbom } from '../build/sbom.ts';
import packageFile from '../package.json' with { type: 'json' };
import lock from '../package-lock.json' with { type: 'json' };

interface Bom {
  readonly components: { readonly 'bom-ref': string; readonly name: string; readonly group?: string }[];
  readonly dependencies: { readonly ref: string; readonly dependsOn: string[] }[];
}

test('the bill of materials names what Postern runs on, and nothing else', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-sbom-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeSbom(join(folder, 'sbom.cdx.json'), true);
  const bom = JSON.parse(readFileSync(join(folder, 'sbom.cdx.json'), 'utf8')) as Bom;
  const refs = bom.components.map((component) => component['bom-ref']);
  const packages = Object.entries(lock.packages as Record<string, { version: string; dev?: true }>);
  const wanted = packages
    .filter(([path, { dev }]) => path !== '' && dev === undefined)
    .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`);
  assert.deepEqual(refs.toSorted(), [...wanted, `node@${process.version.slice(1)}`].toSorted());
  for (const [name, version] of Object.entries(packageFile.dependencies))
    assert.ok(refs.includes(`${name}@${version}`));
  const own = `${packageFile.name}@${packageFile.version}`;
  for (const { ref, dependsOn } of bom.dependencies)
    for (const one of [ref, ...dependsOn]) assert.ok(refs.includes(one) || one === own, one);
});
