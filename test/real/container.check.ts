// The image, run as a container runtime would: user 1000, no capability, a read-only root, port 25, environment only.
// deploy/container-test.sh calls this, in namespaces of its own, with the image's root in IMAGE_ROOT.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Child, run, startServer } from './children.ts';
import { Client } from './client.ts';
import { Sink } from './sink.ts';

const IMAGE_ROOT = process.env.IMAGE_ROOT ?? '';
const PRIVILEGES = ['--reuid=1000', '--regid=1000', '--clear-groups', '--bounding-set=-all', '--no-new-privs'];

function inImage(command: readonly string[], variables: readonly string[]): [string, string[]] {
  const path = 'PATH=/usr/local/bin:/usr/bin:/bin';
  return ['chroot', [IMAGE_ROOT, 'setpriv', ...PRIVILEGES, 'env', '-i', path, ...variables, ...command]];
}

suite('the image', () => {
  let sink: Sink;
  let postern: Child;

  before(async () => {
    sink = await Sink.start();
    const variables = [`POSTERN_UPSTREAM=127.0.0.1:${sink.port}`, 'POSTERN_ACCEPTED_DOMAIN=local.example'];
    postern = await startServer(25, ...inImage(['node', '/opt/postern/dist/main.js', 'run'], variables));
  });
  after(async () => {
    await postern?.stop();
    await sink?.stop();
  });

  test('has a root file system that it cannot write', async () => {
    const { code } = await run(...inImage(['touch', '/tmp/written'], []));
    assert.notEqual(code, 0);
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

  test('says that it is alive and ready', async () => {
    for (const question of ['healthz', 'readyz']) {
      const { code, output } = await run(...inImage(['node', '/opt/postern/health.mjs', question], []));
      assert.equal(code, 0, output);
    }
  });

  test('ends by itself soon after SIGTERM', async () => {
    process.kill(postern.pid, 'SIGTERM');
    assert.equal(await postern.ended, 0, postern.output());
  });
});
