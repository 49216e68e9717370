// What this machine lacks is no fault of the server's: a process without descriptors says so, and serves on when it has some.

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { startPostern } from '../helpers/postern.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';

const DESCRIPTORS = 64;
const CLIENTS = 60;

test('a process without descriptors says what to raise, counts it, and blames no server', async () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.write('220 mail.local.example ESMTP\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [at] },
    lost_address_guard: 'warn',
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
    },
  };
  const postern = await startPostern(config, { descriptors: DESCRIPTORS });
  try {
    const clients = Array.from({ length: CLIENTS }, () => new SmtpClient(postern.port));
    const greetings = await Promise.all(clients.map(async (client) => Number((await client.reply())?.code ?? 0)));
    assert.ok(greetings.includes(220));
    assert.ok(greetings.some((code) => code !== 220));
    for (const client of clients) client.destroy();
    let again = 0;
    for (let tries = 0; tries < 50 && again !== 220; tries++) {
      const client = new SmtpClient(postern.port);
      again = Number((await client.reply())?.code ?? 0);
      client.destroy();
    }
    assert.equal(again, 220);
    const metrics = await (await fetch(`http://127.0.0.1:${postern.adminPort}/metrics`)).text();
    assert.match(metrics, /^postern_shortages_total\{code="EMFILE"\} [1-9]/m);
    assert.match(metrics, /^postern_shortages_total\{code="ENFILE"\} 0$/m);
  } finally {
    await postern.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
  }
  const lines = postern.logs.map((line) => JSON.parse(line)); // all of them: it has ended
  assert.match(
    JSON.stringify(lines),
    /which need 10100 file descriptors, and this process may have 64: raise LimitNOFILE/,
  );
  const short = lines.filter(({ msg }) => /^short of file descriptors of this process: raise LimitNOFILE/.test(msg));
  assert.ok(short.length >= 1 && short.length <= 2, `${short.length} lines`); // one for the accepts, or none was needed
  assert.deepEqual(
    lines.filter(({ msg }) => msg === 'upstream does not answer'),
    [],
  );
});
