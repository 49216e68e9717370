// deploy/postern.service under the restrictions that it asks for: what systemd forbids Postern may not need, and what
// cannot be had for want of it is said. `systemd-analyze verify` knows nothing of this.
//
// The address families by a filter of our own, from the unit's own line. And the whole unit by systemd itself, which runs
// in namespaces of its own, with this unit and nothing else; that needs root and a systemd to start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../helpers/free-port.ts';
import { MAIN } from '../helpers/main.ts';
import { makeFolder } from './beds/bed.ts';
import { type Child, killAll, run, start, startServer } from './children.ts';
import { Client } from './client.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

const ROOT = join(import.meta.dirname, '../..');
const UNIT = join(ROOT, 'deploy/postern.service');
const FILTER = join(import.meta.dirname, 'only-families.py');
const LOST = /this host's own addresses cannot be read \(.+\), so .+ RestrictAddressFamilies must name AF_NETLINK/g;

const NAMESPACES = ['--pid', '--mount', '--cgroup', '--uts', '--ipc', '--fork', '--mount-proc', '--kill-child'];
const MOUNTS = `set -e
  mount --make-rprivate /
  mount -t tmpfs tmpfs /run
  for folder in etc opt; do
    mkdir -p /run/$folder/up /run/$folder/work
    mount -t overlay overlay -o lowerdir=/$folder,upperdir=/run/$folder/up,workdir=/run/$folder/work /$folder
  done
  umount -R /sys/fs/cgroup 2>/dev/null || true
  mount -t cgroup2 cgroup2 /sys/fs/cgroup`;

const families = /^RestrictAddressFamilies=(.*)$/m.exec(readFileSync(UNIT, 'utf8'))?.[1] ?? '';

function configuration(listen: string, upstream: number, admin: number): string {
  const file = join(makeFolder(), 'postern.yaml');
  writeFileSync(
    file,
    `listeners: [{ bind: ['${listen}'] }]
upstream: { servers: ['127.0.0.1:${upstream}'] }
admin: { listen: '127.0.0.1:${admin}' }
policy:
  version: 1
  accepted_domains: [local.example]
  connectors: [{ name: internet, remote_ip_ranges: [any] }]
`,
  );
  return file;
}

async function refusesToRelay(port: number): Promise<void> {
  const client = new Client(port);
  assert.match(await client.reply(), /^220/);
  await client.say('EHLO client.example');
  await client.say('MAIL FROM:<alice@partner.example>');
  assert.match(await client.say('RCPT TO:<victim@foreign.example>'), /^554 .*Relay access denied/);
  assert.match(await client.say('RCPT TO:<bob@local.example>'), /^250/);
  client.close();
}

suite("with the unit's address families", { skip: whyNoFilter() }, () => {
  const restricted = (list: string, ...args: string[]): string[] => [FILTER, list, process.execPath, MAIN, ...args];

  for (const [list, what] of [
    [families, 'nothing is missed'],
    [families.replace(/ ?AF_NETLINK/, ''), 'without AF_NETLINK it runs all the same, and says what it does not know'],
  ] as const)
    test(what, async () => {
      const sink = await Sink.start();
      const port = await freePort();
      const file = configuration(`127.0.0.1:${port}`, sink.port, await freePort());
      const warnings = list === families ? 0 : 1;
      let postern: Child | null = null;
      try {
        const check = await run('python3', restricted(list, 'check', file));
        assert.equal(check.code, 0, check.output);
        assert.equal([...check.output.matchAll(LOST)].length, warnings, check.output);
        postern = await startServer(port, 'python3', restricted(list, 'run', '--config', file));
        await refusesToRelay(port);
      } finally {
        await postern?.stop();
        await sink.stop();
      }
      assert.equal([...postern.output().matchAll(LOST)].length, warnings, postern.output());
      assert.equal(await postern.ended, 0);
    });
});

async function told(child: Child, text: string): Promise<void> {
  while (!child.output().includes(text)) {
    const left = await Promise.race([child.ended.then(() => 'ended'), delay(20, 'running')]);
    if (left === 'ended') throw new Error(`it ended without '${text}': ${child.output()}`);
  }
}

