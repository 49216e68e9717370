import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Endpoint, formatEndpoint } from '../../src/proxy/address.ts';
import type { Answer, CallSettings } from '../../src/proxy/call.ts';
import { Upstream } from '../../src/proxy/upstream.ts';
import { CALLER } from '../helpers/identity.ts';
import { openBlackHole } from './black-hole.ts';
import { holdClock } from './clock.ts';
import { freePort, type Peer, settled, UpstreamPeers } from './peer.ts';
import { asked, PATIENT, Rig } from './rig.ts';

const SHORT = 50; // ms
const LONG = 60_000;

interface Watched {
  readonly upstream: Upstream;
  /** What the observer was told: `ADDRESS up`, `ADDRESS down`. */
  readonly told: string[];
  /** Of the servers that were reached. */
  readonly connected: string[];
}

const PLAIN: CallSettings = { connectWithin: LONG, greetWithin: LONG, tls: null, identity: 'none', ourName: null };

function watch(servers: readonly Endpoint[], timeout = LONG): Watched {
  const told: string[] = [];
  const connected: string[] = [];
  const upstream = new Upstream(
    servers,
    { ...PLAIN, connectWithin: timeout, greetWithin: timeout },
    {
      upstreamUp: (server, up) => void told.push(`${server} ${up ? 'up' : 'down'}`),
      upstreamConnected: (server) => void connected.push(server),
      upstreamInClear: () => {},
      upstreamUnidentified: () => {},
      shortOf: (code) => void told.push(`short of ${code}`),
      upstreamSilent: (server) => void told.push(`${server} silent`),
      upstreamFull: (server) => void told.push(`${server} full`),
    },
  );
  return { upstream, told, connected };
}

async function refusing(): Promise<Endpoint> {
  return { address: '127.0.0.1', port: await freePort() };
}

const GREETING = '220 mail.example ESMTP\r\n';

/** A server that says nothing by itself. */
async function answering(t: TestContext): Promise<{ server: UpstreamPeers; at: Endpoint }> {
  const server = await UpstreamPeers.listen(t);
  return { server, at: { address: '127.0.0.1', port: server.port } };
}

/** A server that greets everyone so. */
async function greeting(t: TestContext, text = GREETING): Promise<{ server: UpstreamPeers; at: Endpoint }> {
  const { server, at } = await answering(t);
  server.server.on('connection', (socket) => socket.write(text, 'latin1'));
  return { server, at };
}

function dial(t: TestContext, upstream: Upstream): Promise<Answer | null> {
  return new Promise((resolve) => {
    const giveUp = upstream.dial(CALLER, (answer) => {
      t.after(() => answer?.stream?.destroy());
      resolve(answer);
    });
    t.after(giveUp);
  });
}

/** The port of the server that was reached; null when there was none. */
async function reached(t: TestContext, upstream: Upstream): Promise<number | null> {
  return (await dial(t, upstream))?.stream?.remotePort ?? null;
}

describe('dialling', () => {
  it('takes the first server when it greets, and leaves the others alone', async (t) => {
    const first = await greeting(t);
    const second = await greeting(t);
    const { upstream, told, connected } = watch([first.at, second.at]);
    const answer = await dial(t, upstream);
    assert.equal(answer?.stream?.remotePort, first.at.port);
    assert.equal(answer.greeting.toString('latin1'), GREETING);
    assert.deepEqual(told, [`${formatEndpoint(first.at)} up`]);
    assert.deepEqual(connected, [formatEndpoint(first.at)]);
    assert.equal(second.server.count, 0);
  });

  it('takes the next server when one refuses', async (t) => {
    const away = await refusing();
    const { at } = await greeting(t);
    const { upstream, told, connected } = watch([away, at]);
    assert.equal(await reached(t, upstream), at.port);
    assert.deepEqual(told, [`${formatEndpoint(away)} down`, `${formatEndpoint(at)} up`]);
    assert.deepEqual(connected, [formatEndpoint(at)]);
  });

  it('takes the next server when one does not answer in time', async (t) => {
    const hole = await openBlackHole(t);
    const { at } = await greeting(t);
    const { upstream, told } = watch([hole, at], SHORT);
    assert.equal(await reached(t, upstream), at.port);
    assert.deepEqual(told, [`${formatEndpoint(hole)} down`, `${formatEndpoint(at)} up`]);
  });

  it('takes the next server when one does not greet in time', async (t) => {
    const silent = await answering(t);
    const { at } = await greeting(t);
    const { upstream, told } = watch([silent.at, at], SHORT);
    assert.equal(await reached(t, upstream), at.port);
    assert.deepEqual(told, [`${formatEndpoint(silent.at)} down`, `${formatEndpoint(at)} up`]);
    assert.equal(await (await silent.server.next()).rest(), '');
  });

  it('takes the next server when one hangs up before its greeting, or greets with 4yz in pieces', async (t) => {
    for (const goes of [
      (peer: Peer) => peer.finish(),
      (peer: Peer) => peer.reset(),
      (peer: Peer) => peer.say('421 4.3.2 not now\r\n'),
      async (peer: Peer) => {
        for (const octet of '450-4.3.2 not\r\n450 4.3.2 now\r\n') {
          peer.say(octet);
          await settled();
        }
      },
    ]) {
      const first = await answering(t);
      const { at } = await greeting(t);
      const answer = reached(t, watch([first.at, at]).upstream);
      goes(await first.server.next());
      assert.equal(await answer, at.port);
    }
  });

  it('hands on what the last server said when it does not want us, whole and as it came', async (t) => {
    const first = await greeting(t, '421 4.3.2 first\r\n');
    const last = await greeting(t, '450-4.3.2 not\r\n450 4.3.2 now\r\n');
    const answer = await dial(t, watch([first.at, last.at]).upstream);
    assert.equal(answer?.stream, null);
    assert.equal(answer?.greeting.toString('latin1'), '450-4.3.2 not\r\n450 4.3.2 now\r\n');
  });

  it('says that there is none when all refuse or do not answer', async (t) => {
    const hole = await openBlackHole(t);
    const { upstream, told } = watch([await refusing(), hole, await refusing()], SHORT);
    assert.equal(await dial(t, upstream), null);
    assert.equal(told.length, 3);
    assert.ok(told.every((one) => one.endsWith('down')));
  });

  it('connects to a server that is given by its name', async (t) => {
    const { at } = await greeting(t);
    const { upstream } = watch([{ address: 'localhost', port: at.port }]);
    assert.equal(await reached(t, upstream), at.port);
  });

  it('goes no further when it is given up', async (t) => {
    const clock = holdClock(t);
    const hole = await openBlackHole(t);
    const { server, at } = await greeting(t);
    const given = watch([hole, at], LONG);
    const giveUp = given.upstream.dial(CALLER, () => assert.fail('called back behind the end'));
    giveUp();
    await clock.advance(LONG);
    await dial(t, watch([at]).upstream);
    assert.equal(server.count, 1);
    assert.deepEqual(given.told, []);
  });

  it('closes the connection when it is given up before the greeting', async (t) => {
    const { server, at } = await answering(t);
    const giveUp = watch([at]).upstream.dial(CALLER, () => assert.fail('called back behind the end'));
    const peer = await server.next();
    giveUp();
    peer.say(GREETING);
    assert.equal(await peer.rest(), '');
  });
});

