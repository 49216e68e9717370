// What comes while it is not this session's turn waits, and the time that it waits is ours.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FairQueue, type Turns } from '../../src/proxy/fair-queue.ts';
import { holdClock } from './clock.ts';
import { settled } from './peer.ts';
import { PATIENT, Rig } from './rig.ts';

/** From now on nobody's turn comes; the function returned lets all go on. */
function holdTurns(t: TestContext): () => void {
  const waiting: Turns[] = [];
  const isFree = t.mock.getter(FairQueue.prototype, 'isFree', () => false);
  const wait = t.mock.method(FairQueue.prototype, 'wait', (_source: unknown, turns: Turns) => void waiting.push(turns));
  return () => {
    isFree.mock.restore();
    wait.mock.restore();
    for (const turns of waiting) turns.take();
  };
}

describe('while it is not its turn', () => {
  it('a server that has answered is not silent, and its answer is heard', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    client.say('Subject: x\r\n\r\n.\r\n');
    await upstream.hears('.\r\n');
    const goOn = holdTurns(t);
    upstream.say('250 2.0.0 queued\r\n');
    await settled();
    for (let times = 0; times < 5; times++) await clock.advance(PATIENT.upstream_final);
    assert.equal(client.heard, '', 'neither 451 nor anything else');
    assert.equal(client.ending, null);
    goOn();
    await client.hears('250 2.0.0 queued\r\n');
  });

  it('a client that has said its command is not timed out', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.introduced();
    const goOn = holdTurns(t);
    client.say('MAIL FROM:<s@sender.example>\r\n');
    await settled();
    for (let times = 0; times < 5; times++) await clock.advance(PATIENT.command);
    assert.equal(client.heard, '');
    assert.equal(client.ending, null);
    goOn();
    await upstream.hears('MAIL FROM:<s@sender.example>\r\n');
  });

  it('what both sides said keeps its order', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.introduced();
    const goOn = holdTurns(t);
    client.say('NOOP one\r\n');
    await settled();
    client.say('NOOP two\r\n');
    await settled();
    assert.equal(upstream.heard, '');
    goOn();
    await upstream.hears('NOOP one\r\n');
    upstream.say('250 2.0.0 one\r\n');
    await client.hears('250 2.0.0 one\r\n');
    await upstream.hears('NOOP two\r\n');
  });
});
