// What follows from a server that fails: who is tried, who waits, who is told at once, and when it gets work again.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Endpoint, formatEndpoint } from '../../src/proxy/address.ts';
import type { CallSettings } from '../../src/proxy/call.ts';
import { type Reached, Upstream } from '../../src/proxy/upstream.ts';
import { UpstreamTls } from '../../src/proxy/upstream-tls.ts';
import { CALLER } from '../helpers/identity.ts';
import { openBlackHole } from './black-hole.ts';
import { type Clock, holdClock } from './clock.ts';
import { settled, UpstreamPeers } from './peer.ts';
import { Rig } from './rig.ts';
import { toldServer } from './told-server.ts';

const LONG = 600_000;
const UNAVAILABLE = '421 4.3.2 Service not available, try again later\r\n';

/** A server that greets as its `mood` says: null = it hangs up at once. */
interface Moody {
  mood: string | null;
  readonly at: Endpoint;
  readonly peers: UpstreamPeers;
}

async function moody(t: TestContext, mood: string | null = '220 moody.example\r\n'): Promise<Moody> {
  const peers = await UpstreamPeers.listen(t);
  const one: Moody = { mood, at: { address: '127.0.0.1', port: peers.port }, peers };
  peers.server.on('connection', (socket) => {
    if (one.mood === null) socket.destroy();
    else socket.write(one.mood);
  });
  return one;
}

class Watch {
  readonly told: string[] = [];
  readonly upstream: Upstream;
  readonly #t: TestContext;

  constructor(t: TestContext, servers: readonly Endpoint[], settings: Partial<CallSettings> = {}) {
    this.#t = t;
    const plain: CallSettings = { connectWithin: LONG, greetWithin: LONG, tls: null, identity: 'none', ourName: null };
    const name = (server: string): string => 'ABC'[servers.map(formatEndpoint).indexOf(server)] ?? server;
    this.upstream = new Upstream(
      servers,
      { ...plain, ...settings },
      {
        upstreamUp: (server, up, why, next) => {
          const line = `${name(server)} ${up ? 'up' : `down: ${why}, again in ${Math.round(next ?? 0)} s`}`;
          if (!up || this.told.findLast((one) => one.startsWith(name(server))) !== line) this.told.push(line);
        },
        upstreamConnected: () => {},
        upstreamInClear: (server, why) => void this.told.push(`${name(server)} in clear: ${why}`),
        upstreamUnidentified: () => {},
        upstreamSilent: (server) => void this.told.push(`${name(server)} silent`),
        upstreamFull: (server, sessions) => void this.told.push(`${name(server)} full with ${sessions}`),
      },
    );
    t.after(() => this.upstream.close());
  }

  dial(): Promise<Reached | null> {
    return new Promise((resolve) => {
      const giveUp = this.upstream.dial(CALLER, (reached) => {
        this.#t.after(() => reached?.socket?.destroy());
        resolve(reached);
      });
      this.#t.after(giveUp);
    });
  }

  /** Which of these servers a session gets. */
  async gets(...servers: readonly Moody[]): Promise<string> {
    const port = (await this.dial())?.socket?.remotePort;
    return 'ABC'[servers.findIndex(({ at }) => at.port === port)] ?? 'none';
  }
}

/** Lets so many seconds pass, one by one, so that what is due is done in its turn. */
async function pass(clock: Clock, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    await clock.advance(1_000);
    await settled();
  }
}

