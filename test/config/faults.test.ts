// Faulty files and what is said about them: faults.txt, each case written to a folder and read as `check` reads it.
//
// A case is a sentence behind ##, the file, and behind >> the findings, whole and in order. lists/ holds the files that the
// cases name. The warning that clients from everywhere are served without STARTTLS is told only where a case is about it.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { formatFinding } from '../../src/config/finding.ts';
import { loadAny } from '../../src/config/load.ts';
import { writeSettled } from '../helpers/settled.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const host = { ownAddresses: ['10.0.0.7'], gateways: ['172.17.0.1'] };
const now = (): number => Date.UTC(2026, 10, 22, 12);

let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'postern-faults-'));
  cpSync(here('lists'), folder, { recursive: true });
  mkdirSync(join(folder, 'folder'));
  writeFileSync(join(folder, 'postern.yaml'), "upstream: { servers: ['10.0.0.10:25'] }\npolicy: closed.yaml\n");
  writeFileSync(
    join(folder, 'closed.yaml'),
    'version: 1\naccepted_domains: [example.com]\nconnectors: [{ name: lan, remote_ip_ranges: [192.0.2.0/25] }]\n',
  );
});

after(() => rmSync(folder, { recursive: true }));

function findings(text: string): string[] {
  const file = join(folder, 'faulty.yaml');
  writeSettled(file, text);
  const loaded = loadAny(file, { host, now });
  const found = loaded.findings.filter(
    ({ message }) => text.includes('starttls') || !message.includes('without STARTTLS'),
  );
  assert.equal(
    loaded.policy === null,
    found.some(({ severity }) => severity === 'error'),
    'an error leaves no policy',
  );
  return found.map((finding) => formatFinding(finding).replaceAll(`${folder}/`, ''));
}

for (const block of readFileSync(here('faults.txt'), 'utf8').split(/^## /m).slice(1)) {
  const [name = '', ...lines] = block.split('\n');
  const expected = lines.filter((line) => line.startsWith('>> ')).map((line) => line.slice(3));
  const text = lines
    .slice(
      0,
      lines.findIndex((line) => line.startsWith('>>')),
    )
    .map((line) => `${line}\n`)
    .join('');
  test(name, () => assert.deepEqual(findings(text), expected));
}
