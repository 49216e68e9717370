import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Decision } from '../../src/smtp/types.ts';
import type { Peer } from './peer.ts';
import { asked, type Pair, Rig, type RigOptions } from './rig.ts';

const MIB = 1024 * 1024;
const SHORT = 100; // ms
const LOSS = '421 4.4.2 Connection to the mail server lost, try again later\r\n';
const NEVER: Promise<Decision> = new Promise(() => {});

/** The states of a session, and how it comes there. */
const STATES: Readonly<Record<string, (rig: Rig) => Promise<Pair>>> = {
  'before the greeting': (rig) => rig.dialled(),
  'between commands': (rig) => rig.introduced(),
  'while a reply is awaited': (rig) => sayInto(rig.introduced(), 'NOOP\r\n'),
  'while a go-ahead is awaited': (rig) => sayInto(rig.addressed(), 'DATA\r\n'),
  'in mail data': (rig) => sayInto(rig.inMailData(), 'Subject: a half\r\n'),
  'while a confirmation is awaited': (rig) => sayInto(rig.inMailData(), 'whole\r\n.\r\n'),
  'in a login': async (rig) => {
    const pair = await rig.introduced();
    await asked(pair, 'AUTH LOGIN', '334 VXNlcm5hbWU6');
    return pair;
  },
  'in a transaction': (rig) => rig.addressed(),
};

/** What the client hears when the upstream is lost, in those states where it is not LOSS. */
const OTHER_LOSS: Readonly<Record<string, string>> = {
  'before the greeting': '421 4.3.2 Service not available, try again later\r\n',
  'while a confirmation is awaited': '451 4.4.2 Connection to the mail server lost before it confirmed the message\r\n',
};

async function sayInto(opening: Promise<Pair>, text: string): Promise<Pair> {
  const pair = await opening;
  pair.client.say(text);
  await pair.upstream.hears(text);
  return pair;
}

/** A judge that leaves RCPT undecided, and how the session comes to wait for it. */
async function undecided(t: TestContext, options: RigOptions = {}): Promise<{ rig: Rig; pair: Pair }> {
  const proceed: Decision = { action: 'proceed', reason: 'accepted_domain', rule: null, observed: false };
  const judge: RigOptions['judge'] = ({ protocolState }) => (protocolState === 'MAIL' ? proceed : NEVER);
  const rig = await Rig.open(t, { ...options, judge });
  const pair = await rig.introduced();
  await asked(pair, 'MAIL FROM:<s@sender.example>', '250 2.1.0 ok');
  pair.client.say('RCPT TO:<user@local.example>\r\n');
  return { rig, pair };
}

describe('the upstream is lost', () => {
  const ways: Readonly<Record<string, (peer: Peer) => void>> = {
    closes: (peer) => peer.finish(),
    resets: (peer) => peer.reset(),
  };
  for (const [way, leave] of Object.entries(ways)) {
    for (const [state, reach] of Object.entries(STATES)) {
      it(`${way} ${state}: the client hears it, and never a 250`, async (t) => {
        const rig = await Rig.open(t);
        const { client, upstream } = await reach(rig);
        leave(upstream);
        assert.equal(await client.rest(), OTHER_LOSS[state] ?? LOSS);
        assert.equal(client.ending, 'end');
        assert.equal((await rig.reason()).origin, 'upstream');
        assert.deepEqual(rig.defects, []);
        await rig.servesOn();
      });
    }

    it(`${way} while a decision is awaited: the client hears it`, async (t) => {
      const { rig, pair } = await undecided(t);
      leave(pair.upstream);
      assert.equal(await pair.client.rest(), LOSS);
      assert.equal((await rig.reason()).origin, 'upstream');
    });

    it(`${way} behind QUIT: the client hears nothing of ours`, async (t) => {
      const rig = await Rig.open(t);
      const { client, upstream } = await sayInto(rig.introduced(), 'QUIT\r\n');
      leave(upstream);
      assert.equal(await client.rest(), '');
      assert.deepEqual(await rig.reason(), { origin: 'client', what: 'quit' });
    });
  }
});

