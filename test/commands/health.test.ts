// postern health, as a container's health check meets it: exit codes, against a running Postern without a server behind it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { Running } from './running.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

function health(args: readonly string[], admin: string): { code: number | null; said: string } {
  const env = { ...process.env, POSTERN_ADMIN: admin };
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'health', ...args], { encoding: 'utf8', env });
  return { code: status, said: stdout + stderr };
}

test('health: 0 as long as it lives, 1 where it is not ready or nobody answers', async (t) => {
  const admin = await freePort();
  const settings = ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1', '--accepted-domain', 'local.example'];
  const running = new Running(t, [...settings, '--admin', `127.0.0.1:${admin}`]);
  await running.port();
  // As `run` takes it in a container: every address of this machine.
  assert.deepEqual(health([], `0.0.0.0:${admin}`), { code: 0, said: '{"alive":true}\n' });
  const ready = health(['--ready'], `127.0.0.1:${admin}`);
  assert.equal(ready.code, 1);
  assert.match(ready.said, /^\{.*"ready":false/);
  const nobody = health([], '127.0.0.1:1');
  assert.equal(nobody.code, 1);
  assert.match(nobody.said, /^postern health: nothing listens at http:\/\/127\.0\.0\.1:1: /);
});
