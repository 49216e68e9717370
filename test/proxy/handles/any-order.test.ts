// Whatever is done with streams, in whatever order, also from within what they tell: octets are heard once and in their order,
// what was lent stays as it is until it is given back, what may be kept stays for good, and the end is told once and last.
// POSTERN_ORDER_SEED plays one run again.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type ByteStream, NOBODY, type StreamFault, type StreamOwner } from '../../../src/proxy/byte-stream.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import { numbers } from '../../helpers/numbers.ts';
import { poisoned } from '../../helpers/poison.ts';
import { ECONNRESET, FakeHandle } from './fake-handle.ts';

const STREAMS = 400;
const AT_ONCE = 8;
const STEPS = 120; // of one
const READS: readonly ByteStream['reads'][] = ['mail data', 'mail data', 'commands', 'to keep', 'to forget'];
const NOISE = Buffer.from(Array.from({ length: 400_000 }, (_, at) => (at * 31 + (at >> 8) * 17) & 255));

type Below = (bound: number) => number;

/** Octets as they were heard, and are to stay. */
interface Kept {
  readonly chunk: Buffer;
  readonly copy: Buffer;
}

class Watched implements StreamOwner {
  readonly #below: Below;
  readonly #handle: FakeHandle;
  readonly stream: HandleStream;
  readonly #kept: Kept[] = [];
  #lent: Kept | null = null; // the last chunk
  #said = 0; //      octets of NOISE
  #heardUpTo = 0;
  #hasEnded = false; // the peer
  #endHeard = false;
  #isOver = false; // lost, or left by us
  #written = 0;
  #taken = 0;
  #isOwedDrain = false;
  #saysNoMore = false; // we
  #isBroken = false;
  #depth = 0;

  readonly #room: number; // octets that may be owed when it has drained