describe('the client resets the connection', () => {
  for (const [state, reach] of Object.entries(STATES)) {
    it(`${state}: the upstream is dropped and hears nothing more`, async (t) => {
      const rig = await Rig.open(t);
      const { client, upstream } = await reach(rig);
      client.reset();
      assert.equal(await upstream.rest(), '');
      assert.equal((await rig.reason()).origin, 'client');
      assert.deepEqual(rig.defects, []);
      await rig.servesOn();
    });
  }

  it('while it is held: the upstream is dropped at the next reply', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await sayInto(rig.addressed(), 'DATA\r\n');
    client.say('a line that has to wait\r\n');
    await turn();
    client.reset();
    upstream.say('354 go ahead\r\n');
    await upstream.rest();
    assert.equal((await rig.reason()).origin, 'client');
    assert.deepEqual(rig.defects, []);
  });
});

describe('the client sends FIN', () => {
  for (const state of ['before the greeting', 'between commands', 'in mail data', 'in a login', 'in a transaction']) {
    it(`${state}: both connections end, and nothing is made up`, async (t) => {
      const rig = await Rig.open(t);
      const { client, upstream } = await (STATES[state] as (rig: Rig) => Promise<Pair>)(rig);
      client.finish();
      assert.equal(await client.rest(), '');
      assert.equal(await upstream.rest(), '');
      assert.equal((await rig.reason()).origin, 'client');
      await rig.servesOn();
    });
  }

  it('while a reply is awaited: it still gets it', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await sayInto(rig.introduced(), 'NOOP\r\n');
    client.finish();
    upstream.say('250 2.0.0 slow but here\r\n');
    assert.equal(await client.rest(), '250 2.0.0 slow but here\r\n');
    await upstream.rest();
    await rig.servesOn();
  });

  it('behind the end of mail data: it still gets the confirmation', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await sayInto(rig.inMailData(), 'whole\r\n.\r\n');
    client.finish();
    upstream.say('250 2.0.0 queued\r\n');
    assert.equal(await client.rest(), '250 2.0.0 queued\r\n');
    await rig.servesOn();
  });

  it('behind a whole pipeline: every command is still answered, QUIT too', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.introduced();
    client.say('MAIL FROM:<s@sender.example>\r\nRCPT TO:<user@local.example>\r\nDATA\r\nall of it\r\n.\r\nQUIT\r\n');
    client.finish();
    await upstream.hears('RCPT TO:<user@local.example>\r\n');
    upstream.say('250 2.1.0 ok\r\n250 2.1.5 ok\r\n');
    await upstream.hears('DATA\r\n');
    upstream.say('354 go ahead\r\n');
    await upstream.hears('all of it\r\n.\r\n');
    upstream.say('250 2.0.0 queued\r\n');
    await upstream.hears('QUIT\r\n');
    upstream.say('221 2.0.0 bye\r\n');
    assert.equal(
      await client.rest(),
      '250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go ahead\r\n250 2.0.0 queued\r\n221 2.0.0 bye\r\n',
    );
  });

  it('while a go-ahead is awaited: 354 finds nobody who would speak, and both connections end', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await sayInto(rig.addressed(), 'DATA\r\n');
    client.finish();
    upstream.say('354 go ahead\r\n');
    assert.equal(await client.rest(), '354 go ahead\r\n');
    assert.equal(await upstream.rest(), '');
  });
});

/** Says it again and again, as fast as it is taken, until the other side is gone. */
async function pour({ socket }: Peer, chunk: Buffer): Promise<void> {
  while (!socket.destroyed && !socket.errored) {
    if (socket.write(chunk)) await turn();
    else await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
  }
}

