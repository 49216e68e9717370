// The one file to run (npm run package), as somebody has it who has nothing else: no Node, no repository, another folder.
// `npm run test:package` calls this behind the build. ONE_FILE names another file, as the Debian package's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { run, startServer } from './children.ts';
import { Sink } from './sink.ts';

const ROOT = join(import.meta.dirname, '../..');
const [made = ''] = globSync(`packages/postern-*-${process.platform}-${process.arch}`, { cwd: ROOT });
const POSTERN = process.env.ONE_FILE ?? join(ROOT, made);
const ENV = { PATH: '/usr/bin:/bin', HOME: '/nonexistent' };

suite('the one file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-one-file-'));
  after(() => rmSync(folder, { recursive: true }));

  test('names its commit and its Node', async () => {
    const { code, output } = await run(POSTERN, ['--version'], ENV);
    assert.equal(code, 0, output);
    assert.match(output, /^postern \d+\.\d+\.\d+ \(commit [0-9a-f]{12}\+?, Node\.js 26\.\d+\.\d+\)\n$/);
  });

  test('has every command', () => {
    const help = spawnSync(POSTERN, ['--help'], { env: ENV, cwd: folder, encoding: 'utf8' }).stdout;
    const commands = [...help.matchAll(/^ {2}(\w+) {2}/gm)].map(([, name]) => name as string);
    assert.ok(commands.length > 12);
    for (const command of commands) {
      const { status, stdout } = spawnSync(POSTERN, [command, '--help'], { env: ENV, cwd: folder, encoding: 'utf8' });
      assert.equal(status, 0, command);
      assert.match(stdout, new RegExp(`^Usage: postern ${command}\\b`), command);
    }
  });

  test('checks a configuration, and finds its fault', async () => {
    const file = join(folder, 'office.yaml');
    writeFileSync(file, 'version: 1\naccepted_domain: [example.com]\nconnectors: []\n');
    const { code, output } = await run(POSTERN, ['check', file], ENV);
    assert.equal(code, 78);
    assert.match(output, /office\.yaml:2:1: error: accepted_domain: unknown key: did you mean accepted_domains\?/);
  });

  for (const workers of ['1', '2'])
    test(`is a firewall that probe calls closed, with its page, with --workers ${workers}`, async () => {
      const sink = await Sink.start();
      const [port, admin] = [await freePort(), await freePort()];
      const flags = ['--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${sink.port}`, '--workers', workers];
      flags.push('--accepted-domain', 'local.example', '--admin', `127.0.0.1:${admin}`);
      const running = await startServer(port, POSTERN, ['run', ...flags], ENV, /listening on/);
      try {
        const { code, output } = await run(POSTERN, ['probe', `127.0.0.1:${port}`], ENV);
        assert.equal(code, 0, output);
        for (const path of ['/', '/page.css', '/page.js', '/uplot.css', '/uplot.js']) {
          const response = await fetch(`http://127.0.0.1:${admin}${path}`);
          assert.equal(response.status, 200, path);
          assert.ok((await response.text()).length > 1000, path);
        }
        process.kill(running.pid, 'SIGTERM');
        assert.equal(await running.ended, 0, running.output());
      } finally {
        await running.stop();
        await sink.stop();
      }
    });

  test('ends with the code that it was to end with, where it has to end in the place of another', () => {
    assert.equal(spawnSync(POSTERN, ['--exit-with', '78'], { env: ENV }).status, 78);
  });
});
