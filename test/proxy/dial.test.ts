// A server that is given by its name: which of its addresses is talked to, and what is told when none answers.

import assert from 'node:assert/strict';
import dns from 'node:dns';
import { once } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { type ByteStream, NOBODY, type StreamFault } from '../../src/proxy/byte-stream.ts';
import { dial } from '../../src/proxy/dial.ts';
import { HAS_HANDLES } from '../../src/proxy/tcp-handles.ts';
import { openBlackHole } from './black-hole.ts';
import { holdClock } from './clock.ts';

/** Until the test is over mail.example has these addresses, or there is no such name. How often it was asked for. */
function named(t: TestContext, addresses: readonly string[] | null): () => number {
  const answer = (name: string, _options: object, done: (error: Error | null, found?: object[]) => void): void => {
    assert.equal(name, 'mail.example');
    const found = addresses?.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND mail.example'), { code: 'ENOTFOUND' });
    setImmediate(() => done(found === undefined ? unknown : null, found));
  };
  const { mock } = t.mock.method(dns, 'lookup', answer as never);
  syncBuiltinESMExports();
  t.after(() => {
    mock.restore();
    syncBuiltinESMExports();
  });
  return () => mock.callCount();
}

async function listening(t: TestContext, address: string, port = 0): Promise<number> {
  const server = createServer((socket) => socket.resume().on('error', () => {}));
  t.after(() => server.close());
  await once(server.listen(port, address), 'listening');
  return (server.address() as AddressInfo).port;
}

interface Outcome {
  readonly stream: ByteStream | null;
  readonly fault: StreamFault | null;
}

function dialled(t: TestContext, port: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const owner = { ...NOBODY, lost: (fault: StreamFault | null) => resolve({ stream: null, fault }) };
    dial({ address: 'mail.example', port }, false, owner, (stream) => {
      t.after(() => stream.destroy());
      resolve({ stream, fault: null });
    });
  });
}

describe('a server given by its name', { skip: HAS_HANDLES ? false : 'a socket finds the addresses by itself' }, () => {
  it('is found at the next address where one refuses, and the families take turns', async (t) => {
    const port = await listening(t, '127.0.0.9');
    await listening(t, '::1', port);
    const asked = named(t, ['127.0.0.7', '127.0.0.9', '::1']);
    const { stream } = await dialled(t, port);
    assert.equal(stream?.localAddress, '::1');
    assert.equal(asked(), 1);
    await dialled(t, port);
    assert.equal(asked(), 2, 'it is asked for anew');
  });

  it('is tried at the next address behind 250 ms where one does not answer, and the first that connects is it', async (t) => {
    const hole = await openBlackHole(t);
    await listening(t, '127.0.0.9', hole.port);
    named(t, ['127.0.0.1', '127.0.0.9']);
    const clock = holdClock(t);
    let found: ByteStream | null = null;
    const outcome = dialled(t, hole.port).then(({ stream }) => {
      found = stream;
    });
    await clock.advance(0); // the resolver answers
    await clock.advance(249);
    assert.equal(found, null);
    await clock.advance(1);
    await outcome;
    assert.notEqual(found, null);
  });

  it('that refuses at every address is lost with what the last one said', async (t) => {
    const port = await listening(t, '127.0.0.9');
    named(t, ['127.0.0.7', '127.0.0.8']);
    const { fault } = await dialled(t, port);
    assert.deepEqual({ ...fault }, { code: 'ECONNREFUSED', message: `connect ECONNREFUSED 127.0.0.8:${port}` });
  });

  it('that is not known is lost with what the resolver said', async (t) => {
    named(t, null);
    const { fault } = await dialled(t, 25);
    assert.equal(fault?.message, 'getaddrinfo ENOTFOUND mail.example');
  });

  for (const when of ['before the resolver has answered', 'while it is tried'])
    it(`given up ${when}, nobody is called back`, async (t) => {
      const hole = await openBlackHole(t);
      const heard: string[] = [];
      await listening(t, '127.0.0.9', hole.port);
      named(t, ['127.0.0.1', '127.0.0.9']);
      const clock = holdClock(t);
      const owner = { ...NOBODY, lost: () => void heard.push('lost') };
      const giveUp = dial(
        { address: 'mail.example', port: hole.port },
        false,
        owner,
        () => void heard.push('connected'),
      );
      if (when === 'while it is tried') await clock.advance(0);
      giveUp();
      await clock.advance(1000);
      assert.deepEqual(heard, []);
    });
});