  constructor(below: Below) {
    const isTls = below(2) === 0;
    this.#below = below;
    this.#room = isTls ? 65_536 : 0;
    this.#handle = new FakeHandle((octets) => {
      assert.ok(
        octets.equals(NOISE.subarray(this.#taken, this.#taken + octets.length)),
        'what is written is not taken',
      );
      this.#taken += octets.length;
    }, isTls);
    this.stream = new HandleStream(this.#handle, isTls);
    this.stream.owner = this;
    this.stream.reads = READS[below(READS.length)] ?? 'to keep';
  }

  heard(chunk: Buffer): void {
    const copy = Buffer.from(chunk);
    assert.ok(!this.#isOver && !this.#endHeard, 'heard behind the end');
    assert.ok(!this.stream.isPaused, 'heard while it is paused');
    assert.ok(
      copy.equals(NOISE.subarray(this.#heardUpTo, this.#heardUpTo + copy.length)),
      'what was said is not heard',
    );
    this.#heardUpTo += copy.length;
    const { reads, isLending } = this.stream;
    this.#keepLent();
    if (isLending) this.#lent = { chunk, copy };
    else if (reads === 'to keep' || reads === 'mail data') this.#kept.push({ chunk, copy });
    this.#sometimesAct();
  }

  ended(): void {
    assert.ok(!this.#isOver && !this.#endHeard, 'ended twice');
    assert.ok(this.#hasEnded && this.#heardUpTo === this.#said, 'ended before all was heard');
    this.#endHeard = true;
    this.#sometimesAct();
  }

  drained(): void {
    assert.ok(!this.#isOver && this.#isOwedDrain, 'drained, and was not full');
    assert.ok(this.#written - this.#taken <= this.#room);
    this.#isOwedDrain = false;
    this.#sometimesAct();
  }

  lost(fault: StreamFault | null): void {
    assert.ok(!this.#isOver, 'lost twice');
    assert.ok(fault === null ? this.#endHeard && this.#saysNoMore : this.#isBroken, 'lost for no reason');
    this.#isOver = true;
  }

  #keepLent(): void {
    if (this.#lent !== null) this.#kept.push(this.#lent);
    this.#lent = null;
  }

  #sometimesAct(): void {
    if (this.#depth > 3) return;
    this.#depth++;
    while (this.#below(2) === 0) this.#act();
    this.#depth--;
  }

  /** What an owner may do. */
  #act(): void {
    const { stream } = this;
    const below = this.#below;
    const what = below(24);
    if (what < 6) stream.resume();
    else if (what < 9) stream.pause();
    else if (what < 11) stream.pause(true);
    else if (what < 15) this.#giveBack();
    else if (what < 18) stream.reads = READS[below(READS.length)] ?? 'to keep';
    else if (what < 23) this.#write(1 + below([1, 20_000, 100_000][below(3)] ?? 1));
    else if (below(10) === 0) {
      if (below(2) === 0) this.#leave();
      else this.#end();
    }
  }

  #giveBack(): void {
    if (this.#lent !== null) this.#check([this.#lent]);
    this.#lent = null;
    this.stream.giveBack();
  }

  #write(octets: number): void {
    const chunk = Buffer.from(NOISE.subarray(this.#written, this.#written + octets));
    if (chunk.length === 0 || this.stream.isGone || this.#saysNoMore) return;
    this.#written += chunk.length;
    if (!this.stream.write(chunk)) this.#isOwedDrain = true;
  }

  #end(): void {
    this.#saysNoMore = true;
    this.#isOwedDrain = false; // the FIN is what follows
    this.stream.end();
  }

  #leave(): void {
    if (this.stream.isGone) return;
    this.#isOver = true;
    if (this.#below(2) === 0) this.stream.destroy();
    else this.stream.reset();
  }

  /** Somebody does something: the owner, the peer or the kernel. */
  step(): void {
    const below = this.#below;
    const what = below(3);
    const size = 1 + below([10, 20_000, 100_000][below(3)] ?? 1);
    if (what === 0) this.#act();
    else if (what === 1) this.#says(size);
    else this.#handle.takes(size);
    if (below(400) === 0) this.#ends();
    if (below(800) === 0) this.#breaks();
    this.#check(this.#lent === null ? [] : [this.#lent]);
  }

  #says(octets: number): void {
    if (this.#hasEnded) return;
    const before = this.#said;
    this.#said = Math.min(NOISE.length, before + Math.min(octets, 65_536)); // as much as may be heard within the call
    this.#said = before + this.#handle.says(NOISE.subarray(before, this.#said));
  }

  #ends(): void {
    if (this.#hasEnded || !this.#handle.isReading) return;
    this.#hasEnded = true;
    this.#handle.ends();
  }

  /** For who writes, for who reads, or both. */
  #breaks(): void {
    this.#isBroken = true;
    if (this.#below(2) === 0) this.#handle.breaks();
    if (!this.#hasEnded) this.#handle.ends(ECONNRESET);
  }

  #check(these: readonly Kept[]): void {
    for (const { chunk, copy } of these) assert.ok(chunk.equals(copy), 'memory that is kept was written over');
  }

  /** The peer says all and ends, the kernel takes all: everything is heard, and nothing is left open. */
  async finish(): Promise<void> {
    const { stream } = this;
    this.#handle.takes(1e9);
    const isToGoOn = (): boolean => !this.#isOver && (!this.#endHeard || this.#isOwedDrain || this.#saysNoMore);
    for (let turns = 0; turns < 1000 && isToGoOn(); turns++) {
      stream.resume();
      this.#says(65_536);
      if (this.#said === NOISE.length) this.#ends();
      await turn();
    }
    assert.ok(this.#isOver || this.#isBroken || (this.#endHeard && !this.#isOwedDrain), 'it does not come to its end');
    assert.ok(this.#isOver || this.#isBroken || !this.#saysNoMore, 'both have ended it, and it is not over');
    this.#keepLent();
    this.#check(this.#kept);
    stream.owner = NOBODY;
    await new Promise<void>((resolve) => {
      stream.whenClosed(resolve);
      stream.destroy();
    });
    assert.ok(this.#handle.isClosed);
  }
}

test('in any order', async (t) => {
  const seed = Number(process.env.POSTERN_ORDER_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`POSTERN_ORDER_SEED=${seed}`);
  const below = numbers(seed);
  const before = poisoned.mailData;
  for (let done = 0; done < STREAMS; done += AT_ONCE) {
    const streams = Array.from({ length: AT_ONCE }, () => new Watched(below));
    for (let step = 0; step < STEPS * AT_ONCE; step++) {
      streams[below(AT_ONCE)]?.step();
      if (below(3) === 0) await turn();
    }
    for (const stream of streams) await stream.finish();
  }
  assert.ok(poisoned.mailData > before, 'none was given back');
});
