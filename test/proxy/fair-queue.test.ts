import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FairQueue, type Turns } from '../../src/proxy/fair-queue.ts';

/** Sessions that write down when it was their turn, and how much was done in it. */
class Served {
  readonly queue = new FairQueue();
  readonly order: string[] = [];

  session(name: string, address: string, ms: number, times = 1): Turns {
    let left = times;
    const { order } = this;
    const turns = this.queue.turnsOf(address, {
      takeTurn() {
        order.push(name);
        turns.spent(ms);
        if (--left > 0) turns.wait();
      },
    });
    return turns;
  }

  /** When nobody waits any more. */
  async all(count: number): Promise<string[]> {
    while (this.order.length < count) await new Promise(setImmediate);
    return this.order;
  }
}

describe('whose turn it is', () => {
  it('is anybody’s at once while there is time', () => {
    const served = new Served();
    const turns = served.session('a', '192.0.2.1', 1);
    assert.equal(turns.isFree, true);
    turns.spent(0.1);
    assert.equal(turns.isFree, true);
    turns.spent(100);
    assert.equal(turns.isFree, false, 'it has taken what there was');
  });

  it('comes to who was done little for before those who waited longer and had much', async () => {
    const served = new Served();
    const heavy = Array.from({ length: 5 }, (_, i) => served.session(`heavy ${i}`, '192.0.2.1', 10, 3));
    for (const turns of heavy) turns.wait();
    const light = served.session('light', '192.0.2.2', 0.01);
    await served.all(2);
    light.wait();
    const order = await served.all(16);
    assert.equal(order.indexOf('light'), 2);
    assert.deepEqual(order.slice(0, 2), ['heavy 0', 'heavy 1']);
  });

  it('is shared by sources, not by sessions', async () => {
    const served = new Served();
    for (let i = 0; i < 9; i++) served.session('many', '192.0.2.1', 1, 3).wait();
    served.session('one', '192.0.2.2', 1, 3).wait();
    const order = (await served.all(30)).slice(0, 6);
    assert.equal(order.filter((name) => name === 'one').length, 3);
  });

  it('comes to who says little also beside two that wait again in their own turn', async () => {
    const queue = new FairQueue();
    let turns = 0;
    let over = false;
    for (const address of ['192.0.2.1', '198.51.100.1']) {
      const busy = queue.turnsOf(address, {
        takeTurn() {
          turns++;
          busy.spent(0.3);
          if (!over) busy.wait();
        },
      });
      busy.wait();
    }
    while (turns < 20_000) await new Promise(setImmediate);
    const before = turns;
    let served = Number.POSITIVE_INFINITY;
    const light = queue.turnsOf('203.0.113.9', {
      takeTurn() {
        served = turns;
      },
    });
    light.wait();
    while (served === Number.POSITIVE_INFINITY && turns < before + 2_000) await new Promise(setImmediate);
    over = true;
    assert.ok(served - before < 10, 'it waits for a round, and not for the others to end');
  });

  it('counts a /64 of IPv6 as one source', async () => {
    const served = new Served();
    for (let i = 1; i < 9; i++) served.session('many', `2001:db8::${i}`, 1, 3).wait();
    served.session('one', '2001:db8:0:1::1', 1, 3).wait();
    const order = (await served.all(27)).slice(0, 6);
    assert.equal(order.filter((name) => name === 'one').length, 3);
  });

  it('passes by who has left', async () => {
    const served = new Served();
    const gone = served.session('gone', '192.0.2.1', 1);
    gone.wait();
    gone.leave();
    served.session('there', '192.0.2.1', 1).wait();
    assert.deepEqual(await served.all(1), ['there']);
  });

  it('gives the sockets a look between two rounds', async () => {
    const served = new Served();
    for (let i = 0; i < 4; i++) served.session('heavy', `192.0.2.${i}`, 10).wait();
    await new Promise(setImmediate);
    assert.ok(served.order.length < 4, 'not all in one round');
    await served.all(4);
  });

  it('lets what was said be written behind the work at hand, one behind the other, and all of it where a turn or a write fails', async () => {
    const queue = new FairQueue();
    const order: string[] = [];
    const writer = (name: string, fails = false) => ({
      writeDue(now: number): number {
        order.push(name);
        if (fails) throw new Error('a write failed');
        return now;
      },
    });
    const failed: unknown[] = [];
    const keep = (error: unknown): void => void failed.push(error);
    const others = process.rawListeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', keep);
    const turns = ['192.0.2.1', '192.0.2.2'].map((address) =>
      queue.turnsOf(address, {
        takeTurn() {
          order.push(`turn of ${address}`);
          queue.writesSoon(writer(`write of ${address}`));
          if (address === '192.0.2.1') throw new Error('a turn failed');
        },
      }),
    );
    queue.writesSoon(writer('first', true));
    queue.writesSoon(writer('second'));
    assert.equal(order.length, 0, 'not at once');
    for (const turn of turns) turn.wait();
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
    process.off('uncaughtException', keep);
    for (const listener of others) process.on('uncaughtException', listener as NodeJS.UncaughtExceptionListener);
    assert.equal(failed.length, 2);
    const written = ['first', 'second', 'write of 192.0.2.1', 'write of 192.0.2.2'];
    assert.deepEqual(order.filter((name) => !name.startsWith('turn')).sort(), written);
    assert.ok(order.indexOf('turn of 192.0.2.2') < order.indexOf('write of 192.0.2.2'));
  });
});
