// What Postern does otherwise on Windows, tried on this system, with `process.platform` saying win32. No Windows is here: signals,
// paths and sockets are this system's own; test/windows.test.ts lists what stands on such differences.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { printedGateways } from '../../src/config/host.ts';
import { Running } from './running.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'postern-windows-'));
after(() => rmSync(folder, { recursive: true }));

const ROUTES = `===========================================================================
Interface List
 12...00 0c 29 3a 4b 5c ......Network Connection
===========================================================================

IPv4 Route Table
===========================================================================
Active Routes:
Network Destination        Netmask          Gateway       Interface  Metric
          0.0.0.0          0.0.0.0        10.20.0.1        10.20.0.9    281
        10.20.0.0      255.255.0.0         On-link         10.20.0.9    281
        127.0.0.0        255.0.0.0         On-link         127.0.0.1    331
===========================================================================
Persistent Routes:
  Network Address          Netmask  Gateway Address  Metric
          0.0.0.0          0.0.0.0        10.20.0.1  Default

IPv6 Route Table
===========================================================================
Active Routes:
 If Metric Network Destination      Gateway
  1    331 ::1/128                  On-link
 12    281 ::/0                     fe80::20
===========================================================================
`.replaceAll('\n', '\r\n');

// In a folder of Linux a backslash is a letter as any.
const WINDOWS = join(folder, 'Windows');
writeFileSync(join(folder, 'routes.txt'), ROUTES);
const ROUTE_EXE = `#!/bin/sh\n[ "$1" = PRINT ] && cat '${join(folder, 'routes.txt')}'\n`;
writeFileSync(`${WINDOWS}\\System32\\route.exe`, ROUTE_EXE, { mode: 0o755 });

const PLATFORM = "Object.defineProperty(process, 'platform', { value: 'win32' })";
const ENV = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PLATFORM)}`,
  SystemRoot: WINDOWS,
};
const FLAGS = '--listen 127.0.0.1:0 --admin none --upstream 192.0.2.1:25 --accepted-domain a.example'.split(' ');

function postern(...args: string[]): { readonly status: number | null; readonly text: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...ENV },
    encoding: 'utf8',
  });
  return { status, text: stdout + stderr };
}

test('run starts where a process cannot take the place of another, with sockets that Node documents', async (t) => {
  const running = new Running(t, FLAGS, ENV);
  await running.port();
  assert.equal((await running.logged('listening')).sockets, 'plain');
});

test('a console that is closed drains, and is no order to read the files anew', async (t) => {
  const running = new Running(t, FLAGS, ENV);
  await running.port();
  running.signal('SIGHUP');
  assert.equal(await running.exit(), 0);
  await running.logged('draining');
});

test('several workers are refused, since threads cannot share a port; auto is one', async (t) => {
  const refused = postern('run', ...FLAGS, '--workers', '2');
  assert.equal(refused.status, 64);
  assert.match(refused.text, /--workers.*threads cannot share a port on this system \(Windows, macOS\): 1 is right/);
  const running = new Running(t, [...FLAGS, '--workers', 'auto'], ENV);
  await running.port();
  running.signal('SIGINT');
  assert.equal(await running.exit(), 0);
});

test('the default gateway is known, and never gets a right to relay as part of a range', () => {
  assert.deepEqual(printedGateways(ROUTES), ['10.20.0.1', 'fe80::20']);
  const file = join(folder, 'office.yaml');
  writeFileSync(
    file,
    'listeners: [{ bind: ["127.0.0.1:25"] }]\nupstream: { servers: ["192.0.2.1:25"] }\npolicy:\n  version: 1\n' +
      '  accepted_domains: [a.example]\n  connectors:\n    - name: all\n      remote_ip_ranges: [any]\n' +
      '      rules: [{ allow: { sources: [10.20.0.0/16] } }]\n',
  );
  const { status, text } = postern('check', file);
  assert.equal(status, 78);
  assert.match(
    text,
    /error: .*'10\.20\.0\.0\/16' gives 10\.20\.0\.1 \(a default gateway of this host\) a right to relay/,
  );
});

test('where the default gateway cannot be read, check says so', () => {
  const { SystemRoot: _, ...without } = ENV;
  const { stdout, stderr } = spawnSync(process.execPath, [MAIN, 'check', join(folder, 'office.yaml')], {
    env: { ...process.env, ...without },
    encoding: 'utf8',
  });
  assert.doesNotMatch(stdout + stderr, /error:/);
  assert.match(stdout + stderr, /warning: lost_address_guard: the default gateway cannot be read \(.*route\.exe PRINT/);
});
