// deploy/fail2ban upon lines that Postern wrote: who tries to relay or guesses passwords is found, in a file and by way of the journal,
// and a client can neither hide behind what it says nor put another's address there.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Running } from '../commands/running.ts';
import { ROOT } from '../helpers/document.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { missing, needUnpacked } from './tools.ts';

const FILTER = join(ROOT, 'deploy/fail2ban/filter.d/postern.conf');
const INNOCENT = '192.0.2.66';
/** What would end a string in JSON, begin a field and end a line, if it were taken for such. */
const FORGED = `x","client_address":"${INNOCENT}","client_port":1,"reason":"no_rule","msg":"recipient refused"}`;
const quoted = FORGED.replaceAll('"', '\\"');

const MAIL = 'MAIL FROM:<a@sender.example>';
/** Who says what, each from an address of its own. */
const CLIENTS: Readonly<Record<string, readonly string[]>> = {
  '127.0.0.11': ['EHLO a', MAIL, 'RCPT TO:<x@foreign.example>'],
  '127.0.0.12': ['EHLO a', MAIL, 'RCPT TO:<@local.example:x@foreign.example>'],
  '127.0.0.13': ['EHLO a', 'AUTH PLAIN AGFsaWNlAGd1ZXNz'],
  '127.0.0.14': ['EHLO a', MAIL, `RCPT TO:<"${quoted}"@foreign.example>`],
  '127.0.0.15': ['EHLO a', MAIL, 'RCPT TO:<nobody@local.example>'],
  '127.0.0.16': ['EHLO a', MAIL, 'RCPT TO:<user@local.example>', `NOOP ${FORGED}`, FORGED],
};
const RELAYERS = ['127.0.0.11', '127.0.0.12', '127.0.0.13', '127.0.0.14'];

/** A server that takes every recipient and no login. */
async function server(t: TestContext): Promise<number> {
  const answers: Readonly<Record<string, string>> = { EHLO: '250-here\r\n250 AUTH PLAIN', AUTH: '535 5.7.8 No' };
  const listening = createServer((socket) => {
    socket.write('220 here\r\n');
    socket.on('error', () => {});
    socket.on('data', (octets) => {
      const verb = octets.toString('latin1').slice(0, 4).toUpperCase();
      socket.write(`${answers[verb] ?? '250 2.0.0 Ok'}\r\n`);
    });
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  t.after(() => listening.close());
  return (listening.address() as { port: number }).port;
}

/** The log of a Postern that all of them have come to. */
async function logOf(t: TestContext, folder: string, workers: number): Promise<string> {
  const file = join(folder, 'postern.yaml');
  const config = {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${await server(t)}`] },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      valid_recipients: { file: 'people.txt' },
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'] }],
    },
    workers,
  };
  writeFileSync(join(folder, 'people.txt'), 'user@local.example\n');
  writeFileSync(file, JSON.stringify(config));
  const running = new Running(t, ['--config', file]);
  const port = await running.port();
  let ended = 0;
  for (const [localAddress, lines] of Object.entries(CLIENTS)) {
    const client = new SmtpClient(port, { localAddress });
    await client.reply();
    for (const line of [...lines, 'QUIT']) {
      await client.write(Buffer.from(`${line}\r\n`, 'latin1'));
      await client.reply();
    }
    client.destroy();
    await running.logged('session ended', ++ended);
  }
  return running.stdout;
}

/** The log as the journal has it, in a file that systemd wrote, behind a line of another service. */
function journalOf(folder: string, log: string): string {
  const entry = (unit: string, line: string, i: number): string => `__REALTIME_TIMESTAMP=${Date.now() * 1000 + i}
__MONOTONIC_TIMESTAMP=${1_000_000 + i}
_BOOT_ID=${'0123456789abcdef'.repeat(2)}
_TRANSPORT=stdout
PRIORITY=6
_HOSTNAME=mx1
SYSLOG_IDENTIFIER=env
_PID=4711
_SYSTEMD_UNIT=${unit}
MESSAGE=${line}

`;
  const lines = log.split('\n').filter((line) => line !== '');
  const other = lines.find((line) => line.includes('no_rule'))?.replace('127.0.0.11', '192.0.2.99') ?? '';
  const entries = [entry('other.service', other, 0), ...lines.map((line, i) => entry('postern.service', line, i + 1))];
  writeFileSync(join(folder, 'export'), entries.join(''));
  const journal = join(folder, 'system.journal');
  const remote = needUnpacked('systemd-journal-remote', '{usr/,}lib/systemd/systemd-journal-remote');
  const { status, stderr } = spawnSync(remote, ['--output', journal, join(folder, 'export')], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return `systemd-journal[journalfiles='${journal}']`;
}

/** The addresses that the filter finds, each once. */
function found(source: string, mode: string): string[] {
  const packages = ['fail2ban', 'python3-systemd'] as const;
  const { status, stdout, stderr } = spawnSync(
    '/usr/bin/python3',
    [
      needUnpacked('fail2ban', 'usr/bin/fail2ban-regex'),
      ...['--config', needUnpacked('fail2ban', 'etc/fail2ban')],
      ...['--out', '<ip>', source, `${FILTER}[mode=${mode}]`],
    ],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        PYTHONPATH: packages.map((name) => needUnpacked(name, 'usr/lib/python3/dist-packages')).join(':'),
      },
    },
  );
  assert.equal(status, 0, stdout + stderr);
  return [...new Set(stdout.split('\n').filter((line) => line !== ''))].sort();
}

const PACKAGES = ['fail2ban', 'python3-systemd', 'systemd-journal-remote'] as const;

for (const workers of [1, 2]) {
  describe(`fail2ban and the log of ${workers} worker(s)`, { skip: missing(['python3'], PACKAGES) }, () => {
    it('finds who tries to relay or guesses passwords, and nobody else, in a file and in the journal', async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'postern-fail2ban-'));
      t.after(() => rmSync(folder, { recursive: true }));
      const log = await logOf(t, folder, workers);
      assert.ok(log.includes(INNOCENT), 'what was forged is in the log');
      const file = join(folder, 'postern.log');
      writeFileSync(file, log);
      for (const source of [file, journalOf(folder, log)]) {
        assert.deepEqual(found(source, 'aggressive'), [...RELAYERS, '127.0.0.15'], source);
        if (workers > 1) continue; // their lines are the same but for one field
        assert.deepEqual(found(source, 'normal'), RELAYERS, source);
        assert.deepEqual(found(source, 'all'), [...RELAYERS, '127.0.0.15'], source);
      }
    });
  });
}
