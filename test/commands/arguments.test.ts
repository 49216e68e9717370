// What commands say of arguments that they do not know, and of a file that is of the other kind.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MAIN } from '../helpers/main.ts';

const POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));

function postern(...args: string[]): { code: number | null; stderr: string; stdout: string } {
  const { status, stderr, stdout } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  return { code: status, stderr, stdout };
}

for (const [args, said] of [
  [['chekc'], /there is no command 'chekc': did you mean check\?/],
  [['--verison'], /there is no command '--verison': did you mean --version\?/],
  [['run', '--confg', 'x'], /'--confg': did you mean --config\?/],
  [['run', '--acepted-domain', 'x'], /'--acepted-domain': did you mean --accepted-domain\?/],
  [['run', 'office.yaml'], /'office\.yaml'.*: did you mean --config office\.yaml\?/],
  [['check', '--strct', 'x'], /'--strct': did you mean --strict\?/],
  [['explain', '--rcpt-to', 'x'], /'--rcpt-to': did you mean --rcpt\?/],
  [
    ['explain', 'x', '--source', '192.0.2.1', '--rcpt', 'a@b.example', '--expect', 'refuse'],
    /"refuse" is no answer: proceed, reject, defer, refuse-connection, refuse-sender are/,
  ],
  [
    ['explain', 'x', '--source', '192.0.2.1', '--rcpt', 'a@b.example', '--expect', 'rejct'],
    /"rejct" is no answer: did you mean reject\?/,
  ],
  [['test', '--jsn'], /'--jsn': did you mean --json\?/],
  [['probe', '--sorce', '192.0.2.1'], /'--sorce': did you mean --source\?/],
  [['demo', '--onec'], /'--onec': did you mean --once\?/],
  [['demo', '--frobnicate'], /Unknown option '--frobnicate'\n/],
] as const) {
  test(`postern ${args.join(' ')}: 64, and what was meant`, () => {
    const { code, stderr } = postern(...args);
    assert.match(stderr, said);
    assert.equal(code, 64);
  });
}

test('run on a policy says so in one sentence', () => {
  const { code, stderr } = postern('run', '--config', `${POLICIES}closed.yaml`);
  assert.equal(code, 78);
  assert.match(
    stderr,
    /^\S+closed\.yaml:1:1: error: this is a policy, and a configuration is wanted: .* policy: closed\.yaml\n$/,
  );
});