describe('a server that fails', () => {
  it('is left alone by the sessions that follow, while another is up', async (t) => {
    const [a, b] = [await moody(t, null), await moody(t)];
    const watch = new Watch(t, [a.at, b.at]);
    for (let times = 0; times < 3; times++) assert.equal(await watch.gets(a, b), 'B');
    assert.equal(a.peers.count, 1);
    assert.equal(b.peers.count, 3);
  });

  it('is asked for its greeting in the rhythm of its back-off, and told of nothing else', async (t) => {
    const clock = holdClock(t);
    const a = await moody(t, '421 4.3.2 not now\r\n');
    const watch = new Watch(t, [a.at]);
    await watch.dial();
    await pass(clock, 16);
    assert.equal(a.peers.count, 5);
    assert.deepEqual(
      watch.told,
      [1, 2, 4, 8, 16].map((seconds) => `A down: it greeted with 421 4.3.2 not now, again in ${seconds} s`),
    );
    assert.deepEqual(watch.upstream.states, [
      {
        server: formatEndpoint(a.at),
        up: false,
        why: 'it greeted with 421 4.3.2 not now',
        next_probe_seconds: 15,
      },
    ]);
  });

  it('is up again when a probe hears its greeting, and the probe takes its leave', async (t) => {
    const clock = holdClock(t);
    const a = await moody(t, null);
    const watch = new Watch(t, [a.at]);
    assert.equal(await watch.dial(), null);
    await a.peers.next();
    a.mood = '220 here again\r\n';
    await pass(clock, 1);
    assert.equal(await (await a.peers.next()).hears('QUIT\r\n'), 'QUIT\r\n');
    assert.equal(watch.told.at(-1), 'A up');
    assert.deepEqual(watch.upstream.states, [{ server: formatEndpoint(a.at), up: true }]);
    await pass(clock, 120);
    assert.equal(a.peers.count, 2, 'nobody probes a server that is up');
  });

  it('starts slowly beside another when it has come back', async (t) => {
    const clock = holdClock(t);
    const [a, b] = [await moody(t, null), await moody(t)];
    const watch = new Watch(t, [a.at, b.at]);
    await watch.gets(a, b);
    a.mood = '220 here again\r\n';
    await pass(clock, 1);
    const share = async (): Promise<number> => {
      let taken = 0;
      for (let times = 0; times < 20; times++) if ((await watch.gets(a, b)) === 'A') taken++;
      return taken;
    };
    assert.ok((await share()) <= 2);
    await pass(clock, 15);
    const half = await share();
    assert.ok(half >= 8 && half <= 12, `${half} of 20`);
    await pass(clock, 15);
    assert.equal(await share(), 20);
  });

  it('is tried all the same by one that has nobody else', async (t) => {
    const [a, b] = [await moody(t, null), await moody(t, null)];
    const watch = new Watch(t, [a.at, b.at]);
    assert.equal(await watch.dial(), null);
    b.mood = '220 here again\r\n';
    assert.equal(await watch.gets(a, b), 'B');
  });

  it('is not blamed for a 4yz that may mean the client, where it knows the client', async (t) => {
    for (const [reply, told] of [
      ['421 4.7.0 too many connections from you\r\n', []],
      ['421 4.3.2 no more messages\r\n', ['A down: it greeted with 421 4.3.2 no more messages, again in 1 s']],
    ] as const) {
      const a = await moody(t, reply);
      const watch = new Watch(t, [a.at], { identity: 'proxy-v2' });
      assert.equal((await watch.dial())?.greeting.toString('latin1'), reply);
      assert.deepEqual(watch.told, told);
    }
  });

  it('by a handshake is called again in clear text where TLS is only welcome', async (t) => {
    const { at, heard } = await toldServer(t, { keywords: ['STARTTLS'], handshake: 'hangs up' });
    const tls = new UpstreamTls({
      ...{ mode: 'opportunistic', minVersion: 'TLSv1.2', ca: null, verify: false, pins: [], name: null },
    });
    const watch = new Watch(t, [at], { tls, ourName: 'postern.example' });
    assert.equal((await watch.dial())?.greeting.toString('latin1'), '220 told.example ESMTP\r\n');
    assert.deepEqual(heard, [['EHLO postern.example', 'STARTTLS'], []]);
    assert.match(watch.told.join('; '), /^A in clear: no TLS handshake \(ECONNRESET\).*; A up$/);
  });
});

describe('while every server is down', () => {
  it('one session tries, and the others hear 421 at once', async (t) => {
    const clock = holdClock(t);
    const hole = await openBlackHole(t);
    const rig = await Rig.open(t, { servers: [hole], timeouts: { upstream_connect: 10_000 } });
    const first = await rig.client();
    await settled();
    await clock.advance(10_000);
    assert.equal(await first.rest(), UNAVAILABLE);
    const trial = await rig.client();
    await settled();
    for (let times = 0; times < 3; times++) assert.equal(await (await rig.client()).rest(), UNAVAILABLE);
    assert.equal(trial.ending, null);
    await clock.advance(10_000);
    assert.equal(await trial.rest(), UNAVAILABLE);
    const next = await rig.client();
    await settled();
    assert.equal(next.ending, null, 'the next one may try');
  });

  it('a trial that is given up lets the next one try', async (t) => {
    const clock = holdClock(t);
    const hole = await openBlackHole(t);
    const watch = new Watch(t, [hole], { connectWithin: 10_000 });
    const first = watch.dial();
    await clock.advance(10_000);
    await first;
    const giveUp = watch.upstream.dial(CALLER, () => assert.fail('called back behind the end'));
    assert.equal(await watch.dial(), null);
    giveUp();
    let answered = false;
    void watch.dial().then(() => {
      answered = true;
    });
    await settled();
    assert.equal(answered, false);
  });

  it('a server that greeted is down behind the fifth session that it leaves without an answer', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { timeouts: { upstream_reply: 1_000 } });
    for (let times = 0; times < 5; times++) {
      const { client } = await rig.greeted('220 mail.example ESMTP');
      assert.equal(rig.firewall.upstream.states[0]?.up, true);
      client.say('EHLO client.example\r\n');
      await settled();
      await clock.advance(1_000);
      await client.rest();
    }
    assert.equal(rig.firewall.upstream.states[0]?.why, 'it does not answer commands');
  });

  it('so is one that hangs up on the first command, but not one that hangs up on QUIT or on a silent client', async (t) => {
    const rig = await Rig.open(t);
    const whyDown = (): string | undefined => rig.firewall.upstream.states[0]?.why;
    const hangUp = async (command: string): Promise<void> => {
      const { client, upstream } = await rig.greeted('220 mail.example ESMTP');
      client.say(command);
      if (command !== '') await upstream.hears(command);
      upstream.finish();
      await client.rest();
    };
    for (let times = 0; times < 6; times++) await hangUp(times % 2 === 0 ? 'QUIT\r\n' : '');
    for (let times = 0; times < 4; times++) await hangUp('EHLO client.example\r\n');
    assert.equal(whyDown(), undefined);
    await hangUp('EHLO client.example\r\n');
    assert.equal(whyDown(), 'it does not answer commands');
  });
});
