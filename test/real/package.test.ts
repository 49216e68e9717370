// What `npm install -g postern` gives: the tarball, installed into an empty prefix, is a working firewall. Node refuses
// to strip types below node_modules, so this is where a package without its dist/ would be found out.
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { makePair } from '../helpers/certificates.ts';
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

  test('loads at the start what it needs there: TLS only where there is a certificate', async () => {
    const main = join(prefix, 'lib/node_modules/postern/dist/main.js');
    const file = join(prefix, 'office.yaml');
    const listener = { bind: ['127.0.0.1:0'] };
    const pair = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' });
    const [cert, key] = [join(prefix, 'mx.pem'), join(prefix, 'mx.key')];
    writeFileSync(cert, pair.cert);
    writeFileSync(key, pair.key);
    const modules = ['tls', 'crypto', 'http', 'https', 'zlib', 'dns/promises', 'assert'];
    const loadedWith = (more: object): Promise<string[]> => {
      const config = {
        listeners: [{ ...listener, ...more }],
        upstream: { servers: ['192.0.2.1:25'] },
        admin: null,
        policy: {
          version: 1,
          accepted_domains: ['example.com'],
          connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
        },
      };
      writeFileSync(file, JSON.stringify(config));
      return loadedAtStart(main, ['--config', file], modules);
    };
    assert.deepEqual(await loadedWith({}), []);
    assert.deepEqual(await loadedWith({ certificates: [{ cert, key }] }), ['tls', 'crypto']);
    writeFileSync(key, makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' }).key);
    const { code, output } = await run(postern, ['run', '--config', file]);
    assert.equal(code, 78, output);
    assert.match(output, /certificates\[0\]\.key: .*mx\.key is not the key of .*mx\.pem/);
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
      const running = await startServer(port, postern, ['run', ...flags], undefined, /listening on/);
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

/** Says which of Node's modules are loaded when Postern says that it listens, and ends it there. */
const TELL_LOADED = `const write = process.stderr.write.bind(process.stderr);
process.stderr.write = (text) => {
  if (!text.includes('listening on')) return write(text);
  process.stdout.write(process.moduleLoadList.join());
  process.exit();
};`;

/** Of these, what is loaded when it listens. */
async function loadedAtStart(file: string, args: readonly string[], modules: readonly string[]): Promise<string[]> {
  const preload = join(dirname(file), 'tell-loaded.cjs');
  writeFileSync(preload, TELL_LOADED);
  const node = [process.execPath, '--max-semi-space-size=4', '--require', preload, file, 'run', ...args] as const;
  const { code, output } = await run(node[0], node.slice(1));
  assert.equal(code, 0, output);
  const loaded = /(?:Internal Binding|NativeModule) .*/.exec(output)?.[0].split(',') ?? [];
  assert.ok(loaded.includes('NativeModule net'), output);
  return modules.filter((name) => loaded.includes(`NativeModule ${name}`));
}

function version(): string {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version;
}

async function npm(...args: string[]): Promise<void> {
  const { code, output } = await run('npm', args);
  assert.equal(code, 0, output);
}
