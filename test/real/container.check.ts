// The image, run as a container runtime would: user 1000, no capability, a read-only root, port 25, environment only.
// deploy/container-test.sh calls this, in namespaces of its own, with the image's root in IMAGE_ROOT and its settings in IMAGE_CONFIG.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import packageFile from '../../package.json' with { type: 'json' };
import { type Child, run, startServer } from './children.ts';
import { Client } from './client.ts';
import { Sink } from './sink.ts';

const IMAGE_ROOT = process.env.IMAGE_ROOT ?? '';
const CONFIG = JSON.parse(readFileSync(process.env.IMAGE_CONFIG ?? '', 'utf8')).Docker.config;
const ONLY_FAMILIES = join(import.meta.dirname, 'only-families.py');
// What chroot needs to become user 1000 there; then nothing is left.
const PRIVILEGES = ['--bounding-set=-all,+sys_chroot,+setuid,+setgid', '--no-new-privs'];
const ACCEPTED = 'POSTERN_ACCEPTED_DOMAIN=local.example';

function inImage(command: readonly string[], variables: readonly string[] = []): [string, string[]] {
  const chroot = ['chroot', '--userspec=1000:1000', '--groups=', IMAGE_ROOT];
  return [
    'setpriv',
    [...PRIVILEGES, 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...variables, ...chroot, ...command],
  ];
}

/** As the image says, with these arguments. */
function postern(args: readonly string[], variables: readonly string[] = []): [string, string[]] {
  return inImage([...CONFIG.Entrypoint, ...args], variables);
}

async function untilItListens(command: string, args: readonly string[]): Promise<number> {
  const begun = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const [said] = await once(child.stderr, 'data');
  const took = performance.now() - begun;
  assert.match(`${said}`, /^postern: listening on /);
  child.kill();
  await once(child, 'exit');
  return took;
}

