// Memory that is read into again must hold nothing that is still on its way.

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it, test } from 'node:test';
import { NOBODY, type StreamOwner } from '../../../src/proxy/byte-stream.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import { takeHandles } from '../../../src/proxy/tcp-handles.ts';
import { poisoned } from '../../helpers/poison.ts';
import { type Peer, settled } from '../peer.ts';
import { Rig } from '../rig.ts';
import { FakeHandle } from './fake-handle.ts';

const FORBIDDEN = 'RCPT TO:<victim@foreign.example>\r\n';
const MIB = 1024 * 1024;
const ENOTCONN = -107;

/** One that came, and its other end. */
async function accepted(t: { after(end: () => void): void }): Promise<{ client: HandleStream; peer: Socket }> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const taken = new Promise<HandleStream>((resolve) => {
    takeHandles(server, (handle) => resolve(new HandleStream(handle)));
  });
  const peer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
  t.after(() => peer.destroy());
  const client = await taken;
  t.after(() => client.destroy());
  return { client, peer };
}

/** Mail data in which every line says where it stands. */
function numbered(octets: number): Buffer {
  const lines: string[] = [];
  for (let at = 0; at < octets; at += 64) lines.push(`${String(at).padStart(62, '-')}\r\n`);
  return Buffer.from(lines.join(''));
}

/** All that the peer hears up to so many octets, read with a stop behind every `step`. */
async function heardSlowly({ socket }: Peer, octets: number, step: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  let next = step;
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= next) {
      next = length + step;
      socket.pause();
      setImmediate(() => setImmediate(() => socket.resume()));
    }
  });
  socket.resume();
  while (length < octets) await settled();
  return Buffer.concat(chunks);
}

test('a client that was paused before its mail data was known as such is read no further', async (t) => {
  const { client, peer } = await accepted(t);
  let heard = 0;
  const owner = {
    ...NOBODY,
    heard: (chunk: Buffer) => {
      heard += chunk.length;
      if (!client.isPaused) client.pause(); // as the connection does
      client.reads = 'mail data';
    },
  };
  client.owner = owner;
  client.resume();
  const mail = numbered(16 * MIB);
  peer.write(mail);
  for (let turns = 0; turns < 200; turns++) await settled();
  assert.ok(heard < MIB, `${heard} octets were read of a paused client`);
  client.owner = {
    ...NOBODY,
    heard: (chunk: Buffer) => {
      heard += chunk.length;
      client.giveBack();
    },
  };
  client.resume();
  while (heard < mail.length) await settled();
  assert.equal(heard, mail.length);
});

test('one that cannot be read is lost at once, and behind the call that found it', async () => {
  const handle = new FakeHandle();
  handle.readStart = () => ENOTCONN;
  const stream = new HandleStream(handle);
  let lost: string | undefined;
  const owner: StreamOwner = {
    ...NOBODY,
    lost: (fault) => {
      lost = fault?.code;
    },
  };
  stream.owner = owner;
  stream.resume();
  assert.equal(lost, undefined);
  await settled();
  assert.equal(lost, 'ENOTCONN');
  assert.ok(stream.isGone && handle.isClosed);
});

test('a few octets of mail data keep only themselves', async (t) => {
  const { client, peer } = await accepted(t);
  client.reads = 'mail data';
  const kept: Buffer[] = [];
  client.owner = { ...NOBODY, heard: (chunk: Buffer) => void kept.push(chunk) };
  client.resume();
  const before = process.memoryUsage().external;
  while (kept.length < 1000) {
    const so = kept.length;
    peer.write('x');
    while (kept.length === so) await settled();
  }
  assert.ok(process.memoryUsage().external - before < 16 * MIB, 'a buffer of 64 KiB for each would be 64 MB');
});

test('one that is reset right behind its FIN is let go of', { timeout: 5000 }, async (t) => {
  const { client, peer } = await accepted(t);
  assert.notEqual(client.ends, null); // it knows its peer, or there is none to reset
  peer.resume();
  client.end();
  client.reset();
  await new Promise<void>((resolve) => client.whenClosed(resolve));
});

describe('memory that is read into again', () => {
  it('was given to the server whole, however slowly it reads', async (t) => {
    const before = poisoned.mailData;
    const rig = await Rig.open(t);
    for (const step of [1, 100_000, 3_000_000]) {
      const { client, upstream } = await rig.inMailData();
      const mail = Buffer.concat([numbered(12 * MIB), Buffer.from('.\r\n')]);
      upstream.socket.pause();
      client.socket.write(mail);
      const heard = await heardSlowly(upstream, mail.length, step);
      assert.ok(heard.equals(mail), `a stop every ${step} octets`);
    }
    assert.ok(poisoned.mailData > before, 'none was given back');
  });

  it('is another one while sessions beside each other send', async (t) => {
    const before = poisoned.mailData;
    const rig = await Rig.open(t);
    const mail = Buffer.concat([numbered(2 * MIB), Buffer.from('.\r\n')]);
    const pairs = [];
    for (let i = 0; i < 80; i++) pairs.push(await rig.inMailData()); // more than have a buffer of their own
    const heard = pairs.map(({ client, upstream }, i) => {
      client.socket.write(mail);
      return heardSlowly(upstream, mail.length, i % 2 === 0 ? 200_000 : mail.length);
    });
    for (const octets of await Promise.all(heard)) assert.ok(octets.equals(mail));
    assert.ok(poisoned.mailData > before, 'none was given back');
  });

  it('keeps what came in one piece with the end of a message', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    const mail = numbered(MIB);
    client.socket.write(mail);
    client.say(`.\r\nMAIL FROM:<s@sender.example>\r\n${FORBIDDEN}`);
    const end = Buffer.concat([mail, Buffer.from('.\r\n')]);
    assert.ok((await heardSlowly(upstream, end.length, 100_000)).equals(end));
    upstream.heard = '';
    upstream.socket.removeAllListeners('data');
    upstream.socket.on('data', (chunk: Buffer) => {
      upstream.heard += chunk.toString('latin1');
    });
    upstream.say('250 2.0.0 queued\r\n');
    await client.hears('250 2.0.0 queued\r\n');
    while (!upstream.heard.includes('\r\n')) await settled();
    assert.equal(upstream.heard, 'MAIL FROM:<s@sender.example>\r\n');
  });

  it('is another one for a command that waits for the reply to the one before it', async (t) => {
    const before = poisoned.commands;
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.introduced();
    const lines = Array.from({ length: 40 }, (_, i) => `MAIL FROM:<s${i}@sender.example>\r\nRSET\r\n`);
    for (const line of lines) client.say(line);
    for (let answered = 0; answered < 2 * lines.length; ) {
      await settled();
      for (const heard = upstream.heard.split('\r\n').length - 1; answered < heard; answered++)
        upstream.say('250 2.0.0 ok\r\n');
    }
    assert.equal(upstream.heard, lines.join(''));
    client.say('MAIL FROM:<s@sender.example>\r\nRCPT TO:<r@local.example>\r\nDATA\r\n'); // which waits for both replies
    upstream.heard = '';
    while (upstream.heard.split('\r\n').length < 3) await settled();
    upstream.say('250 2.0.0 ok\r\n250 2.0.0 ok\r\n');
    while (upstream.heard.split('\r\n').length < 4) await settled();
    assert.equal(upstream.heard, 'MAIL FROM:<s@sender.example>\r\nRCPT TO:<r@local.example>\r\nDATA\r\n');
    assert.ok(poisoned.commands > before, 'none was heard in place');
  });
});
