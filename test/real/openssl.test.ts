// openssl s_client as the client: STARTTLS and TLS from the start, both versions, a server chosen by name, and its `R`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { makePair, serverPair } from '../helpers/certificates.ts';
import { open } from '../proxy/front.ts';

/** Says each line when the one before it was answered; resolves with all that s_client printed. */
function talk(args: readonly string[], ready: RegExp, lines: readonly (readonly [string, RegExp])[]): Promise<string> {
  const client = spawn('openssl', ['s_client', '-crlf', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  return new Promise((resolve) => {
    let printed = '';
    let seen = 0;
    let at = -1;
    const look = (text: string): void => {
      printed += text;
      for (;;) {
        const wanted = at < 0 ? ready : lines[at]?.[1];
        const found = wanted?.exec(printed.slice(seen));
        if (found == null) return;
        seen += found.index + found[0].length;
        at++;
        const next = lines[at];
        if (next === undefined) client.stdin.end();
        else client.stdin.write(`${next[0]}\n`);
      }
    };
    client.stdout.setEncoding('utf8').on('data', look);
    client.stderr.setEncoding('utf8').on('data', look);
    client.on('close', () => resolve(printed));
  });
}

const other = makePair({ subject: '/CN=other.example.org', names: 'DNS:other.example.org', key: 'rsa' });
const files = [serverPair(), other].map(({ certFile, keyFile }) => ({ cert: certFile, key: keyFile }));

for (const [how, implicit_tls] of [
  ['behind STARTTLS', false],
  ['from the start', true],
] as const) {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    test(`openssl s_client sends a message through ${version} ${how}, to the server that it names`, async (t) => {
      const firewall = await open(t, {
        listener: { certificates: files, implicit_tls },
        connectors: [{ name: 'internet', remote_ip_ranges: ['any'], starttls: 'terminate' }],
      });
      const flag = `-${version.replace('TLSv', 'tls').replace('.', '_')}`;
      const args = ['-connect', `127.0.0.1:${firewall.firewall.port}`, flag, '-servername', 'other.example.org'];
      const start = implicit_tls ? [] : ['-starttls', 'smtp'];
      const printed = await talk([...args, ...start, '-ign_eof'], implicit_tls ? /220 mock/ : /250 HELP/, [
        ['EHLO client.example', /250 HELP/],
        ['MAIL FROM:<a@sender.example>', /250 2\.1\.0/],
        ['RCPT TO:<x@foreign.example>', /554 5\.7\.1/],
        ['RCPT TO:<user@local.example>', /250 2\.1\.5/],
        ['DATA', /354 /],
        ['text\n.', /250 2\.6\.0/],
        ['QUIT', /221 /],
      ]);
      assert.match(printed, /subject=CN ?= ?other\.example\.org/);
      assert.match(printed, /No ALPN negotiated/);
      assert.match(printed, new RegExp(`New, ${version.replace('.', '\\.')}, Cipher is `));
      assert.deepEqual(
        firewall.upstream.connections[0]?.server.messages.map(({ recipients }) => recipients),
        [['user@local.example']],
      );
    });
  }
}

test('openssl s_client asks for a renegotiation and is told that there is none', async (t) => {
  const firewall = await open(t, { listener: { certificates: files, implicit_tls: true } });
  const args = ['-connect', `127.0.0.1:${firewall.firewall.port}`, '-tls1_2'];
  assert.match(await talk(args, /220 mock/, [['R', /no renegotiation/]]), /RENEGOTIATING\n.*no renegotiation/s);
});
