// A handshake begins when all that was said in clear text is with the kernel.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { ClientTls } from '../../../src/proxy/client-tls.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import '../../helpers/poison.ts';
import { settled } from '../peer.ts';
import { FakeHandle } from './fake-handle.ts';
import { sessionBetween } from './session-between.ts';
import { serverOverHandle } from './without-kernel.ts';

test('the 220 to STARTTLS arrives, however late the client takes what was said before it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let heard = '';
  const client = new FakeHandle((octets) => {
    heard += octets.toString();
  });
  const server = serverOverHandle();
  server.takes(1e9);
  client.takes(1e9);
  let begun = '';
  const tls = {
    isAble: true,
    secure: (socket: Socket) => {
      begun = heard;
      return () => void socket.destroy();
    },
  } as unknown as ClientTls;
  const profile = { starttls: 'terminate', tarpit: 1000 } as const;
  const { connection } = sessionBetween(new HandleStream(client), server.stream, { tls, profile });
  t.after(() => connection.shutDown());
  client.says(Buffer.from('EHLO c\r\n'));
  await settled();
  server.says(1e9);
  await settled();
  heard = '';
  client.takes(5);
  client.says(Buffer.from('FROB\r\nSTARTTLS\r\n'));
  await settled();
  t.mock.timers.tick(1000); // the tarpit
  await settled();
  assert.equal(heard, '500 C');
  client.takes(1e9);
  await settled();
  assert.match(heard, /^500 .*\r\n220 .*\r\n$/);
  assert.equal(begun, heard);
});