describe('a side that does not read', () => {
  it('the upstream, in mail data: the client is stopped, and hears 4yz when data_idle is over', async (t) => {
    const rig = await Rig.open(t, { timeouts: { data_idle: 300 } });
    const { client, upstream } = await rig.inMailData();
    upstream.socket.pause();
    const poured = pour(client, Buffer.alloc(64 * 1024, `${'x'.repeat(62)}\r\n`));
    assert.equal(await client.hears('\r\n'), LOSS);
    client.socket.destroy();
    await poured;
    assert.equal((await rig.reason()).origin, 'upstream');
    const taken = rig.sessions[0]?.octetsFromClient ?? 0;
    assert.ok(taken < 24 * MIB, `${taken} octets were taken: more than the buffers of two sockets`);
    upstream.socket.destroy();
    await rig.servesOn();
  });

  it('the upstream, for a while: every octet arrives when it reads on', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    upstream.socket.pause();
    const mail = Buffer.from(`${'0123456789'.repeat(6)}\r\n`.repeat((16 * MIB) / 62));
    let stopped = false;
    if (!client.socket.write(mail)) {
      // Nothing moves any more when the octets taken stay the same.
      for (let before = -1; before !== rig.sessions[0]?.octetsFromClient; await sleep(20)) {
        before = rig.sessions[0]?.octetsFromClient ?? 0;
      }
      stopped = (rig.sessions[0]?.octetsFromClient ?? 0) < mail.length;
    }
    assert.ok(stopped);
    let heard = 0;
    upstream.socket.removeAllListeners('data');
    upstream.socket.on('data', (chunk: Buffer) => {
      heard += chunk.length;
      if (heard === mail.length + 3) upstream.say('250 2.0.0 queued\r\n');
    });
    upstream.socket.resume();
    client.say('.\r\n');
    await client.hears('250 2.0.0 queued\r\n');
    assert.equal(heard, mail.length + 3);
  });

  it('the client: the upstream is stopped, and the session ends with its time', async (t) => {
    const rig = await Rig.open(t, {
      timeouts: { upstream_reply: 300 },
      profile: {
        limits: {
          errors: 20,
          junkCommands: 1e6,
          recipientsPerMessage: 1,
          messages: 1,
          authFailures: 1,
          commandLine: 512,
        },
      },
    });
    const { client, upstream } = await rig.introduced();
    client.socket.pause();
    client.say('HELP\r\n'.repeat(2000));
    const help = `${`214-${'x'.repeat(1000)}\r\n`.repeat(60)}214 that was all\r\n`;
    upstream.socket.on('data', (chunk: Buffer) => {
      for (let line = 0; line < chunk.length / 6; line++) upstream.say(help);
    });
    await upstream.rest();
    const taken = rig.sessions[0]?.octetsFromUpstream ?? 0;
    assert.ok(taken > MIB, 'there was something to read');
    assert.ok(taken < 24 * MIB, `${taken} octets were taken: more than the buffers of two sockets`);
    assert.equal((await rig.reason()).origin, 'client');
    client.socket.destroy();
    await rig.servesOn();
  });

  it('the client, for a while: every reply arrives, in order', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.introduced();
    client.socket.pause();
    client.say('HELP\r\n'.repeat(90));
    let answered = 0;
    upstream.socket.on('data', () => {
      answered++;
      upstream.say(`${`214-${'x'.repeat(1000)}\r\n`.repeat(60)}214 ${answered}\r\n`);
    });
    await sleep(20);
    client.socket.resume();
    await client.hears('214 90\r\n');
    assert.equal(answered, 90);
  });
});

describe('a judge that fails', () => {
  const failures: Readonly<Record<string, NonNullable<RigOptions['judge']>>> = {
    throws: () => {
      throw new Error('the judge is ill');
    },
    rejects: () => Promise.reject(new Error('the judge is ill')),
  };
  for (const [how, judge] of Object.entries(failures)) {
    it(`${how}: 421 for this client, nothing for the upstream, and the process lives on`, async (t) => {
      const rig = await Rig.open(t, { judge });
      const { client, upstream } = await rig.introduced();
      client.say('MAIL FROM:<s@sender.example>\r\nRCPT TO:<user@foreign.example>\r\n');
      assert.equal(await client.rest(), '421 4.3.0 Internal error, closing transmission channel\r\n');
      assert.equal(client.ending, 'end');
      assert.equal(await upstream.rest(), '');
      assert.equal((await rig.reason()).origin, 'defect');
      assert.deepEqual(
        rig.defects.map((error) => (error as Error).message),
        ['the judge is ill'],
      );
      await rig.introduced();
    });
  }

  it('does not answer: 421 when the time for a reply is over', async (t) => {
    const { pair } = await undecided(t, { timeouts: { upstream_reply: SHORT } });
    assert.equal(await pair.client.rest(), LOSS);
  });

  it('answers when the client has left: nobody is harmed', async (t) => {
    let answer: (decision: Decision) => void = () => {};
    const decision = new Promise<Decision>((resolve) => {
      answer = resolve;
    });
    const rig = await Rig.open(t, { judge: () => decision });
    const { client, upstream } = await rig.introduced();
    client.say('MAIL FROM:<s@sender.example>\r\n');
    client.reset();
    await upstream.rest();
    answer({ action: 'proceed', reason: 'accepted_domain', rule: null, observed: false });
    await turn();
    assert.deepEqual(rig.defects, []);
    assert.equal(rig.firewall.sessions, 0);
  });
});

