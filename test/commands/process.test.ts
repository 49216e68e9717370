// The process as a shell sees it: what a pipe gets, what becomes of a command whose reader has gone, and what an old Node
// says.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, suite, test } from 'node:test';
import { MAIN, SOURCE } from '../helpers/main.ts';

const ROOT = join(import.meta.dirname, '../..');
const POLICIES = join(ROOT, 'policies');
const QUESTION = ['--source', '192.0.2.1', '--rcpt', 'x@foreign.example'];

/** Every command that prints and ends. */
const COMMANDS: readonly (readonly string[])[] = [
  ['--help'],
  ['--version'],
  ['run', '--help'],
  ['check', '--json-schema'],
  ['check', join(POLICIES, 'closed.yaml')],
  ['explain', join(POLICIES, 'closed.yaml'), ...QUESTION],
  ['test', POLICIES],
  ['probe', '127.0.0.1:1', '--json'],
  ['demo', '--once'],
];

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

test('`run` begins anew as the same process with a small young heap, and not where the command line has said one', {
  skip: !existsSync('/proc/self/cmdline') && 'wants /proc',
}, async (t) => {
  const clean = { ...process.env, NODE_OPTIONS: '' };
  const flags = [
    '--listen',
    '127.0.0.1:0',
    '--admin',
    'none',
    '--accepted-domain',
    'a.example',
    '--upstream',
    '127.0.0.1:1',
  ];
  for (const said of [[], ['--max-semi-space-size=16']]) {
    const child = spawn(process.execPath, [...said, MAIN, 'run', ...flags], { env: clean });
    t.after(() => child.kill('SIGKILL'));
    let heard = '';
    for await (const chunk of child.stderr) {
      heard += chunk;
      if (heard.includes('listening on')) break;
    }
    const words = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').split('\0');
    const sizes = words.filter((word) => word.startsWith('--max-semi-space-size'));
    assert.deepEqual(sizes, said.length === 0 ? ['--max-semi-space-size=4'] : said);
  }
});

suite('a reader that goes away', { concurrency: 2 }, () => {
  for (const args of COMMANDS)
    test(`ends \`${args[0]}\` (${args.length}) without a word, as SIGPIPE would`, async () => {
      const child = start(...args);
      child.stdout?.destroy();
      const [said, [code]] = await Promise.all([text(child.stderr as NodeJS.ReadableStream), once(child, 'exit')]);
      assert.doesNotMatch(said, /EPIPE|Error| at .+:\d+/);
      assert.equal(code, 141);
    });

  test('of standard error is no reason to end otherwise', async () => {
    const child = start('frobnicate');
    child.stderr?.destroy();
    child.stdout?.resume();
    assert.deepEqual(await once(child, 'exit'), [64, null]);
  });
});

test('a disk that is full is said', { skip: existsSync('/dev/full') ? false : 'no /dev/full here' }, () => {
  const stdio = ['ignore', openSync('/dev/full', 'w'), 'pipe'] as const;
  const { status, stderr } = spawnSync(process.execPath, [MAIN, '--help'], { stdio: [...stdio], encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^postern: standard output cannot be written: ENOSPC.*\n$/);
});

test('what is printed is whole, though a pipe holds less and its reader comes late', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-process-'));
  after(() => rmSync(folder, { recursive: true }));
  copyFileSync(join(POLICIES, 'closed.yaml'), join(folder, 'many.yaml'));
  writeFileSync(join(folder, 'many.cases'), 'proceed 192.0.2.1 -> x@foreign.example\n'.repeat(2000));
  const child = start('test', folder, '--json');
  const exit = once(child, 'exit');
  await once(child.stdout as NodeJS.ReadableStream, 'readable');
  const { failed, failures } = JSON.parse(await text(child.stdout as NodeJS.ReadableStream));
  assert.deepEqual([failed, failures.length], [2000, 2000]);
  assert.deepEqual(await exit, [1, null]);
});

test('a Node that is too old says in a sentence which one is needed', () => {
  const old = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.19.0'})";
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', old, SOURCE, '--help'], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(
    stderr,
    /^postern: Node\.js 24 or newer is needed, and .+ is 20\.19\.0; 'npm start -- COMMAND' in the repository has the right one\n$/,
  );
});

const older = olderNode();

test('so does one that cannot read TypeScript at all', { skip: older === null ? 'no older Node here' : false }, () => {
  const { status, stderr } = spawnSync(older ?? '', [SOURCE, 'run'], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^postern: Node\.js 24 or newer is needed, and .+ is \d+\.\d+\.\d+; .+\n$/);
});

/** A Node on the path that is not ours. */
function olderNode(): string | null {
  const found = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'node'));
  const isOlder = (node: string): boolean =>
    Number.parseInt(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.slice(1), 10) < 24;
  return found.filter((node) => existsSync(node)).find(isOlder) ?? null;
}

const noNamespace = spawnSync('unshare', ['-rmn', 'true']).status === 0 ? false : 'no namespaces for this user here';

for (const workers of [1, 2])
  test(`a drained process does not wait for DNS that is silent (${workers})`, { skip: noNamespace }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-dns-'));
    after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'resolv.conf'), 'nameserver 127.0.0.1\n');
    const script = 'ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"';
    const program = [process.execPath, join(import.meta.dirname, 'silent-dns.ts'), MAIN, String(workers)];
    const args = ['-rmn', 'sh', '-c', script, join(folder, 'resolv.conf'), ...program];
    const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
    assert.equal(stdout, 'ended with 0\n', stderr);
  });
