import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { whyNot } from '../../src/proxy/listener.ts';
import { GREETING, greeted, open, quit, type Wanted } from './front.ts';
import { freePort, Peer, settled } from './peer.ts';
import { asked, Rig } from './rig.ts';

describe('a listener', () => {
  it('binds the wildcards of IPv4 and IPv6 on one port, and sees each client as it is', async (t) => {
    const port = await freePort();
    const { logged } = await open(t, { listener: { bind: [`0.0.0.0:${port}`, `[::]:${port}`] } });
    for (const host of ['127.0.0.1', '::1']) {
      const client = await Peer.connect(port, { host });
      assert.equal(await client.hears('\r\n'), GREETING);
      await quit(client);
    }
    assert.deepEqual(
      logged('session ended').map((entry) => entry.client_address),
      ['127.0.0.1', '::1'],
    );
  });

  it('takes no IPv4 client at the wildcard of IPv6', async (t) => {
    const port = await freePort();
    await open(t, { listener: { bind: [`[::]:${port}`] } });
    await assert.rejects(Peer.connect(port), { code: 'ECONNREFUSED' });
  });

  it('says in one sentence which address is taken, and lets go of those it has', async (t) => {
    const taken = createServer();
    t.after(() => taken.close());
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    const { port } = taken.address() as { port: number };
    const free = await freePort();
    await assert.rejects(open(t, { listener: { bind: [`127.0.0.1:${free}`, `127.0.0.1:${port}`] } }), {
      message: `cannot listen on 127.0.0.1:${port}: another program listens there`,
    });
    await assert.rejects(Peer.connect(free), { code: 'ECONNREFUSED' });
  });

  it('says so when an address is not one of this machine', async (t) => {
    await assert.rejects(open(t, { listener: { bind: ['198.51.100.1:0'] } }), {
      message: 'cannot listen on 198.51.100.1:0: this machine has no such address',
    });
  });

  it('says who may have a port that it was not permitted to have', { skip: process.platform === 'win32' }, () => {
    const refused = Object.assign(new Error(), { code: 'EACCES' });
    assert.match(whyNot(refused), /^not permitted, .*: root may, or who has CAP_NET_BIND_SERVICE; 2525 is free/);
  });

  it('chooses the connector by the address a client comes from', async (t) => {
    const opened = await open(t, {
      connectors: [
        { name: 'internet', remote_ip_ranges: ['any'] },
        { name: 'printer', remote_ip_ranges: ['127.0.0.7'] },
      ],
    });
    for (const address of ['127.0.0.7', '127.0.0.8']) await quit(await greeted(opened, address));
    assert.deepEqual(
      opened.logged('session ended').map((entry) => [entry.client_address, entry.connector]),
      [
        ['127.0.0.7', 'printer'],
        ['127.0.0.8', 'internet'],
      ],
    );
  });
});

