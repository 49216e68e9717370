import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Decision } from '../../src/smtp/types.ts';
import { holdClock } from './clock.ts';
import { type Peer, pour } from './peer.ts';
import { Rig, type RigOptions } from './rig.ts';
import { awaitingDecision, EVERY_STATE, LOST, lossReply, STATES, type State, sayInto, undecided } from './states.ts';

const MIB = 1024 * 1024;

describe('the upstream is lost', () => {
  const ways: Readonly<Record<string, (peer: Peer) => void>> = {
    closes: (peer) => peer.finish(),
    resets: (peer) => peer.reset(),
  };
  for (const [way, leave] of Object.entries(ways)) {
    for (const state of EVERY_STATE) {
      it(`${way} ${state}: the client hears it, and never a 250`, async (t) => {
        const rig = await Rig.open(t);
        const { client, upstream } = await STATES[state](rig);
        leave(upstream);
        assert.equal(await client.rest(), lossReply(state));
        assert.equal(client.ending, 'end');
        assert.equal((await rig.reason()).origin, 'upstream');
        assert.deepEqual(rig.defects, []);
        await rig.servesOn();
      });
    }

    it(`${way} while a decision is awaited: the client hears it`, async (t) => {
      const rig = await Rig.open(t, { judge: undecided });
      const { client, upstream } = await awaitingDecision(rig);
      leave(upstream);
      assert.equal(await client.rest(), LOST);
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
  for (const state of EVERY_STATE) {
    it(`${state}: the upstream is dropped and hears nothing more`, async (t) => {
      const rig = await Rig.open(t);
      const { client, upstream } = await STATES[state](rig);
      client.reset();
      assert.equal(await upstream.rest(), '');
      assert.equal((await rig.reason()).origin, 'client');
      assert.deepEqual(rig.defects, []);
      await rig.servesOn();
    });
  }

  it('and the upstream that goes on is reset as well, and not only told', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.introduced();
    client.reset();
    await upstream.rest();
    await pour(upstream, Buffer.from('250 2.0.0 is anybody there\r\n'));
    assert.ok(upstream.socket.destroyed);
  });

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
  const quiet: State[] = ['before the greeting', 'between commands', 'in a login', 'in a transaction', 'in mail data'];
  for (const state of quiet) {
    it(`${state}: both connections end, and nothing is made up`, async (t) => {
      const rig = await Rig.open(t);
      const { client, upstream } = await STATES[state](rig);
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
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client } = await rig.inMailData();
    rig.firewall.cutOff();
    assert.match(await client.rest(), /^421 /);
    const poured = pour(client, Buffer.alloc(1024, 'x\r\n'));
    await clock.advance(4_999);
    assert.equal(client.socket.destroyed, false);
    await clock.advance(1);
    await poured;
    assert.ok(client.socket.destroyed);
  });
});