describe('time', () => {
  const TIMEOUT = '421 4.4.2 Timeout, closing transmission channel\r\n';
  const silences: readonly (readonly [string, RigOptions['timeouts'], string])[] = [
    ['between commands', { client_idle: SHORT }, TIMEOUT],
    ['in a transaction', { client_idle: SHORT }, TIMEOUT],
    ['between commands', { command: SHORT }, TIMEOUT],
    ['in a login', { client_idle: SHORT }, TIMEOUT],
    ['in mail data', { data_idle: SHORT }, TIMEOUT],
    ['while a reply is awaited', { upstream_reply: SHORT }, LOSS],
    ['while a go-ahead is awaited', { upstream_data: SHORT }, LOSS],
    ['while a confirmation is awaited', { upstream_final: SHORT }, OTHER_LOSS['while a confirmation is awaited'] ?? ''],
    ['before the greeting', { upstream_greeting: SHORT }, OTHER_LOSS['before the greeting'] ?? ''],
  ];
  for (const [state, timeouts = {}, reply] of silences) {
    it(`is over by ${Object.keys(timeouts)} ${state}`, async (t) => {
      const rig = await Rig.open(t, { timeouts });
      const { client, upstream } = await (STATES[state] as (rig: Rig) => Promise<Pair>)(rig);
      assert.equal(await client.rest(), reply);
      assert.equal(await upstream.rest(), '');
      const { origin, what } = await rig.reason();
      assert.equal(origin, reply === TIMEOUT ? 'client' : 'upstream');
      assert.match(what, /^timeout while awaiting /);
      await rig.servesOn();
    });
  }

  /** Says a piece every few milliseconds; false when the other side was still there behind the last. */
  async function chatter(client: Peer, piece: string, times: number): Promise<boolean> {
    for (let said = 0; said < times; said++) {
      if (client.ending !== null) return true;
      client.say(piece);
      await sleep(5);
    }
    return false;
  }

  it('for one command is not prolonged by an octet now and then', async (t) => {
    const rig = await Rig.open(t, { timeouts: { command: SHORT } });
    const { client } = await rig.introduced();
    assert.ok(await chatter(client, 'N', 1000));
    assert.equal(client.heard, TIMEOUT);
  });

  it('for one reply is not prolonged by commands behind it', async (t) => {
    const rig = await Rig.open(t, { timeouts: { upstream_reply: SHORT } });
    const { client } = await rig.introduced();
    assert.ok(await chatter(client, 'MAIL FROM:<s@sender.example>\r\nRCPT TO:<user@local.example>\r\nRSET\r\n', 300));
    assert.equal(client.heard, LOSS);
  });

  it('for mail data has no end while it flows', async (t) => {
    const rig = await Rig.open(t, { timeouts: { data_idle: 4 * SHORT } });
    const { client, upstream } = await rig.inMailData();
    assert.equal(await chatter(client, 'a line\r\n', 100), false);
    client.say('.\r\n');
    await upstream.hears('.\r\n');
    upstream.say('250 2.0.0 queued\r\n');
    await client.hears('250 2.0.0 queued\r\n');
  });

  it('of a client that says too little is over, however often it says something', async (t) => {
    const rig = await Rig.open(t, { timeouts: { min_data_rate: 100_000 } });
    const { client } = await rig.inMailData();
    assert.ok(await chatter(client, 'a', 2000));
    assert.equal(client.heard, TIMEOUT);
  });
});

describe('the last reply', () => {
  it('reaches a client that is still sending', async (t) => {
    const rig = await Rig.open(t);
    const { client } = await rig.inMailData();
    client.socket.write(Buffer.alloc(8 * MIB, `${'x'.repeat(62)}\r\n`));
    rig.firewall.cutOff();
    const rest = await client.rest();
    assert.equal(rest, '421 4.3.2 Service shutting down, closing transmission channel\r\n');
    assert.equal(client.ending, 'end');
  });

  it('waits five seconds for a client that goes on sending, then resets it', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const rig = await Rig.open(t);
    const { client } = await rig.inMailData();
    rig.firewall.cutOff();
    assert.match(await client.rest(), /^421 /);
    const poured = pour(client, Buffer.alloc(1024, 'x\r\n'));
    t.mock.timers.tick(4_999);
    await turn();
    assert.equal(client.socket.destroyed, false);
    t.mock.timers.tick(1);
    await poured;
    assert.ok(client.socket.destroyed);
  });
});
