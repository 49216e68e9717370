// What `npm install -g postern` gives: the tarball, installed into an empty prefix, is a working firewall. Node refuses
// to strip types below node_modules, so this is where a package without its dist/ would be found out.
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { run, startServer } from './children.ts';
import { Client } from './client.ts';
import { Sink } from './sink.ts';

const AS_NODE_20 = [
  '--import',
  "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.19.0'})",
];
const ROOT = join(import.meta.dirname, '../..');

suite('the published package', () => {
  const prefix = mkdtempSync(join(tmpdir(), 'postern-package-'));
  const postern = join(prefix, 'bin/postern');

  before(async () => {
    // npm test has built dist/ and starts it meanwhile: it is not built again under who runs it.
    const built = process.env.POSTERN_MAIN === undefined ? [] : ['--ignore-scripts'];
    await npm('pack', ROOT, ...built, '--pack-destination', prefix);
    await npm('install', '--global', '--prefix', prefix, '--prefer-offline', join(prefix, `postern-${version()}.tgz`));
  });
  after(() => rmSync(prefix, { recursive: true }));

  test('knows its version', async () => {
    const { code, output } = await run(postern, ['--version']);
    assert.equal(code, 0, output);
    assert.ok(output.includes(version()), output);
  });

  test('brings its policies along, and they are free of errors', async () => {
    const { code, output } = await run(postern, [
      'check',
      join(prefix, 'lib/node_modules/postern/policies/closed.yaml'),
    ]);
    assert.equal(code, 0, output);
  });

  test('brings along whatever its documents link to', () => {
    const inside = join(prefix, 'lib/node_modules/postern');
    const documents = globSync('{*.md,{deploy,docs,policies}/*.md}', { cwd: inside });
    assert.ok(documents.includes('README.md') && documents.includes(join('deploy', 'README.md')));
    for (const document of documents) {
      const text = readFileSync(join(inside, document), 'utf8');
      for (const [, link = ''] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g))
        assert.ok(existsSync(join(inside, dirname(document), link)), `${document} links to ${link}`);
    }
    for (const file of ['postern.service', 'haproxy/haproxy.cfg', 'kubernetes/sidecar.yaml', 'helm/Chart.yaml'])
      assert.ok(existsSync(join(inside, 'deploy', file)), file);
  });

  test('says in a sentence which Node it needs, where it is started by an older one', async () => {
    const { code, output } = await run(process.execPath, [...AS_NODE_20, join(prefix, 'bin/postern'), 'run']);
    assert.equal(code, 1);
    assert.match(output, /^postern: Node\.js 24 or newer is needed, and .+ is 20\.19\.0\n$/);
  });

  for (const workers of ['1', '2'])
    test(`refuses to relay, with --workers ${workers}`, async () => {
      const sink = await Sink.start();
      const port = await freePort();
      const flags = ['--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${sink.port}`];
      flags.push(
        '--workers',
        workers,
        '--accepted-domain',
        'local.example',
        '--admin',
        `127.0.0.1:${await freePort()}`,
      );
      const running = await startServer(port, postern, ['run', ...flags]);
      const client = new Client(port);
      try {
        await client.reply();
        await client.say('EHLO client.example');
        assert.match(await client.say('MAIL FROM:<alice@partner.example>'), /^250/);
        assert.match(await client.say('RCPT TO:<victim@foreign.example>'), /^554 .*Relay access denied/);
        assert.match(await client.say('RCPT TO:<bob@local.example>'), /^250/);
      } finally {
        client.close();
        await running.stop();
        await sink.stop();
      }
    });
});

function version(): string {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version;
}

async function npm(...args: string[]): Promise<void> {
  const { code, output } = await run('npm', args);
  assert.equal(code, 0, output);
}