describe('a listener with proxy_protocol', () => {
  const proxied: Wanted = {
    listener: { proxy_protocol: { from: ['127.0.0.1/32'] } },
    connectors: [
      { name: 'internet', remote_ip_ranges: ['any'] },
      { name: 'office', remote_ip_ranges: ['192.0.2.0/24'] },
      { name: 'second', remote_ip_ranges: ['any'], bindings: ['203.0.113.9:2525'] },
    ],
  };
  const fields = (addresses: string) => Buffer.from(addresses.replaceAll(' ', ''), 'hex');
  const v2 = (family: string, addresses: string) =>
    Buffer.concat([
      fields(`0d0a0d0a000d0a515549540a 21 ${family}`),
      Buffer.from([0, fields(addresses).length]),
      fields(addresses),
    ]);

  const headers: readonly (readonly [string, Buffer, string, number | null, string])[] = [
    ['version 1', Buffer.from('PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r\n'), '192.0.2.77', 4711, 'office'],
    [
      'version 1, IPv6',
      Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::25 4711 25\r\n'),
      '2001:db8::7',
      4711,
      'internet',
    ],
    [
      'version 1, another local address',
      Buffer.from('PROXY TCP4 192.0.2.77 203.0.113.9 4711 2525\r\n'),
      '192.0.2.77',
      4711,
      'second',
    ],
    ['version 1, no addresses', Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1', null, 'internet'],
    ['version 2', v2('11', 'c000024d cb007105 1267 0019'), '192.0.2.77', 4711, 'office'],
    [
      'version 2, IPv4 mapped into IPv6',
      v2('21', '00000000000000000000ffffc000024d 00000000000000000000ffffcb007105 1267 0019'),
      '192.0.2.77',
      4711,
      'office',
    ],
    [
      'version 2, IPv4 mapped, another local address',
      v2('21', '00000000000000000000ffffc000024d 00000000000000000000ffffcb007109 1267 09dd'),
      '192.0.2.77',
      4711,
      'second',
    ],
  ];
  for (const [what, header, address, port, connector] of headers) {
    it(`takes the client's address from the header: ${what}`, async (t) => {
      const opened = await open(t, proxied);
      const client = await opened.client();
      client.socket.write(header);
      await client.hears(GREETING);
      await quit(client);
      const [entry] = opened.logged('session ended');
      assert.equal(entry?.client_address, address);
      assert.equal(entry?.client_port, port ?? client.socket.localPort);
      assert.equal(entry?.connector, connector);
    });
  }

  it('reads a header that comes octet by octet', async (t) => {
    const opened = await open(t, proxied);
    const client = await opened.client();
    for (const octet of 'PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r\n') {
      client.say(octet);
      await turn();
    }
    await client.hears(GREETING);
    await quit(client);
    assert.equal(opened.logged('session ended')[0]?.client_address, '192.0.2.77');
  });

  it('hands on, in order, what comes in one piece with the header', async (t) => {
    const opened = await open(t, proxied);
    const client = await opened.client();
    client.say('PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r\nEHLO client.example\r\nQUIT\r\n');
    client.finish();
    assert.match(await client.rest(), /^220 .*\r\n(250-.*\r\n)+250 .*\r\n221 .*\r\n$/);
    assert.deepEqual(opened.upstream.connections[0]?.server.commands, ['EHLO client.example', 'QUIT']);
    assert.equal(opened.logged('session ended')[0]?.octets_from_client, 'EHLO client.example\r\nQUIT\r\n'.length);
  });

  for (const [what, size] of [
    ['whole', 70_000],
    ['octet by octet', 1],
  ] as const) {
    it(`reads the longest header ${what}, and what is said behind it`, async (t) => {
      const opened = await open(t, proxied);
      const client = await opened.client();
      const head = fields('0d0a0d0a000d0a515549540a 21 11 ffff c000024d cb007105 1267 0019');
      const certificate = Buffer.alloc(65535 - 12, 'x');
      const all = Buffer.concat([head, certificate, Buffer.from('EHLO client.example\r\nQUIT\r\n')]);
      for (let at = 0; at < all.length; at += size) {
        client.socket.write(all.subarray(at, at + size));
        if (at % 64 === 0) await turn();
      }
      assert.match((await client.hears('221 ')).toString(), /^220 /);
      assert.equal(await client.rest().then((rest) => rest.endsWith('\r\n')), true);
      assert.deepEqual(opened.upstream.connections[0]?.server.commands, ['EHLO client.example', 'QUIT']);
      assert.equal(opened.logged('session ended')[0]?.client_address, '192.0.2.77');
    });
  }

  it('closes on a peer that is not listed, whatever it says', async (t) => {
    const opened = await open(t, proxied);
    const client = await opened.client('127.0.0.2');
    client.say('PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r\nEHLO client.example\r\n');
    assert.equal(await client.rest(), '');
    assert.equal(opened.upstream.connections.length, 0);
  });

  it('closes on a listed peer that does not begin with a header, and says nothing', async (t) => {
    const opened = await open(t, proxied);
    for (const words of [
      'EHLO client.example\r\n',
      'PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\n',
      'GET / HTTP/1.1\r\n\r\n',
    ]) {
      const client = await opened.client();
      client.say(words);
      assert.equal(await client.rest(), '');
    }
    assert.equal(opened.upstream.connections.length, 0);
  });

  it('closes when the header is not whole in its time', async (t) => {
    const opened = await open(t, { ...proxied, rest: { timeouts: { proxy_header: '50ms' } } });
    for (const words of ['', 'PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r', '\r\n\r\n\0']) {
      const client = await opened.client();
      client.say(words);
      assert.equal(await client.rest(), '');
    }
    assert.equal(opened.upstream.connections.length, 0);
  });

  it('is not harmed by a peer that leaves in the middle of the header', async (t) => {
    const opened = await open(t, { ...proxied, rest: { timeouts: { proxy_header: '1h' } } });
    const finished = await opened.client();
    finished.say('PROXY TCP4 192.0');
    finished.finish();
    assert.equal(await finished.rest(), '');
    const reset = await opened.client();
    reset.say('PROXY TCP4 192.0');
    await settled();
    reset.reset();
    const client = await opened.client();
    client.say('PROXY UNKNOWN\r\n');
    await client.hears(GREETING);
    await quit(client);
  });

  it('refuses by the address in the header', async (t) => {
    const opened = await open(t, {
      ...proxied,
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'], connect: { deny: ['192.0.2.77'] } }],
    });
    const client = await opened.client();
    client.say('PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r\nQUIT\r\n');
    assert.equal(await client.rest(), '554 5.7.1 Access denied\r\n221 2.0.0 Bye\r\n');
    assert.equal(opened.logged('connection refused')[0]?.client_address, '192.0.2.77');
  });

  it('reads a second header as what it is: no command', async (t) => {
    const opened = await open(t, proxied);
    const client = await opened.client();
    client.say('PROXY UNKNOWN\r\n');
    await client.hears(GREETING);
    client.say('PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r\n');
    assert.match(await client.hears('\r\n'), /^500 /);
    await quit(client);
    assert.deepEqual(opened.upstream.connections[0]?.server.commands, ['QUIT']);
  });
});

describe('a client that connection time has to ask about', () => {
  async function asking(t: TestContext, proxied: boolean): Promise<{ rig: Rig; answer: () => void }> {
    let answer: () => void = () => {};
    const known = new Promise<void>((resolve) => {
      answer = resolve;
    });
    return { rig: await Rig.open(t, { known, proxied }), answer };
  }

  for (const proxied of [false, true]) {
    const where = proxied ? ' behind its PROXY header' : '';

    it(`has said nothing in vain meanwhile${where}`, async (t) => {
      const { rig, answer } = await asking(t, proxied);
      const client = await rig.client();
      if (proxied) client.say('PROXY UNKNOWN\r\n');
      await settled();
      client.say('EHLO client.example\r\n');
      await settled();
      answer();
      const upstream = await rig.upstreams.next();
      await asked({ client, upstream }, null, '220 mail.example');
      await upstream.hears('EHLO client.example\r\n');
    });

    it(`may leave meanwhile${where}`, async (t) => {
      const { rig, answer } = await asking(t, proxied);
      for (const leave of [(peer: Peer) => peer.finish(), (peer: Peer) => peer.reset()]) {
        const client = await rig.client();
        if (proxied) client.say('PROXY UNKNOWN\r\n');
        await settled();
        leave(client);
        await settled();
      }
      answer();
      while (rig.released < 2) await turn();
      assert.equal(rig.firewall.sessions, 0);
      assert.deepEqual(rig.defects, []);
    });
  }
});

it('a PROXY header where none is due is no command, and is not passed on', async (t) => {
  const opened = await open(t);
  const client = await greeted(opened);
  client.say('PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\r\n');
  assert.match(await client.hears('\r\n'), /^500 /);
  await quit(client);
  assert.deepEqual(opened.upstream.connections[0]?.server.commands, ['QUIT']);
  assert.equal(opened.logged('session ended')[0]?.client_address, '127.0.0.1');
});
