import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SlotCount } from '../../src/proxy/slot-count.ts';
import { type ReleaseSlot, UpstreamSlots } from '../../src/proxy/upstream-slots.ts';
import { holdClock } from './clock.ts';
import { settled } from './peer.ts';
import { asked, Rig } from './rig.ts';

const BUSY = '421 4.3.2 Too many connections, try again later\r\n';

function now(place: ReturnType<UpstreamSlots['take']>): ReleaseSlot {
  assert.ok(typeof place === 'function', 'a place at once');
  return place;
}

describe('places', () => {
  it('are as many as there are, and one that is given back is free at once', async () => {
    const slots = new UpstreamSlots(2, 0);
    const first = now(slots.take());
    now(slots.take());
    assert.equal(slots.take(), null);
    first();
    now(slots.take());
    assert.equal(slots.take(), null);
  });

  it('go to those who wait, in the order in which they came', async (t) => {
    holdClock(t);
    const slots = new UpstreamSlots(1, 2_000);
    let leave = now(slots.take());
    const got: number[] = [];
    const waiting = [1, 2, 3].map(async (number) => {
      const place = await slots.take();
      got.push(number);
      return place;
    });
    for (const one of waiting) {
      leave();
      leave = (await one) as ReleaseSlot;
    }
    assert.deepEqual(got, [1, 2, 3]);
    leave();
    now(slots.take());
  });

  it('are waited for so long and no longer, each by itself', async (t) => {
    const clock = holdClock(t);
    const slots = new UpstreamSlots(1, 2_000);
    now(slots.take());
    const ends: string[] = [];
    const wait = async (name: string) => ends.push(`${name} ${(await slots.take()) === null ? 'none' : 'one'}`);
    void wait('a');
    await clock.advance(500);
    void wait('b');
    await clock.advance(1_499);
    assert.deepEqual(ends, []);
    await clock.advance(1);
    assert.deepEqual(ends, ['a none']);
    await clock.advance(500);
    assert.deepEqual(ends, ['a none', 'b none']);
  });

  it('are not missed where another thread gives one back before it can know that somebody waits', async () => {
    const slots = new UpstreamSlots(1, 60_000);
    const other = new SlotCount(slots.count.memory);
    assert.ok(other.take());
    slots.count.setWaiting = (count) => {
      if (count === 1) other.leave();
      SlotCount.prototype.setWaiting.call(slots.count, count);
    };
    assert.equal(typeof (await slots.take()), 'function');
    assert.equal(other.someWait, false);
    assert.equal(other.take(), false);
  });

  it('are waited for by a thousand, and the next is told at once', (t) => {
    holdClock(t);
    const slots = new UpstreamSlots(0, 2_000);
    for (let waiting = 0; waiting < 1_000; waiting++) assert.ok(slots.take() instanceof Promise);
    assert.equal(slots.take(), null);
  });
});

describe('a client when the upstream has as many sessions as it takes', () => {
  it('waits, and is served when one of them ends', async (t) => {
    const rig = await Rig.open(t, { maxConnections: 1, maxWait: 60_000 });
    const first = await rig.introduced();
    const client = await rig.client();
    await settled();
    assert.equal(rig.upstreams.count, 1);
    await asked(first, 'QUIT', '221 2.0.0 bye');
    const upstream = await rig.upstreams.next();
    await asked({ client, upstream }, null, '220 mail.example ESMTP');
  });

  it('hears 421 4.3.2 when none ends in time', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t, { maxConnections: 1, maxWait: 2_000 });
    await rig.introduced();
    const client = await rig.client();
    await settled();
    await clock.advance(1_999);
    assert.equal(client.heard, '');
    await clock.advance(1);
    assert.equal(await client.rest(), BUSY);
    assert.equal(client.ending, 'end');
    assert.deepEqual(rig.refusals, ['upstream_connections']);
    assert.equal(rig.upstreams.count, 1);
    assert.equal(rig.released, 1);
  });

  it('who leaves while it waits takes no place, and gives back what it has at connection time', async (t) => {
    const rig = await Rig.open(t, { maxConnections: 1, maxWait: 60_000 });
    const first = await rig.introduced();
    const gone = await rig.client();
    await settled();
    gone.reset();
    const client = await rig.client();
    await settled();
    await asked(first, 'QUIT', '221 2.0.0 bye');
    await asked({ client, upstream: await rig.upstreams.next() }, null, '220 mail.example ESMTP');
    assert.equal(rig.released, 2);
  });
});
