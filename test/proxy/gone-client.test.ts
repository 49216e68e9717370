// Clients that reset their connection in the middle of a handshake: the system no longer says whose connection it was, and none
// of them may be taken for another.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { ClientTls, NO_CREDENTIALS } from '../../src/proxy/client-tls.ts';
import type { Handshake } from '../../src/smtp/types.ts';
import { serverPair } from '../helpers/certificates.ts';

test('a client that is gone when its handshake has ended does not become another that is gone when it is due', async (t) => {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const arrival = async (): Promise<{ client: Socket; here: Socket }> => {
    const client = connect(port, '127.0.0.1');
    const [[here]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
    return { client, here: here as Socket };
  };
  const tls = new ClientTls({ ...NO_CREDENTIALS, certificates: [serverPair()] }, 60_000);
  const secured = (socket: Socket): Promise<Handshake['result']> =>
    new Promise((resolve) => {
      tls.secure(socket, ({ result }, stream) => {
        stream?.destroy();
        resolve(result);
      });
    });
  const attacker = await arrival();
  const victim = await arrival();
  victim.client.resetAndDestroy();
  await once(victim.client, 'close');
  const attackersHandshake = secured(attacker.here);
  const inside = connectTls({ socket: attacker.client, rejectUnauthorized: false });
  inside.on('error', () => {});
  await once(inside, 'secureConnect');
  inside.write('MAIL FROM:<a@sender.example>\r\n');
  await turn(); // all of it is on its way, and the server has not read it
  attacker.client.resetAndDestroy();
  assert.equal(await secured(victim.here), 'failed');
  assert.equal(await attackersHandshake, 'failed');
});