suite('the image', () => {
  let sink: Sink;
  let running: Child;

  before(async () => {
    sink = await Sink.start();
    const variables = [`POSTERN_UPSTREAM=127.0.0.1:${sink.port}`, ACCEPTED];
    running = await startServer(25, ...postern(CONFIG.Cmd, variables));
  });
  after(async () => {
    await running?.stop();
    await sink?.stop();
  });

  test('is not root, has a health check, and says what it is', () => {
    assert.equal(CONFIG.User, '1000:1000');
    assert.deepEqual(CONFIG.Healthcheck.Test, ['CMD', '/usr/bin/postern', 'health']);
    const label = (name: string) => CONFIG.Labels[`org.opencontainers.image.${name}`];
    assert.equal(label('title'), 'Postern');
    assert.equal(label('version'), packageFile.version);
    assert.equal(label('licenses'), packageFile.license);
    assert.match(label('revision'), /^[0-9a-f]{12}$/);
  });

  test('has a root file system that it cannot write', () => {
    assert.throws(() => writeFileSync(join(IMAGE_ROOT, 'tmp/written'), ''), { code: 'EROFS' });
  });

  test('has no shell', async () => {
    const { code } = await run(...inImage(['/bin/sh', '-c', 'true']));
    assert.equal(code, 127);
  });

  test('brings along what it is made of, as CycloneDX', () => {
    const bom = JSON.parse(readFileSync(join(IMAGE_ROOT, 'usr/share/doc/postern/sbom.cdx.json'), 'utf8'));
    assert.equal(bom.bomFormat, 'CycloneDX');
    const names = bom.components.map(({ name }: { name: string }) => name);
    for (const name of [...Object.keys(packageFile.dependencies), 'Node.js']) assert.ok(names.includes(name), name);
  });

  test('is of the commit and the Node that it was built of', async () => {
    const { code, output } = await run(...postern(['--version']));
    assert.equal(code, 0, output);
    assert.match(output, /^postern \S+ \(commit [0-9a-f]{12}, Node\.js 26\.\d+\.\d+\)\n$/);
  });

  test('refuses to relay and lets accepted mail pass', async () => {
    const client = new Client(25);
    await client.reply();
    await client.say('EHLO client.example');
    assert.match(await client.say('MAIL FROM:<alice@partner.example>'), /^250/);
    assert.match(await client.say('RCPT TO:<victim@foreign.example>'), /^554 .*Relay access denied/);
    assert.match(await client.say('RCPT TO:<bob@local.example>'), /^250/);
    assert.match(await client.say('DATA'), /^354/);
    client.write('Subject: in a box\r\n\r\nhello\r\n.\r\n');
    assert.match(await client.reply(), /^250/);
    client.close();
    const [message] = await sink.arrival('in a box', ['bob@local.example']);
    assert.deepEqual(message?.recipients, ['bob@local.example']);
  });

  test('is closed, as its own probe says, and the server behind is open', async () => {
    const closed = await run(...postern(['probe', '127.0.0.1:25']));
    assert.equal(closed.code, 0, closed.output);
    assert.match(closed.output, /CLOSED/);
    const open = await run(...postern(['probe', `127.0.0.1:${sink.port}`]));
    assert.match(open.output, /OPEN/);
  });

  test('says that it is alive and ready', async () => {
    for (const question of [CONFIG.Healthcheck.Test.slice(2), ['health', '--ready']]) {
      const { code, output } = await run(...postern(question));
      assert.equal(code, 0, output);
    }
  });

  test('shows the old server and the gate: demo --once', async () => {
    const { code, output } = await run(...postern(['demo', '--once']));
    assert.equal(code, 0, output);
  });

  test('explains a policy that it brings along', async () => {
    const question = ['explain', '/usr/share/postern/policies/closed.yaml', '--source', '203.0.113.7'];
    const { code, output } = await run(...postern([...question, '--rcpt', 'x@foreign.example', '--expect', 'reject']));
    assert.equal(code, 0, output);
  });

  test('listens on IPv4 where there is no IPv6 at all, and says so', async () => {
    const variables = ['POSTERN_UPSTREAM=127.0.0.1:1', ACCEPTED, 'POSTERN_ADMIN=none'];
    const [command, args] = postern(CONFIG.Cmd, [...variables, 'POSTERN_LISTEN=0.0.0.0:2525,[::]:2525']);
    const families = [ONLY_FAMILIES, 'AF_INET AF_UNIX AF_NETLINK', command, ...args];
    const child = await startServer(2525, 'python3', families);
    await child.stop();
    assert.match(child.output(), /IPv6/);
  });

  test('answers /status where there is no /proc, without what only /proc knows', async () => {
    const variables = ['POSTERN_UPSTREAM=127.0.0.1:1', ACCEPTED, 'POSTERN_ADMIN=127.0.0.1:9126'];
    const [command, args] = postern(CONFIG.Cmd, [...variables, 'POSTERN_LISTEN=127.0.0.1:2526']);
    const script = 'umount "$0/proc" && exec "$@"';
    const child = await startServer(2526, 'unshare', ['--mount', 'sh', '-c', script, IMAGE_ROOT, command, ...args]);
    try {
      const status = await run(...postern(['status', '--admin', '127.0.0.1:9126']));
      assert.equal(status.code, 0, status.output);
      const metrics = await (await fetch('http://127.0.0.1:9126/metrics')).text();
      assert.match(metrics, /^process_cpu_seconds_total /m);
      assert.doesNotMatch(metrics, /^process_resident_memory_bytes /m);
    } finally {
      await child.stop();
    }
  });

  test('says how soon it listens', async () => {
    const variables = ['POSTERN_UPSTREAM=127.0.0.1:1', ACCEPTED, 'POSTERN_ADMIN=none', 'POSTERN_LISTEN=127.0.0.1:2527'];
    const took: number[] = [];
    for (let round = 0; round < 11; round++) took.push(await untilItListens(...postern(CONFIG.Cmd, variables)));
    const [best, median, slowest] = [0, 5, 10].map((place) => took.toSorted((a, b) => a - b)[place]?.toFixed(0));
    console.log(`listens ${median} ms after its start (median of 11; ${best} to ${slowest})`);
  });

  test('ends by itself soon after SIGTERM', async () => {
    process.kill(running.pid, 'SIGTERM');
    assert.equal(await running.ended, 0, running.output());
  });
});
