// The documents, as their readers use them: every configuration and policy in them is checked by the product, every
// question shown is asked, and every link leads somewhere. Cases behind a policy are put to it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { check } from '../src/commands/check.ts';
import type { Output } from '../src/commands/output.ts';
import { test as testCommand } from '../src/commands/test.ts';
import { makePair } from './helpers/certificates.ts';
import { whole } from './helpers/cuts.ts';
import { anchorsOf, type Block, blocksOf, linksOf, ROOT } from './helpers/document.ts';
import { MAIN } from './helpers/main.ts';
import { play } from './helpers/play.ts';
import { readTranscripts } from './helpers/transcripts.ts';

const DOCUMENTS = globSync('{*.md,{docs,deploy,deploy/helm,policies}/*.md}', { cwd: ROOT }).sort();
const WITH_RECIPES = DOCUMENTS.filter((name) => !name.startsWith('policies/')); // test/policies/recipes.test.ts has those;

const folder = mkdtempSync(join(tmpdir(), 'postern-docs-'));
const { cert, key } = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' });
const OFFICE = `version: 1
accepted_domains: ['*.example.com']
connectors: [{ name: internet, remote_ip_ranges: [any], starttls: hide }]
`;
/** What a page may name without showing it. */
const BESIDE = {
  'mx.pem': cert,
  'mx.key': key,
  'partners.pem': cert,
  'office-ca.pem': cert,
  'admin.token': 'x'.repeat(32),
  'office.yaml': OFFICE,
};
after(() => rmSync(folder, { recursive: true }));

for (const document of WITH_RECIPES) {
  const blocks = blocksOf(document);
  if (!blocks.some(({ language }) => language === 'yaml')) continue;
  test(`every configuration and policy in ${document} is sound`, async () => {
    for (const { where, file, cases } of save(document, blocks)) {
      const { code, said } = await run(check, file);
      assert.equal(code, 0, `${where}: ${said}`);
      if (cases === null) continue;
      const answered = await run(testCommand, cases);
      assert.equal(answered.code, 0, `${where}: ${answered.said}`);
    }
  });
}

test('what the documents show of a question is what is answered', () => {
  const shown = WITH_RECIPES.flatMap(blocksOf).filter(({ text }) => text.startsWith('$ postern explain policies/'));
  assert.notEqual(shown.length, 0);
  for (const { where, text } of shown) {
    const [command = '', ...answer] = text.split('\n');
    const args = [MAIN, ...command.split(' ').slice(2)];
    assert.equal(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' }), answer.join('\n'), where);
  }
});

test('every link in the documents leads somewhere, to the very heading', () => {
  for (const document of DOCUMENTS) {
    for (const link of linksOf(document)) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : normalize(join(dirname(document), path));
      assert.ok(existsSync(join(ROOT, target)), `${document} links to ${link}`);
      if (anchor !== undefined) assert.ok(anchorsOf(target).has(anchor), `${document} links to ${link}`);
    }
  }
});

test('the golden dialogue that CONTRIBUTING.md shows is one', () => {
  const place = join(folder, 'transcripts');
  mkdirSync(place);
  const shown = blocksOf('CONTRIBUTING.md').filter(({ text }) => /^C! /m.test(text));
  assert.equal(shown.length, 1);
  for (const { text } of shown) writeFileSync(join(place, 'shown.txt'), text.replace(/^---\n/, ''));
  for (const transcript of readTranscripts(pathToFileURL(`${place}/`))) play(transcript, whole);
});

test('every page in docs is in its index', () => {
  const listed = linksOf('docs/README.md');
  for (const page of globSync('*.md', { cwd: join(ROOT, 'docs') }))
    assert.ok(page === 'README.md' || listed.includes(page), page);
});

interface Saved {
  readonly where: string;
  readonly file: string;
  readonly cases: string | null;
}

/** In a folder of the document's own, with the lists that it shows and the certificates that it speaks of. */
function save(document: string, blocks: readonly Block[]): Saved[] {
  const place = join(folder, document.replaceAll('/', '-'));
  mkdirSync(place);
  for (const [name, text] of Object.entries(BESIDE)) writeFileSync(join(place, name), text);
  const saved: Saved[] = [];
  for (const { name, text } of blocks) if (name !== null) writeFileSync(join(place, name), text);
  blocks.forEach(({ where, language, text, name }, i) => {
    if (language !== 'yaml') return;
    const file = join(place, name ?? `${i}.yaml`);
    writeFileSync(file, text);
    const behind = blocks[i + 1];
    const cases = behind?.language === 'cases' ? file.replace(/yaml$/, 'cases') : null;
    if (cases !== null) writeFileSync(cases, behind?.text ?? '');
    saved.push({ where, file, cases });
  });
  return saved;
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
