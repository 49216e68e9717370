// Clients that hang up cost no port. In a network namespace of its own with a hundred ports for outgoing connections, and no
// reuse of those in TIME_WAIT, four hundred sessions end in every way that a client knows, and none of them is refused.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from './children.ts';
import { missing } from './tools.ts';

const SESSIONS = 400;
const INSIDE = join(import.meta.dirname, 'beds/hang-ups.ts');
const SCRIPT = `set -e
ip link set lo up
echo 20000 20099 >/proc/sys/net/ipv4/ip_local_port_range
echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse
exec "$0" "$@"`;

function skip(): string | false {
  if (process.getuid?.() !== 0) return 'a network namespace is for root only';
  if (spawnSync('unshare', ['--net', '--mount', 'true']).status !== 0) return 'this machine refuses unshare --net';
  return missing(['ip']);
}

for (const [mode, server] of [
  ['none', 'a server in clear text'],
  ['implicit', 'a server behind TLS'],
]) {
  const title = `four hundred sessions that end in every way need no more than a hundred ports to ${server}`;
  test(title, { skip: skip() }, async () => {
    const inside = [process.execPath, INSIDE, String(SESSIONS), mode ?? ''];
    const { code, output } = await run('unshare', ['--net', '--mount', 'sh', '-c', SCRIPT, ...inside]);
    assert.equal(code, 0, output);
    assert.deepEqual(JSON.parse(output.trim().split('\n').at(-1) ?? ''), { served: SESSIONS, refused: [] });
  });
}
