// The files of settings as people have them: in an archive, compressed, in folders, as a pattern, with Windows' names.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { importSettings } from '../../src/commands/import.ts';
import { output } from './settings.ts';
import { zip } from './zip.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-inputs-'));
after(() => rmSync(folder, { recursive: true }));

const MAIN = 'mydestination = example.com\nmynetworks = /etc/postfix/nets\nrelay_domains = hash:/etc/postfix/domains\n';
const FILES = { 'main.txt': MAIN, nets: '10.1.0.0/16\n', domains: 'partner.example yes\n' };

async function run(...paths: string[]): Promise<{ code: number; policy: string; said: string }> {
  const out = output();
  const code = await importSettings(
    paths.map((path) => join(folder, path)),
    out,
  );
  return { code, policy: out.text.replace(/^#.*\n/gm, ''), said: out.errors.replaceAll(`${folder}/`, '') };
}

function put(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content);
  return name;
}

test('archives, gzip, folders and patterns hold the same settings', async () => {
  for (const [name, content] of Object.entries(FILES)) put(name, content);
  const plain = await run(...Object.keys(FILES));
  assert.equal(plain.code, 0, plain.said);
  assert.match(plain.policy, /10\.1\.0\.0\/16/);
  assert.match(plain.policy, /partner\.example/);
  const entries = Object.entries(FILES);
  put('all.zip', zip(entries.map(([name, content]) => [`C:\\export\\${name}`, content])));
  put('wide.zip', zip(entries.map(([name, content]) => [name, Buffer.from(`\ufeff${content}`, 'utf16le')])));
  mkdirSync(join(folder, 'export', 'tables'), { recursive: true });
  for (const [name, content] of entries) put(name === 'main.txt' ? `export/${name}` : `export/tables/${name}`, content);
  put('export/tables/nets.zip', zip([['nets', FILES.nets]]));
  put('main.gz', gzipSync(MAIN));
  put(
    'part.zip',
    zip([
      ['tables/nets', FILES.nets],
      ['domains', gzipSync(FILES.domains)],
    ]),
  );
  rmSync(join(folder, 'export', 'tables', 'nets'));
  for (const paths of [['all.zip'], ['wide.zip'], ['export'], ['exp*'], ['main.gz', 'part.zip']]) {
    const { code, policy, said } = await run(...paths);
    assert.equal(code, 0, said);
    assert.equal(policy, plain.policy, paths.join());
  }
});

test('a fault in an archive says in which of its files it is, and in which line', async () => {
  put(
    'fault.zip',
    zip([
      ['main.txt', `${MAIN}smtpd_client`],
      ['nets', '10.1.0.0/16'],
    ]),
  );
  const { code, policy, said } = await run('fault.zip');
  assert.equal(code, 65);
  assert.equal(policy, '');
  assert.match(said, /^fault\.zip:main\.txt:4:1: error: 'smtpd_client' is no parameter: name = value is wanted/m);
  put(
    'fault.zip',
    zip([
      ['main.txt', MAIN],
      ['nets', '10.1.0.0/16'],
    ]),
  );
  assert.match((await run('fault.zip')).said, /^fault\.zip:nets:1:12: error: the last line has no end/m);
  for (const [name, octets, why] of [
    ['none.zip', zip([]), /^none\.zip:1:1: error: cannot be read: no file is in this archive/m],
    [
      'locked.zip',
      zip([['main.txt', MAIN]], true),
      /^locked\.zip:main\.txt:1:1: error: cannot be read: it is encrypted/m,
    ],
    [
      'half.gz',
      gzipSync(MAIN.repeat(99)).subarray(0, -20),
      /^half\.gz:1:1: error: cannot be read: its compressed octets end/m,
    ],
  ] as const) {
    const broken = await run(put(name, octets));
    assert.equal(broken.code, 65);
    assert.match(broken.said, why);
  }
});

test('what no file shows is said: whether it is whole, and whether its letters are those', async () => {
  const cut = await run(put('cut.cf', 'mynetworks = 10.0.0.0/8\nmydestination = example.com\n'));
  assert.equal(cut.code, 0);
  assert.match(cut.said, /^cut\.cf:2:28: cannot be said: the end of the file mydestination = example\.com: nothing/m);
  const listed =
    'Name : Büro\r\nBindings : {0.0.0.0:25}\r\nRemoteIPRanges : {10.0.0.1}\r\nPermissionGroups : None\r\nEnabled : True\r\n\r\n';
  const domain = ['--accepted-domain', 'example.com'];
  const importing = async (content: Buffer): Promise<{ code: number; said: string; policy: string }> => {
    const out = output();
    const code = await importSettings([join(folder, put('made.txt', content)), ...domain], out);
    return { code, said: out.errors, policy: out.text.replace(/^#.*\n/gm, '') };
  };
  const whole = await importing(Buffer.from(listed));
  assert.equal(whole.code, 0, whole.said);
  assert.doesNotMatch(whole.said, /letters beyond ASCII/);
  const guessed = await importing(Buffer.from(listed, 'latin1'));
  assert.match(guessed.said, /made\.txt:1:9: cannot be said: letters beyond ASCII üro: neither UTF-8 nor UTF-16/);
  assert.equal(guessed.policy, whole.policy);
  assert.equal((await importing(Buffer.from(listed.replaceAll('\r\n', '\r')))).policy, whole.policy);
  const other = listed.replace('Büro', 'Other').replace('10.0.0.1', '10.0.0.2');
  const both = await importing(Buffer.from(`\ufeff${listed}\r\n\ufeff${other}`, 'utf16le'));
  assert.equal(both.code, 0, both.said);
  assert.match(both.policy, /10\.0\.0\.2/);
});
