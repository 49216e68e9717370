import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Timeouts } from '../../src/proxy/phase-timers.ts';
import { type Clock, holdClock } from './clock.ts';
import { type Peer, settled } from './peer.ts';
import { PATIENT, Rig } from './rig.ts';
import { awaitingDecision, LOST, lossReply, STATES, type State, TIMEOUT, undecided } from './states.ts';

const LONG = 3_600_000; // ms

/** A client that says a few words at every step: how long it is borne, at most about LONG. */
async function bears(clock: Clock, client: Peer, step: number, words: string): Promise<number> {
  let borne = 0;
  while (client.ending === null && borne < LONG) {
    client.say(words);
    await settled();
    await clock.advance(step);
    borne += step;
  }
  return borne;
}

describe('the time that a session may take', () => {
  const silences: readonly (readonly [State, keyof Timeouts, string])[] = [
    ['between commands', 'client_idle', TIMEOUT],
    ['in a transaction', 'client_idle', TIMEOUT],
    ['in a login', 'client_idle', TIMEOUT],
    ['in mail data', 'data_idle', TIMEOUT],
    ['before the greeting', 'upstream_greeting', lossReply('before the greeting')],
    ['while a reply is awaited', 'upstream_reply', LOST],
    ['while a go-ahead is awaited', 'upstream_data', LOST],
    ['while a confirmation is awaited', 'upstream_final', lossReply('while a confirmation is awaited')],
  ];
  for (const [state, limit, reply] of silences) {
    it(`is limited ${state} by ${limit}`, async (t) => {
      const clock = holdClock(t);
      const rig = await Rig.open(t, { timeouts: { [limit]: 20_000 } });
      const { client, upstream } = await STATES[state](rig);
      await clock.advance(19_999);
      assert.equal(client.ending, null);
      await clock.advance(1);
      assert.equal(await client.rest(), reply);
      assert.equal(client.ending, 'end');
      assert.equal(await upstream.rest(), '');
      const { origin, what } = await rig.reason();
      assert.equal(origin, reply === TIMEOUT ? 'client' : 'upstream');
      assert.match(what, /^timeout while awaiting |^upstream cannot be reached, or closed before its greeting$/);
    });
  }

  it('is limited for a decision by upstream_reply', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { judge: undecided, timeouts: { upstream_reply: 20_000 } });
    const { client } = await awaitingDecision(rig);
    await clock.advance(20_000);
    assert.equal(await client.rest(), LOST);
  });

  it('begins anew with every command', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { timeouts: { client_idle: 20_000, command: 20_000 } });
    const { client, upstream } = await rig.introduced();
    for (let times = 0; times < 5; times++) {
      await clock.advance(19_999);
      client.say('NOOP\r\n');
      await upstream.hears('NOOP\r\n');
      upstream.say('250 2.0.0 ok\r\n');
      await client.hears('250 2.0.0 ok\r\n');
    }
  });

  it('begins anew with a command that we answer ourselves', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { timeouts: { client_idle: 20_000, command: 20_000 } });
    const { client } = await rig.introduced();
    for (let times = 0; times < 5; times++) {
      await clock.advance(19_999);
      client.say('NONSENSE\r\n');
      assert.match(await client.hears('\r\n'), /^500 /);
    }
  });

  it('begins anew with every reply that others still follow', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { timeouts: { upstream_reply: 20_000 } });
    const { client, upstream } = await rig.addressed();
    client.say('RCPT TO:<user@local.example>\r\n'.repeat(5));
    await settled();
    for (let times = 0; times < 5; times++) {
      await clock.advance(19_999);
      upstream.say('250 2.1.5 ok\r\n');
      assert.equal(await client.hears('\r\n'), '250 2.1.5 ok\r\n');
    }
  });

  it('for a command begins with its first octet, and silence before it does not count', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { timeouts: { client_idle: 100_000, command: 20_000 } });
    const { client } = await rig.introduced();
    await clock.advance(99_999);
    client.say('N');
    await settled();
    await clock.advance(19_999);
    assert.equal(client.ending, null);
    await clock.advance(1);
    assert.equal(await client.rest(), TIMEOUT);
  });

  it('for one command is not prolonged by an octet now and then', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client } = await rig.introduced();
    assert.equal(await bears(clock, client, 1_000, 'N'), PATIENT.command);
    assert.equal(client.heard, TIMEOUT);
  });

  it('for one reply is not prolonged by the commands behind it', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client } = await rig.introduced();
    const words = 'MAIL FROM:<s@sender.example>\r\nRCPT TO:<user@local.example>\r\nRSET\r\n';
    assert.equal(await bears(clock, client, 1_000, words), PATIENT.upstream_reply);
    assert.equal(client.heard, LOST);
  });

  it('for mail data has no end while it flows', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    assert.ok((await bears(clock, client, PATIENT.data_idle - 1, 'a line\r\n')) >= LONG);
    client.say('.\r\n');
    await upstream.hears('\r\n.\r\n');
    upstream.say('250 2.0.0 queued\r\n');
    await client.hears('250 2.0.0 queued\r\n');
  });

  it('for mail data is over when it flows too slowly', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { timeouts: { min_data_rate: 100 } });
    const { client } = await rig.inMailData();
    client.say('x'.repeat(300)); // one window that keeps the rate
    await clock.advance(1_500);
    await clock.advance(1_500);
    assert.equal(await bears(clock, client, 100, 'x'.repeat(9)), 3_000);
    assert.equal(client.heard, TIMEOUT);
  });
});