suite('where there is no IPv6', { skip: whyNoFilter() }, () => {
  const without = (...args: string[]): string[] => [
    FILTER,
    'AF_INET AF_UNIX AF_NETLINK',
    process.execPath,
    MAIN,
    ...args,
  ];
  const configured = async (bind: string[], workers: number): Promise<{ port: number; file: string; sink: Sink }> => {
    const sink = await Sink.start();
    const port = await freePort();
    const file = configuration(`127.0.0.1:${port}`, sink.port, await freePort());
    const list = JSON.stringify(bind.map((address) => `${address}:${port}`));
    writeFileSync(file, `${readFileSync(file, 'utf8').replace(/bind: \[.*?\]/, `bind: ${list}`)}workers: ${workers}\n`);
    return { port, file, sink };
  };

  for (const workers of [1, 2])
    test(`it listens on IPv4 and says so, with workers: ${workers}`, async () => {
      const { port, file, sink } = await configured(['[::]', '0.0.0.0'], workers);
      const postern = await startServer(port, 'python3', without('run', '--config', file));
      try {
        await told(postern, 'listening on'); // before it the port is tried, and who comes then hears nothing
        await refusesToRelay(port);
        process.kill(postern.pid, 'SIGHUP');
        await told(postern, '"msg":"reloaded"');
      } finally {
        await postern.stop();
        await sink.stop();
      }
      assert.match(postern.output(), new RegExp(`"addresses":\\["\\[::\\]:${port}"\\].*this machine has no IPv6`));
      assert.match(postern.output(), new RegExp(`listening on 0\\.0\\.0\\.0:${port},`));
      assert.doesNotMatch(postern.output(), /restart is needed/);
    });

  test('where nothing else is listened to it does not start', async () => {
    const { port, file, sink } = await configured(['[::]'], 1);
    const { code, output } = await run('python3', without('run', '--config', file));
    await sink.stop();
    assert.equal(code, 1);
    assert.ok(output.includes(`cannot listen on [::]:${port}: this machine has no addresses of that kind`), output);
  });
});

function whyNoFilter(): string | false {
  if (missing(['python3'])) return missing(['python3']);
  const { status } = spawnSync('python3', [FILTER, 'AF_INET', 'true']);
  return status === 0 ? false : 'this machine takes no seccomp filter';
}

suite('the whole unit, by systemd', { skip: whyNoSystemd() }, () => {
  let sink: Sink;
  let systemd: Child;
  let port: number;
  const folder = makeFolder();
  const said = (): string => readFileSync(join(folder, 'log'), 'utf8');

  before(async () => {
    sink = await Sink.start();
    port = await privilegedPort();
    // What `npm install --global` and an administrator put there; the repository and its Node may lie below /root.
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'postern'), '#!/bin/sh\nexec /opt/node /opt/postern/src/main.ts "$@"\n');
    chmodSync(join(bin, 'postern'), 0o755);
    mkdirSync(join(folder, 'etc'));
    copyFileSync(configuration(`127.0.0.1:${port}`, sink.port, await freePort()), join(folder, 'etc/postern.yaml'));
    const units = join(folder, 'units');
    mkdirSync(join(units, 'postern.service.d'), { recursive: true });
    copyFileSync(UNIT, join(units, 'postern.service'));
    writeFileSync(join(units, 'default.target'), '[Unit]\nWants=postern.service\n');
    for (const target of ['basic', 'sysinit', 'network-online', 'shutdown', 'system'])
      writeFileSync(join(units, `${target}.target`), '[Unit]\nDefaultDependencies=no\n');
    writeFileSync(
      join(units, 'postern.service.d/here.conf'),
      `[Unit]
DefaultDependencies=no
[Service]
Environment=PATH=/opt/bin:/usr/bin:/bin
StandardOutput=append:${join(folder, 'log')}
StandardError=append:${join(folder, 'log')}
BindReadOnlyPaths=${ROOT}:/opt/postern ${process.execPath}:/opt/node ${bin}:/opt/bin ${join(folder, 'etc')}:/etc/postern
`,
    );
    writeFileSync(join(folder, 'log'), '');
    systemd = startSystemd(units);
    for (let tries = 0; !said().includes('listening on'); tries++) {
      if (tries > 400) throw new Error(`it does not listen:\n${said()}\n${systemd.output()}`);
      await delay(25);
    }
  });
  after(async () => {
    if (systemd !== undefined) await killAll(systemd.pid);
    await sink?.stop();
  });

  test('starts on a port below 1024, refuses to relay, and knows its own addresses', async () => {
    await refusesToRelay(port);
    assert.deepEqual(said().match(LOST), null);
    assert.doesNotMatch(said(), /"level":"(?:error|fatal)"/);
  });
});

/** PID 1 of a namespace of its own: it sees our units and no other, its cgroups are its own, and what it makes in /etc and
 * /opt is gone with it. */
function startSystemd(units: string): Child {
  const script = `${MOUNTS}
    export container=other SYSTEMD_UNIT_PATH="$0"
    exec /lib/systemd/systemd --system --unit=default.target --log-target=console`;
  return start('unshare', [...NAMESPACES, 'sh', '-c', script, units]);
}

function whyNoSystemd(): string | false {
  if (process.getuid?.() !== 0) return 'systemd starts as root only';
  if (!existsSync('/lib/systemd/systemd')) return 'not here: systemd';
  const { status } = spawnSync('unshare', [...NAMESPACES, 'sh', '-c', MOUNTS]);
  return status === 0 ? false : 'this machine refuses the namespaces that a systemd of our own needs';
}

/** One that only CAP_NET_BIND_SERVICE gives. */
async function privilegedPort(): Promise<number> {
  for (let port = 640; port < 1024; port++) {
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((closed) => server.close(closed));
    return port;
  }
  throw new Error('no port below 1024 is free');
}
