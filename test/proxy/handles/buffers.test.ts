// Buffers of mail data are so many for all streams, and none of them is lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOBODY } from '../../../src/proxy/byte-stream.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import { FakeHandle } from './fake-handle.ts';
import '../../helpers/poison.ts';

const BUFFERS = 256;
const CHUNK = 30_000;

interface Lender {
  readonly stream: HandleStream;
  readonly handle: FakeHandle;
  /** Heard last, and as it was. */
  chunk: Buffer;
  copy: Buffer;
  wasLent: boolean;
}

/** A stream in mail data whose owner pauses it with each chunk, and keeps that. */
function lender(): Lender {
  const handle = new FakeHandle();
  const stream = new HandleStream(handle);
  const one: Lender = { stream, handle, chunk: Buffer.alloc(0), copy: Buffer.alloc(0), wasLent: false };
  stream.reads = 'mail data';
  stream.owner = {
    ...NOBODY,
    heard: (chunk) => {
      stream.pause();
      one.chunk = chunk;
      one.copy = Buffer.from(chunk);
      one.wasLent = stream.isLending;
    },
  };
  stream.resume();
  handle.says(Buffer.from('x')); // it reads into memory of its own behind the first that is mail data
  return one;
}

/** Whether the last of these octets were lent. */
function says(one: Lender, octet: number): boolean {
  const { stream, handle } = one;
  stream.resume();
  for (let left = CHUNK; left > 0; stream.resume()) left -= handle.says(Buffer.alloc(left, octet));
  return one.wasLent;
}

test('where there are more streams than buffers the others copy, and lend when there are buffers again', () => {
  const lenders = Array.from({ length: BUFFERS + 50 }, lender);
  const before = lenders.filter((one, i) => says(one, i & 255)).length;
  assert.ok(before > 0 && before <= BUFFERS, `${before} lend`);
  for (const { chunk, copy } of lenders) assert.ok(chunk.equals(copy), 'memory that is kept was written over');
  for (const { stream } of lenders) stream.destroy();
  const last = lender();
  assert.ok(says(last, 1));
  last.stream.destroy();
});

test('what is kept for good is another buffer, and none is missing behind it', () => {
  const keeper = lender();
  const kept: [Buffer, Buffer][] = [];
  for (let times = 0; times < 2 * BUFFERS; times++) {
    assert.ok(says(keeper, times & 255), `${times} times it lent`);
    kept.push([keeper.chunk, keeper.copy]);
  }
  for (const [chunk, copy] of kept) assert.ok(chunk.equals(copy), 'memory that is kept was written over');
  keeper.stream.destroy();
});

test('who says commands again holds none', () => {
  const idle = Array.from({ length: 2 * BUFFERS }, (_, i) => {
    const one = lender();
    const { owner } = one.stream;
    one.stream.owner = {
      ...owner,
      heard: (chunk) => {
        owner.heard(chunk);
        one.stream.reads = 'commands';
      },
    };
    assert.ok(says(one, i & 255), `behind ${i} others it lent`);
    return one;
  });
  for (const { stream, chunk, copy } of idle) {
    assert.ok(chunk.equals(copy), 'memory that is kept was written over');
    stream.destroy();
  }
});

test('one that goes takes what it lent along', () => {
  for (let times = 0; times < 2 * BUFFERS; times++) {
    const [going, other] = [lender(), lender()];
    assert.ok(says(going, 1) && says(other, 2), `${times} times both lent`);
    const { chunk, copy } = going;
    going.stream.destroy();
    other.stream.giveBack();
    says(other, 3);
    says(other, 4);
    assert.ok(chunk.equals(copy), 'memory that is kept was written over');
    other.stream.destroy();
  }
});