describe('asking for the greeting', () => {
  async function greets(t: TestContext, greeting: string, timeout = LONG): Promise<[boolean, Peer]> {
    const { server, at } = await answering(t);
    const answer = watch([at], timeout).upstream.greets();
    const peer = await server.next();
    if (greeting !== '') peer.say(greeting);
    return [await answer, peer];
  }

  it('is content with 220, and takes its leave', async (t) => {
    const [greeted, peer] = await greets(t, '220 mail.example ESMTP\r\n');
    assert.equal(greeted, true);
    assert.equal(await peer.rest(), 'QUIT\r\n');
    assert.equal(peer.ending, 'reset'); // it has not ended the connection, as a server does
  });

  it('is not content with 421 or 554', async (t) => {
    for (const greeting of ['421 4.3.2 not now\r\n', '554 5.3.2 no SMTP here\r\n']) {
      assert.equal((await greets(t, greeting))[0], false, greeting);
    }
  });

  it('is not content with a server that says nothing, and leaves it', async (t) => {
    const [greeted, peer] = await greets(t, '', SHORT);
    assert.equal(greeted, false);
    await peer.rest();
  });

  it('is not content with a server that hangs up', async (t) => {
    for (const leave of [(peer: Peer) => peer.finish(), (peer: Peer) => peer.reset()]) {
      const { server, at } = await answering(t);
      const answer = watch([at]).upstream.greets();
      leave(await server.next());
      assert.equal(await answer, false);
    }
  });

  it('is not content when nobody is there', async () => {
    assert.equal(await watch([await refusing()]).upstream.greets(), false);
  });

  it('asks the next server when the first is away', async (t) => {
    const { server, at } = await answering(t);
    const answer = watch([await refusing(), at]).upstream.greets();
    (await server.next()).say('220 mail.example\r\n');
    assert.equal(await answer, true);
  });
});

describe('a client whose mail servers are away', () => {
  it('hears 421 4.3.2 when all refuse', async (t) => {
    const rig = await Rig.open(t, { servers: [await refusing(), await refusing()] });
    const client = await rig.client();
    assert.equal(await client.rest(), '421 4.3.2 Service not available, try again later\r\n');
    assert.equal(client.ending, 'end');
    assert.equal((await rig.reason()).origin, 'upstream');
  });

  it('hears 421 4.3.2 when none answers in time', async (t) => {
    const hole = await openBlackHole(t);
    const rig = await Rig.open(t, { servers: [hole, hole], timeouts: { upstream_connect: SHORT } });
    const client = await rig.client();
    assert.match(await client.rest(), /^421 4\.3\.2 .*\r\n$/);
  });

  it('hears 421 4.3.2 when one accepts and never greets', async (t) => {
    const rig = await Rig.open(t, { timeouts: { upstream_greeting: SHORT } });
    const { client, upstream } = await rig.dialled();
    assert.match(await client.rest(), /^421 4\.3\.2 .*\r\n$/);
    assert.equal(await upstream.rest(), '');
    await rig.servesOn();
  });

  it('is served by the next server, and notices nothing', async (t) => {
    const { server, at } = await answering(t);
    const rig = await Rig.open(t, { servers: [await refusing(), at] });
    const client = await rig.client();
    const upstream = await server.next();
    await asked({ client, upstream }, null, '220 second.example ESMTP');
  });

  it('may leave while it is still dialled for, and no server hears of it', async (t) => {
    const clock = holdClock(t);
    const hole = await openBlackHole(t);
    const { server, at } = await answering(t);
    const rig = await Rig.open(t, { servers: [hole, at] });
    const leaving = [(peer: Peer) => peer.finish(), (peer: Peer) => peer.reset()];
    for (const [number, leave] of leaving.entries()) {
      leave(await rig.client());
      assert.equal((await rig.reason(number)).origin, 'client');
    }
    assert.equal(rig.firewall.sessions, 0);
    await clock.advance(PATIENT.upstream_connect);
    await clock.advance(PATIENT.upstream_connect);
    assert.equal(server.count, 0);
  });
});
