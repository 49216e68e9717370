// Flags and variables beside a file, and beside what only a file can say.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatFinding } from '../../src/config/finding.ts';
import type { FlagValues } from '../../src/config/flags.ts';
import { type Loaded, loadConfigWith, loadFlags } from '../../src/config/load.ts';
import { writeSettled } from '../helpers/settled.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-flags-'));
after(() => rmSync(folder, { recursive: true }));

const host = { ownAddresses: ['10.0.0.7'], gateways: ['172.17.0.1'] };
const base: FlagValues = { upstream: ['10.0.0.10:25'], acceptedDomain: ['example.com'] };
const inline = `
upstream: { servers: ['10.0.0.10:25'] }
policy: { version: 1, accepted_domains: [example.com], connectors: [{ name: internet, remote_ip_ranges: [any] }] }
`;

function problemsOf({ findings }: Loaded): string[] {
  return findings.filter(({ severity }) => severity === 'error').map(formatFinding);
}

function withFile(text: string, env: NodeJS.ProcessEnv): Loaded {
  const file = join(folder, 'postern.yaml');
  writeSettled(file, `${inline}${text}\n`);
  return loadConfigWith(file, {}, env, { host });
}

test('what a file says of another kind than a flag is about stays, and is refused', () => {
  const said = (text: string, env: NodeJS.ProcessEnv): string[] =>
    problemsOf(withFile(text, env)).map((line) => line.split(': ').slice(1).join(': '));
  for (const listeners of ['{ proxy_protocol: { from: [10.0.0.5] } }', '[null]', '[]', '', '25'])
    assert.match(
      said(`listeners: ${listeners}`, { POSTERN_LISTEN: '127.0.0.1:2525' }).join(),
      /^error: listeners/,
      listeners,
    );
  const env = { POSTERN_LOG_LEVEL: 'info', POSTERN_DRAIN_TIMEOUT: '8s', POSTERN_ADMIN: '127.0.0.1:90' };
  assert.deepEqual(said(`log: debug\ntimeouts: 5s\nadmin: off`, env), [
    "error: log: 'debug' stands where a block of keys is wanted (level, pretty, messages, relayed_file)",
    "error: timeouts: '5s' stands where a block of keys is wanted (client_idle, command, data_idle, proxy_header, tls_handshake, upstream_connect, upstream_greeting, upstream_reply, upstream_data, upstream_final, no_mail, drain, min_data_rate)",
    "error: admin: 'off' stands where a block of keys is wanted (listen, token_file)",
  ]);
  assert.equal(
    withFile('admin: null', env).config?.admin?.listen.port,
    90,
    'no admin port is no fault of another kind',
  );
});

test('POSTERN_TOKEN_FILE gives the admin port no token, and that is said', () => {
  const token = join(folder, 'token');
  writeSettled(token, 'secret\n');
  const said = (text: string): string[] =>
    withFile(text, { POSTERN_TOKEN_FILE: token }).findings.flatMap((one) =>
      one.file.startsWith('POSTERN') ? [formatFinding(one)] : [],
    );
  const expected =
    'POSTERN_TOKEN_FILE: warning: admin.token_file: status and reload read it; the admin port has no token without admin.token_file in a file';
  assert.deepEqual(said(''), [expected]);
  assert.deepEqual(said(`admin: { token_file: ${token} }`), []);
  assert.deepEqual(said('admin: null'), []);
});

test('a variable that says a key of the file, and a flag that says nothing, are errors', () => {
  const said = (name: string, value = 'x'): string => problemsOf(loadFlags(base, { [name]: value }, { host })).join();
  const key = (name: string): string | undefined => /no variable says (\w+),/.exec(said(name))?.[1];
  assert.equal(
    said('POSTERN_PROXY_PROTOCOL'),
    'POSTERN_PROXY_PROTOCOL: error: unknown variable: no variable says proxy_protocol, a file does, which POSTERN_CONFIG names',
  );
  assert.equal(key('POSTERN_BLOCKED_DOMAIN'), 'blocked_domains');
  assert.equal(key('POSTERN_ADMIN_TOKEN_FILE'), 'admin');
  assert.equal(key('POSTERN_LIMITS_SOURCE_MESSAGE_RATE'), 'limits');
  assert.equal(key('Postern_Policy'), 'policy');
  assert.match(said('postern_mode', 'observe'), /^postern_mode: error: unknown variable: did you mean POSTERN_MODE\?$/);
  for (const name of ['VERSION', 'SERVICE_HOST', 'ADMIN_SERVICE_PORT_HTTP', 'ADMIN_PORT_9125_TCP', 'TOKEN_FILE'])
    assert.equal(said(`POSTERN_${name}`), '', name);
  assert.equal(said('POSTERN_ADMIN_PORT', 'tcp://10.0.0.1:9125'), '');
  assert.match(said('POSTERN_ADMIN_PORT', '9125'), /no variable says admin/);
  assert.deepEqual(problemsOf(loadFlags({ ...base, mode: '', workers: '' }, {}, { host })), [
    '--mode: error: nothing stands behind it: leave it out, or say what is meant',
    '--workers: error: nothing stands behind it: leave it out, or say what is meant',
  ]);
});
