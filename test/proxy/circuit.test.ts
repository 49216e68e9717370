// What follows from a server that fails: who is tried, who waits, who is told at once, and when it gets work again.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Endpoint, formatEndpoint } from '../../src/proxy/address.ts';
import type { CallSettings } from '../../src/proxy/call.ts';
import { type Reached, Upstream } from '../../src/proxy/upstream.ts';
import { UpstreamTls } from '../../src/proxy/upstream-tls.ts';
import { Upstreams } from '../../src/proxy/upstreams.ts';
import { CALLER } from '../helpers/identity.ts';
import { openBlackHole } from './black-hole.ts';
import { type Clock, holdClock } from './clock.ts';
import { type Peer, settled, UpstreamPeers } from './peer.ts';
import { Rig } from './rig.ts';
import { toldServer } from './told-server.ts';

const LONG = 600_000;
const UNAVAILABLE = '421 4.3.2 Service not available, try again later\r\n';

const SILENT = 'silent';

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
    else if (one.mood !== SILENT) socket.write(one.mood);
  });
  return one;
}

class Watch {
  readonly told: string[] = [];
  readonly upstream: Upstream;
  readonly #t: TestContext;

  constructor(
    t: TestContext,
    servers: readonly Endpoint[],
    settings: Partial<CallSettings> = {},
    servedElsewhere: ((server: string) => Promise<boolean>) | null = null,
  ) {
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
        shortOf: () => {},
        upstreamSilent: (server) => void this.told.push(`${name(server)} silent`),
        upstreamFull: (server, sessions) => void this.told.push(`${name(server)} full with ${sessions}`),
      },
      servedElsewhere,
    );
    t.after(() => this.upstream.close());
  }

  dial(): Promise<Reached | null> {
    return new Promise((resolve) => {
      const giveUp = this.upstream.dial(CALLER, (reached) => {
        this.#t.after(() => reached?.stream?.destroy());
        resolve(reached);
      });
      this.#t.after(giveUp);
    });
  }

  /** Which of these servers a session gets. */
  async gets(...servers: readonly Moody[]): Promise<string> {
    const port = (await this.dial())?.stream?.remotePort;
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
      key: 'upstream.tls',
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
      assert.equal(rig.firewall.upstreams.states[0]?.up, true);
      client.say('EHLO client.example\r\n');
      await settled();
      await clock.advance(1_000);
      await client.rest();
    }
    assert.equal(rig.firewall.upstreams.states[0]?.why, 'it does not answer commands');
  });

  it('so is one that hangs up on the first command, but not one that hangs up on QUIT or on a silent client', async (t) => {
    const rig = await Rig.open(t);
    const whyDown = (): string | undefined => rig.firewall.upstreams.states[0]?.why;
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

/** The next connection to it, when both sides know of it. */
async function accepted({ peers }: Moody): Promise<Peer> {
  const peer = await peers.next();
  await settled();
  return peer;
}

describe('a server that accepts and never greets', () => {
  const IN_TIME = 'it accepted the connection and did not greet within 10 s';

  it('is followed by the next one after 10 s, is said to be silent, and is down for who comes then', async (t) => {
    const clock = holdClock(t);
    const [a, b] = [await moody(t, SILENT), await moody(t)];
    const watch = new Watch(t, [a.at, b.at]);
    const reached = watch.gets(a, b);
    await accepted(a);
    await pass(clock, 9);
    assert.deepEqual([watch.told, b.peers.count], [[], 0]);
    await pass(clock, 1);
    assert.equal(await reached, 'B');
    assert.deepEqual(watch.told, ['A silent', `A down: ${IN_TIME}, again in 1 s`, 'B up']);
    assert.equal(await watch.gets(a, b), 'B');
    assert.equal(a.peers.count, 1);
  });

  it('has the session all the same when it greets before the next one does', async (t) => {
    const clock = holdClock(t);
    const [a, b] = [await moody(t, SILENT), await moody(t, SILENT)];
    const watch = new Watch(t, [a.at, b.at]);
    const reached = watch.gets(a, b);
    const first = await accepted(a);
    await pass(clock, 10);
    const second = await b.peers.next();
    first.say('220 at last\r\n');
    assert.equal(await reached, 'A');
    assert.equal(await second.rest(), '', 'and the other is let go');
    assert.deepEqual(watch.told.slice(0, 1), ['A silent']);
    assert.ok(watch.upstream.states[0]?.up);
  });

  it('is waited for when the next ones fail', async (t) => {
    const clock = holdClock(t);
    const [a, b] = [await moody(t, SILENT), await moody(t, null)];
    const watch = new Watch(t, [a.at, b.at], { greetWithin: 300_000 });
    const reached = watch.gets(a, b);
    const first = await accepted(a);
    await pass(clock, 200);
    first.say('220 at last\r\n');
    assert.equal(await reached, 'A');
    assert.ok(watch.upstream.states[0]?.up);
  });

  it('has the time of upstream_greeting where it is the only one, and is said to be silent once', async (t) => {
    const clock = holdClock(t);
    const a = await moody(t, SILENT);
    const watch = new Watch(t, [a.at], { greetWithin: 300_000 });
    const reached = watch.dial();
    await accepted(a);
    await pass(clock, 299);
    assert.deepEqual(watch.told, ['A silent']);
    await pass(clock, 1);
    assert.equal(await reached, null);
    assert.deepEqual(watch.told.slice(1), ['A down: it did not greet in time, again in 1 s']);
  });

  it('and a client that leaves meanwhile, leave no connection behind', async (t) => {
    const clock = holdClock(t);
    const [a, b] = [await moody(t, SILENT), await moody(t, SILENT)];
    const watch = new Watch(t, [a.at, b.at]);
    const giveUp = watch.upstream.dial(CALLER, () => assert.fail('called back behind the end'));
    const first = await accepted(a);
    await pass(clock, 10);
    const second = await b.peers.next();
    giveUp();
    for (const peer of [first, second]) assert.equal(await peer.rest(), '');
  });

  it('is as silent when it does not answer our EHLO', async (t) => {
    const clock = holdClock(t);
    const [a, b] = [await moody(t), await moody(t)];
    const watch = new Watch(t, [a.at, b.at], { identity: 'xclient' });
    const reached = watch.dial();
    await (await a.peers.next()).hears('EHLO ');
    await pass(clock, 10);
    const second = await b.peers.next();
    second.say('250 b.example\r\n');
    assert.equal((await reached)?.stream?.remotePort, b.at.port);
    assert.equal(watch.told[0], 'A silent');
  });

  it('keeps /readyz waiting only for a moment while another greets', async (t) => {
    const [a, b] = [await moody(t, SILENT), await moody(t)];
    const watch = new Watch(t, [a.at, b.at]);
    assert.equal(await watch.upstream.greets(), true);
    watch.upstream.close();
  });
});

describe('a server that declines a session while it serves others', () => {
  for (const [how, decline] of [
    ['closes without a greeting', (peer: Peer) => peer.finish()],
    ['resets', (peer: Peer) => peer.reset()],
    ['greets with 421', (peer: Peer) => peer.say('421 4.7.0 too many connections\r\n')],
    ['greets with 421 4.3.2', (peer: Peer) => peer.say('421 4.3.2 the maximum is reached\r\n')],
  ] as const) {
    it(`is full when it ${how}: it stays up, and the next client is brought to it`, async (t) => {
      const a = await moody(t);
      const watch = new Watch(t, [a.at]);
      const served = [await watch.dial(), await watch.dial()];
      a.mood = SILENT;
      const declined = watch.dial();
      for (let i = 0; i < 2; i++) await a.peers.next();
      decline(await a.peers.next());
      assert.equal((await declined)?.stream ?? null, null);
      assert.deepEqual(watch.told, ['A up', 'A full with 2']);
      assert.deepEqual(watch.upstream.states, [{ server: formatEndpoint(a.at), up: true }]);
      a.mood = '220 room again\r\n';
      assert.equal(await watch.gets(a), 'A');
      for (const reached of served) reached?.ended('served');
    });

    it(`is down when it ${how} and has nobody`, async (t) => {
      const a = await moody(t);
      const watch = new Watch(t, [a.at]);
      (await watch.dial())?.ended('served');
      a.mood = SILENT;
      const declined = watch.dial();
      await a.peers.next();
      decline(await a.peers.next());
      assert.equal((await declined)?.stream ?? null, null);
      assert.equal(watch.upstream.states[0]?.up, false);
    });
  }

  it('is full when it closes in the middle of what we say first', async (t) => {
    const a = await moody(t);
    const watch = new Watch(t, [a.at], { identity: 'xclient' });
    const serving = watch.dial();
    const first = await a.peers.next();
    await first.hears('EHLO ');
    first.say('250 a.example\r\n');
    await serving;
    for (const ends of [(peer: Peer) => peer.finish(), (peer: Peer) => peer.say('421 4.3.2 full\r\n')]) {
      const declined = watch.dial();
      const peer = await a.peers.next();
      await peer.hears('EHLO ');
      ends(peer);
      assert.equal(await declined, null);
      assert.equal(watch.told.at(-1), 'A full with 1');
    }
  });

  it('is full when it hangs up in TLS', async (t) => {
    const a = await moody(t, null);
    const tls = new UpstreamTls({
      mode: 'implicit',
      verify: false,
      minVersion: 'TLSv1.2',
      ca: null,
      pins: [],
      name: null,
      key: 'upstream.tls',
    });
    const watch = new Watch(t, [a.at], { tls }, async () => true);
    assert.equal(await watch.dial(), null);
    assert.deepEqual(watch.told, ['A full with 0']);
  });

  it('lets the client go to the next one', async (t) => {
    const [a, b] = [await moody(t), await moody(t)];
    const watch = new Watch(t, [a.at, b.at]);
    await watch.dial();
    a.mood = null;
    assert.equal(await watch.gets(a, b), 'B');
    assert.deepEqual(watch.told, ['A up', 'A full with 1', 'B up']);
  });

  it('is full where it serves the sessions of other threads', async (t) => {
    const a = await moody(t, null);
    for (const elsewhere of [true, false]) {
      const watch = new Watch(t, [a.at], {}, async () => elsewhere);
      assert.equal(await watch.dial(), null);
      assert.equal(watch.upstream.states[0]?.up, elsewhere);
    }
  });

  it('answers /readyz', async (t) => {
    const a = await moody(t);
    const watch = new Watch(t, [a.at]);
    await watch.dial();
    a.mood = null;
    assert.equal(await watch.upstream.greets(), true);
    assert.deepEqual(watch.told, ['A up', 'A full with 1']);
  });
});

describe('a reload', () => {
  const settings: CallSettings = { connectWithin: LONG, greetWithin: LONG, tls: null, identity: 'none', ourName: null };

  it('keeps what is known of a server that stays, drained or up, and forgets one that goes', async (t) => {
    const [a, b, c] = [await moody(t), await moody(t), await moody(t)];
    const watch = new Watch(t, [a.at, b.at]);
    assert.equal(await watch.gets(a, b), 'A');
    watch.upstream.drainServer(formatEndpoint(a.at), true);
    watch.upstream.change([a.at, c.at], settings);
    const [first, second] = watch.upstream.reports;
    assert.deepEqual([first?.server, first?.draining, first?.sessions], [formatEndpoint(a.at), true, 1]);
    assert.deepEqual([second?.server, second?.forMs], [formatEndpoint(c.at), null]);
    assert.equal(await watch.gets(a, b, c), 'C');
  });

  it('asks a server that is down at once, and tells of one that went no more', async (t) => {
    holdClock(t);
    const [a, b] = [await moody(t, null), await moody(t, null)];
    const watch = new Watch(t, [a.at, b.at]);
    assert.equal(await watch.dial(), null);
    a.mood = '220 moody.example\r\n';
    b.mood = '220 moody.example\r\n';
    watch.upstream.change([a.at], settings);
    for (let turns = 0; turns < 50 && !watch.told.includes('A up'); turns++) await settled();
    assert.deepEqual(watch.told.slice(2), ['A up']);
    assert.equal(b.peers.count, 1);
  });

  it('gives a session that is being dialled a server that is still there', async (t) => {
    const [a, b] = [await moody(t, SILENT), await moody(t)];
    const watch = new Watch(t, [a.at]);
    const dialling = watch.dial();
    await settled();
    watch.upstream.change([b.at], settings);
    (await a.peers.next()).socket.destroy();
    assert.equal((await dialling)?.server, formatEndpoint(b.at));
  });
});

describe('a server of two upstreams', () => {
  it('is told to be up only where both find it so, and is drained for both', async (t) => {
    const [a, b] = [await moody(t), await moody(t)];
    const told: string[] = [];
    const nothing = (): void => {};
    const observer = {
      upstreamUp: (server: string, up: boolean) =>
        void told.push(`${server === formatEndpoint(a.at) ? 'A' : 'B'} ${up}`),
      ...{ upstreamConnected: nothing, upstreamInClear: nothing, upstreamUnidentified: nothing },
      ...{ shortOf: nothing, upstreamSilent: nothing, upstreamFull: nothing },
    };
    const common = { connectWithin: LONG, greetWithin: LONG, ourName: null };
    const given = (name: string, ...servers: Endpoint[]) => ({ name, servers, tls: null, identity: 'none' as const });
    const upstreams = new Upstreams([given('default', a.at, b.at), given('relay', a.at)], common, observer);
    t.after(() => upstreams.close());
    const dial = (name: string): Promise<Reached | null> =>
      new Promise((resolve) => {
        const giveUp = upstreams.of(name)?.dial(CALLER, (reached) => {
          t.after(() => reached?.stream?.destroy());
          resolve(reached);
        });
        t.after(() => giveUp?.());
      });
    a.mood = null;
    assert.equal(await dial('relay'), null);
    a.mood = '220 moody.example\r\n';
    assert.equal((await dial('default'))?.server, formatEndpoint(a.at));
    assert.deepEqual(told, ['A false']);
    const [first] = upstreams.states;
    assert.deepEqual([first?.up, first?.upstreams], [false, ['default', 'relay']]);

    assert.equal((await dial('relay'))?.server, formatEndpoint(a.at));
    assert.deepEqual(told, ['A false', 'A true']);
    assert.equal(upstreams.reports[0]?.sessions, 2);
    assert.equal(upstreams.drainServer(formatEndpoint(a.at), true), true);
    assert.equal((await dial('default'))?.server, formatEndpoint(b.at));
    assert.equal(await dial('relay'), null);
    upstreams.change([given('default', b.at), given('relay', a.at), given('third', a.at)]);
    assert.equal(await dial('third'), null, 'it is drained for one that is new as well');
    assert.equal(upstreams.of('fourth'), null);
  });
});
