import assert from 'node:assert/strict';
import { on } from 'node:events';
import { describe, it } from 'node:test';
import { holdClock } from './clock.ts';
import { type Peer, pour, settled } from './peer.ts';
import { PATIENT, Rig } from './rig.ts';
import { LOST } from './states.ts';

const MIB = 1024 * 1024;
const LINES = Buffer.alloc(64 * 1024, `${'x'.repeat(62)}\r\n`);
const BUFFERS = 24 * MIB; // more than those of four sockets

/** Resolves when a number does not grow any more. */
async function rest(count: () => number): Promise<number> {
  for (let before = -1; before !== count(); await settled()) before = count();
  return count();
}

/** Reads on, and resolves with about so many octets: what is more comes with them, or was read before. */
async function everything({ socket }: Peer, length: number): Promise<Buffer> {
  const heard: Buffer[] = [];
  let left = length;
  socket.removeAllListeners('data');
  socket.resume();
  for await (const [chunk] of on(socket, 'data', { close: ['close'] })) {
    heard.push(chunk);
    left -= chunk.length;
    if (left <= 0) break;
  }
  return Buffer.concat(heard);
}

describe('an upstream that does not read', () => {
  it('stops the client, which hears 421 when data_idle is over', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    upstream.socket.pause();
    const poured = pour(client, LINES);
    const taken = await rest(() => rig.sessions[0]?.octetsFromClient ?? 0);
    assert.ok(taken < BUFFERS, `${taken} octets were taken`);
    await clock.advance(PATIENT.data_idle - 1);
    assert.equal(client.heard, '');
    await clock.advance(1);
    assert.equal(await client.hears('\r\n'), LOST);
    assert.equal((await rig.reason()).origin, 'upstream');
    client.socket.destroy();
    await poured;
    upstream.socket.destroy();
    await rig.servesOn();
  });

  it('has lost nothing when it reads on', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    upstream.socket.pause();
    const mail = Buffer.from(`${'0123456789'.repeat(6)}\r\n`.repeat((32 * MIB) / 62));
    client.socket.write(mail);
    const taken = await rest(() => rig.sessions[0]?.octetsFromClient ?? 0);
    assert.ok(taken < BUFFERS, `${taken} octets were taken`);
    client.say('.\r\n');
    const whole = Buffer.concat([mail, Buffer.from('.\r\n')]);
    assert.ok((await everything(upstream, whole.length)).equals(whole));
    upstream.say('250 2.0.0 queued\r\n');
    await client.hears('250 2.0.0 queued\r\n');
  });

  it('has as much time again whenever it read', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    upstream.socket.pause();
    const poured = pour(client, LINES);
    for (let times = 0; times < 3; times++) {
      await rest(() => rig.sessions[0]?.octetsFromClient ?? 0);
      await clock.advance(PATIENT.data_idle - 1);
      upstream.heard = '';
      upstream.socket.resume();
      while (upstream.heard.length < BUFFERS && upstream.ending === null) await settled();
      upstream.socket.pause();
    }
    assert.equal(client.heard, '');
    assert.equal(client.ending, null);
    client.socket.destroy();
    await poured;
  });
});

describe('a client that does not read', () => {
  const help = (number: number) =>
    `${`214-${'x'.repeat(1000)}\r\n`.repeat(60)}214 ${String(number).padStart(3, '0')}\r\n`;
  const limits = {
    errors: 20,
    junkCommands: Number.POSITIVE_INFINITY,
    recipientsPerMessage: 1,
    messages: 1,
    authFailures: 1,
    commandLine: 512,
  };

  it('stops the upstream, and is left when its own time is over', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { profile: { limits } });
    const { client, upstream } = await rig.introduced();
    client.socket.pause();
    client.say('HELP\r\n'.repeat(2000));
    upstream.socket.on('data', () => upstream.say(help(0)));
    const taken = await rest(() => rig.sessions[0]?.octetsFromUpstream ?? 0);
    assert.ok(taken < BUFFERS, `${taken} octets were taken`);
    await clock.advance(PATIENT.client_idle - 1);
    assert.equal(rig.firewall.sessions, 1);
    await clock.advance(1);
    await upstream.rest();
    const what = 'timeout while the client reads nothing';
    assert.deepEqual(await rig.reason(), { origin: 'client', what, key: 'timeouts.client_idle' });
    client.socket.destroy();
    await rig.servesOn();
  });

  it('does not use up the time of the upstream, which answers when there is room', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { profile: { limits }, timeouts: { client_idle: 10 * PATIENT.upstream_reply } });
    const { client, upstream } = await rig.introduced();
    client.socket.pause();
    client.say('HELP\r\n'.repeat(2000));
    upstream.socket.on('data', () => upstream.say(help(0)));
    await rest(() => rig.sessions[0]?.octetsFromUpstream ?? 0);
    for (let times = 0; times < 3; times++) await clock.advance(PATIENT.upstream_reply);
    assert.equal(rig.firewall.sessions, 1);
    assert.match((await everything(client, Buffer.byteLength(help(0)))).toString('latin1'), /^214-x/);
    client.socket.destroy();
  });

  it('has lost nothing when it reads on', async (t) => {
    const rig = await Rig.open(t, { profile: { limits } });
    const { client, upstream } = await rig.introduced();
    client.socket.pause();
    client.say('HELP\r\n'.repeat(500));
    const said: Buffer[] = [];
    upstream.socket.on('data', () => {
      said.push(Buffer.from(help(said.length + 1)));
      upstream.socket.write(said.at(-1) as Buffer);
    });
    const taken = await rest(() => rig.sessions[0]?.octetsFromUpstream ?? 0);
    assert.ok(taken < BUFFERS, `${taken} octets were taken`);
    assert.ok((await everything(client, Buffer.byteLength(help(100)) * 500)).equals(Buffer.concat(said)));
    assert.equal(said.length, 500);
  });
});
