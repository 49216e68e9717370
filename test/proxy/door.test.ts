import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { holdClock } from './clock.ts';
import { greeted, open, quit, type Wanted } from './front.ts';

describe('a client refused with 554 at connection time', () => {
  const denied: Wanted = { connectors: [{ name: 'internet', remote_ip_ranges: ['any'], connect: { deny: ['any'] } }] };
  const DENIED = '554 5.7.1 Access denied\r\n';
  const ONLY_QUIT = '503 5.5.1 Only QUIT is accepted\r\n';
  const BYE = '221 2.0.0 Bye\r\n';

  it('is sent away after five seconds of silence', async (t) => {
    const clock = holdClock(t);
    const opened = await open(t, denied);
    const client = await opened.client();
    await client.hears(DENIED);
    await clock.advance(4_999);
    assert.equal(client.ending, null);
    await clock.advance(1);
    assert.equal(await client.rest(), '');
  });

  it('may say QUIT, in any case and in pieces', async (t) => {
    const opened = await open(t, denied);
    for (const pieces of [['QUIT\r\n'], ['quit\r\n'], ['Q', 'UI', 'T\r', '\n'], ['QUIT \n']]) {
      const client = await opened.client();
      assert.equal(await client.hears(DENIED), DENIED);
      for (const piece of pieces) {
        client.say(piece);
        await turn();
      }
      assert.equal(await client.rest(), BYE);
    }
    assert.equal(opened.upstream.connections.length, 0);
  });

  it('hears 503 once for whatever else it says', async (t) => {
    const opened = await open(t, denied);
    const client = await opened.client();
    await client.hears(DENIED);
    for (const line of [
      'EHLO client.example\r\n',
      'MAIL FROM:<s@sender.example>\r\n',
      'RCPT TO:<quit@local.example>\r\n',
    ]) {
      client.say(line);
      await turn();
    }
    client.say('QUIT\r\n');
    assert.equal(await client.rest(), ONLY_QUIT + BYE);
  });

  it('gets no more for a flood of lines that it does not wait for', async (t) => {
    const opened = await open(t, denied);
    const client = await opened.client();
    client.socket.pause();
    for (let said = 0; said < 5_000; said++) {
      client.say('x\n');
      if (said % 50 === 0) await turn();
    }
    client.socket.resume();
    assert.equal(await client.rest(), DENIED + ONLY_QUIT + BYE);
    assert.equal(client.ending, 'end');
  });

  it('may simply leave', async (t) => {
    const opened = await open(t, denied);
    const client = await opened.client();
    await client.hears(DENIED);
    client.finish();
    assert.equal(await client.rest(), '');
    assert.deepEqual(
      opened.logged('connection refused').map(({ reason, reply, connector }) => [reason, reply, connector]),
      [['connect', '554 5.7.1 Access denied', 'internet']],
    );
  });

  it('is no session: nothing is logged of its end, and no place is taken', async (t) => {
    const opened = await open(t, {
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'], connect: { deny: ['127.0.0.2'] } }],
      upstream: { max_connections: 1 },
    });
    const refused = await opened.client('127.0.0.2');
    await refused.hears(DENIED);
    await quit(await greeted(opened));
    assert.deepEqual(
      opened.logged('session ended').map((entry) => entry.client_address),
      ['127.0.0.1'],
    );
  });

  it('hears the sentence of its connector, and a 421 ends at once', async (t) => {
    const opened = await open(t, {
      connectors: [
        {
          name: 'a',
          remote_ip_ranges: ['127.0.0.1'],
          connect: { deny: ['any'] },
          replies: { connect: '554 Not you, {client_address}' },
        },
        {
          name: 'b',
          remote_ip_ranges: ['127.0.0.2'],
          connect: { deny: ['any'] },
          replies: { connect: '421 4.7.1 Not now' },
        },
      ],
    });
    const first = await opened.client('127.0.0.1');
    assert.equal(await first.hears('\r\n'), '554 Not you, 127.0.0.1\r\n');
    const second = await opened.client('127.0.0.2');
    assert.equal(await second.rest(), '421 4.7.1 Not now\r\n');
    const nobodys = await opened.client('127.0.0.3');
    assert.equal(await nobodys.hears('\r\n'), DENIED);
  });
});

describe('too many connections', () => {
  const limited = (limits: Record<string, unknown>): Wanted => ({
    connectors: [
      { name: 'internet', remote_ip_ranges: ['any'], limits },
      { name: 'other', remote_ip_ranges: ['127.0.0.9'] },
    ],
  });
  const cases: readonly (readonly [string, Wanted, { full: string; free: string | null }, RegExp, string])[] = [
    [
      'of one source',
      limited({ source: { connections: 2 } }),
      { full: '127.0.0.1', free: '127.0.0.2' },
      /^421 4\.7\.0 Too many connections from 127\.0\.0\.1\r\n$/,
      'connections',
    ],
    [
      'of one connector',
      limited({ connector: { connections: 2 } }),
      { full: '127.0.0.2', free: '127.0.0.9' },
      /^421 4\.7\.0 Too many connections, try again later\r\n$/,
      'connections',
    ],
    [
      'for the upstream',
      { ...limited({}), upstream: { max_connections: 2 } },
      { full: '127.0.0.9', free: null },
      /^421 4\.3\.2 Too many connections, try again later\r\n$/,
      'upstream_connections',
    ],
  ];
  for (const [what, wanted, { full, free }, reply, reason] of cases) {
    it(`${what}: 421, until one of them is over`, async (t) => {
      const opened = await open(t, wanted);
      const first = await greeted(opened, '127.0.0.1');
      await greeted(opened, '127.0.0.1');
      const refused = await opened.client(full);
      assert.match(await refused.rest(), reply);
      assert.equal(refused.ending, 'end');
      assert.equal(opened.logged('connection refused')[0]?.reason, reason);
      assert.equal(opened.upstream.connections.length, 2);
      if (free !== null) await greeted(opened, free);
      await quit(first);
      await greeted(opened, full);
    });
  }

  it('in observe: the limits of policy let pass, that of the upstream does not', async (t) => {
    const opened = await open(t, {
      ...limited({ source: { connections: 1 }, connector: { connections: 1 } }),
      upstream: { max_connections: 2 },
      rest: { mode: 'observe' },
    });
    await greeted(opened);
    await greeted(opened);
    assert.match(await (await opened.client()).rest(), /^421 4\.3\.2 /);
  });
});
